# make demo    an agent that remembers, and its session in the admin
# make test    the whole suite, on SQLite and on PostgreSQL
# make check   everything that needs no database
# make bench   the frameworks' own stores and ours, side by side

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
SERVE ?= yes

.PHONY: demo test check bench clean

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

demo: $(BIN)/demo-ready
	$(BIN)/python -m project.demo $(if $(filter no,$(SERVE)),--no-serve)

test: $(BIN)/test-ready
	env -u DATABASE_URL $(BIN)/python -m pytest
	$(BIN)/python -m tests.servers $(BIN)/python -m pytest

check: $(BIN)/test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python -m tests.wheel

bench: $(BIN)/bench-ready
	$(BIN)/python -m benchmarks.sessions
	$(BIN)/python -m benchmarks.documents

clean:
	rm -rf $(VENV) build dist *.egg-info *.sqlite3 *.sqlite3-wal *.sqlite3-shm
