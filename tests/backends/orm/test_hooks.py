"""Whatever a project or a tool does to statements is done to those of a store."""

import asyncio
import sys
import threading
from importlib import import_module
from types import ModuleType

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections
from django.db.backends.utils import CursorWrapper
from django.test import SimpleTestCase
from django.test.utils import CaptureQueriesContext

from parlant_store import stores
from parlant_store.adapters.openai_agents import Session
from tests.conftest import VENDOR
from tests.contract.values import numbered

pytestmark = pytest.mark.orm

CALLS = {
    "add_items": lambda store: store.add_items("s", numbered(1)),
    "get_items": lambda store: store.get_items("s"),
    "pop_item": lambda store: store.pop_item("s"),
    "replace_items": lambda store: store.replace_items("s", numbered(1)),
    "save_snapshot": lambda store: store.save_snapshot("s", numbered(1), state={}),
    "load_snapshot": lambda store: store.load_snapshot("s"),
    "list_sessions": lambda store: store.list_sessions(),
    "search": lambda store: store.search("word"),
    "set_metadata": lambda store: store.set_metadata("s", {"a": 1}),
    "delete_session": lambda store: store.delete_session("s"),
    "insert_one": lambda store: store.insert_one("c", {"id": "a"}),
    "insert_numbered": lambda store: store.insert_numbered(
        "c", {"id": "n", "o": 1, "session_id": "s"}, number="o", within="session_id"
    ),
    "find": lambda store: store.find("c"),
    "find_one": lambda store: store.find_one("c", {"id": {"$eq": "a"}}),
    "update_one": lambda store: store.update_one("c", {"id": {"$eq": "a"}}, {"b": 1}),
    "delete_one": lambda store: store.delete_one("c", {"id": {"$eq": "a"}}),
    "list_collections": lambda store: store.list_collections(),
    "expire": lambda store: store.expire(),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_execute_wrapper_sees_every_statement(store, name):
    prepare(store, name)
    seen = []

    def watch(execute, sql, params, many, context):
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch), CaptureQueriesContext(connection) as queries:
        CALLS[name](store)
    assert any("parlant_store" in sql for sql in seen)
    # Django hides the ends of transactions from wrappers.
    captured = [query["sql"] for query in queries]
    assert len(list(filter(is_work, captured))) == len(list(filter(is_work, seen)))


def is_work(sql):
    return sql.split()[0] not in ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")


def prepare(store, name):
    store.add_items("s", numbered(0, 1))
    if name != "insert_one":
        store.insert_one("c", {"id": "a"})


@pytest.mark.parametrize("name", CALLS)
def test_captured_queries(store, name, django_assert_num_queries):
    prepare(store, name)
    with CaptureQueriesContext(connection) as queries:
        CALLS[name](store)
    assert any("parlant_store" in query["sql"] for query in queries)
    with pytest.raises(pytest.fail.Exception), django_assert_num_queries(0):
        store.get_items("s")


RUNS = {
    "async_to_sync": lambda make: async_to_sync(make)(),
    "asyncio.run": lambda make: asyncio.run(make()),
}


async def turn():
    await Session("s").add_items(numbered(2))
    return await Session("s").get_items()


@pytest.mark.parametrize("run", RUNS)
def test_captured_queries_of_adapters(store, run):
    with CaptureQueriesContext(connection) as queries:
        assert RUNS[run](turn) == numbered(2)
    texts = [query["sql"] for query in queries if "parlant_store" in query["sql"]]
    assert len(texts) >= 2


@pytest.mark.parametrize("run", [*RUNS, "sync"])
def test_a_patched_execute(store, run, monkeypatch):
    """As Sentry and OpenTelemetry patch Django, for every connection there is."""
    seen = []
    execute = CursorWrapper.execute

    def watched(self, sql, params=None):
        seen.append(sql)
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", watched)
    if run == "sync":
        store.add_items("s", numbered(2))
        store.get_items("s")
    else:
        assert RUNS[run](turn) == numbered(2)
    assert sum("parlant_store" in sql for sql in seen) >= 2


ENGINES = {
    "sqlite3": "django.db.backends.sqlite3.base",
    "postgresql": "django.db.backends.postgresql.base",
}


@pytest.fixture
def engine(store, monkeypatch, settings):
    """Makes an alias of the tests' database whose engine sets something before each cursor."""
    prepared = []

    class DatabaseWrapper(import_module(ENGINES[VENDOR]).DatabaseWrapper):
        def _cursor(self, name=None):
            prepared.append(threading.current_thread().name)
            return super()._cursor(name)

    module = ModuleType("tests.engine_with_tenants.base")
    module.DatabaseWrapper = DatabaseWrapper
    package = ModuleType("tests.engine_with_tenants")
    package.base = module
    monkeypatch.setitem(sys.modules, package.__name__, package)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    entry = connections.settings["default"] | {"ENGINE": package.__name__}
    monkeypatch.setitem(connections.settings, "tenants", entry)
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"using": "tenants"}}}
    yield prepared
    stores.close_all()
    connections["tenants"].close()
    del connections["tenants"]


@pytest.mark.parametrize("name", CALLS)
def test_an_engine_of_the_projects_makes_every_cursor(engine, name):
    store = stores["default"]
    prepare(store, name)
    engine.clear()
    CALLS[name](store)
    assert engine


@pytest.mark.parametrize("run", RUNS)
def test_adapters_use_the_engines_connection_of_their_caller(engine, run):
    own = connections["tenants"]
    own.ensure_connection()
    engine.clear()
    with own.execute_wrapper(lambda execute, *arguments: seen.append(1) or execute(*arguments)):
        seen: list[int] = []
        assert RUNS[run](turn) == numbered(2)
    assert len(engine) >= 2
    assert len(seen) >= 2


def test_what_a_test_case_leaves_on_a_connection_is_no_hook(store):
    """Where a TestCase forbids a database, it puts the methods back as attributes."""

    class Forbidding(SimpleTestCase):
        pass

    own = connections["default"]
    before = set(vars(own))
    Forbidding.setUpClass()
    Forbidding.doClassCleanups()
    try:
        assert "cursor" in vars(own)
        assert store.submit(threading.get_ident).result() != threading.get_ident()
    finally:
        for name in set(vars(own)) - before:
            delattr(own, name)
