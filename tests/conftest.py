"""One run is on one database: SQLite, or the PostgreSQL that DATABASE_URL names.

With STORE=supabase the default store of a run on PostgreSQL is reached over HTTP; with STORE=files
it is in a directory, with STORE=redis in a Valkey of the run's own.
"""

import gc
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django.plugin import DjangoDbBlocker

from parlant_store import stores
from parlant_store.backends.base import BaseBackend
from parlant_store.models import Document
from tests.empty_tables import close_cleaner, empty_all_tables
from tests.reused_connections import reset_connections, usual_settings

# Examples share the store of their test, which several backends run, on machines of any speed.
hypothesis_settings.register_profile(
    "tests",
    deadline=None,
    suppress_health_check=[
        HealthCheck.differing_executors,
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],
)
hypothesis_settings.load_profile("tests")

STORE = os.environ.get("STORE", "")
OVER_HTTP = STORE == "supabase"

VENDOR = settings.DATABASES["default"]["ENGINE"].rpartition(".")[2]
if TYPE_CHECKING:
    from tests.servers.redis_servers import Server

if VENDOR == "postgresql":
    from tests.servers.supabase_fixtures import project as project
    from tests.servers.supabase_fixtures import session_end as session_end
    from tests.servers.supabase_fixtures import stack as stack

# Tests of the other database's own ways belong to the other run. Pages are looked at in one of
# them: they are the same on both. So are tests on an SQLite file of their own, or on none.
OTHERS = {
    "sqlite3": ["backends/orm/postgresql", "backends/supabase", "servers", "sql/supabase"],
    "postgresql": [
        "backends/orm/sqlite",
        "backends/redis",
        "backends/threads/test_executor.py",
        "backends/threads/test_futures.py",
        "browser",
        "project",
        "content",
        "test_runs.py",
        "test_standalone.py",
        "test_uninstalled.py",
    ],
}[VENDOR]

collect_ignore = [str(Path(__file__).parent / other) for other in OTHERS]
if "tests.references" not in settings.INSTALLED_APPS:
    # These have a project of their own: test_references.py starts them.
    collect_ignore.append(str(Path(__file__).parent / "references"))


LONGEST = [
    "test_themes.py",
    "test_references.py",
    "test_server.py",
    "test_demo.py",
    "test_snippets.py",
]
"""Begun first: where two processes share a run, one would end long after the other."""

# What is imported and collected stays: looking for garbage in it takes a sixth of the time.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000)  # what most tests make is gone without a search
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of files that belong to both runs, leave out of one what is marked any_database."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
    if VENDOR == "postgresql":
        same = [item for item in items if item.get_closest_marker("any_database")]
        config.hook.pytest_deselected(items=same)
        items[:] = [item for item in items if item not in set(same)]


def _empty_tables(case: Any) -> None:
    """In place of the flush of Django's test cases, as ``emptied_at_the_end``."""
    reset_connections()
    for alias in case._databases_names(include_mirrors=False):
        empty_all_tables(alias)


TransactionTestCase._fixture_teardown = _empty_tables


def pytest_report_header() -> str:
    return f"database: {VENDOR}, store: {STORE or 'in it'}"


@pytest.fixture(scope="session", autouse=True)
def _threads_end_before_the_database(
    django_db_setup: None, request: pytest.FixtureRequest
) -> Iterator[None]:
    usual_settings()
    if OVER_HTTP:
        stack = request.getfixturevalue("project")
        settings.PARLANT_STORES = {
            "default": {
                "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
                "OPTIONS": {"url": stack.url, "key": stack.service_key},
            }
        }
        stores.forget()
    if STORE == "files":
        directory = request.getfixturevalue("tmp_path_factory").mktemp("files") / "sessions"
        settings.PARLANT_STORES = {
            "default": {
                "BACKEND": "parlant_store.backends.jsonfile.JsonFileBackend",
                "OPTIONS": {"directory": directory},
            }
        }
        stores.forget()
    if STORE == "redis":
        valkey = request.getfixturevalue("valkey")
        settings.PARLANT_STORES = {
            "default": {
                "BACKEND": "parlant_store.backends.redis.RedisBackend",
                "OPTIONS": {"url": valkey.url, "timeout": 60},
            }
        }
        stores.forget()
    yield
    stores.close_all()
    close_cleaner()


@pytest.fixture(scope="session")
def valkey() -> "Iterator[Server]":
    from tests.servers import redis_servers

    with redis_servers.server(redis_servers.valkey()) as running:
        yield running


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Tables that every thread sees, empty again afterwards, and connections of the test's own."""
    with emptied_at_the_end(django_db_blocker):
        yield


@contextmanager
def emptied_at_the_end(blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let tests use the tables, which are empty again afterwards.

    A module whose tests only read may have a ``transactional_db`` of its own, which fills the
    tables once. Django's own flush makes content types and permissions anew after each test,
    which takes most of its time; here they stay.
    """
    with blocker.unblock():
        yield
        reset_connections()
        empty_all_tables()


@pytest.fixture
def store(transactional_db: None, request: pytest.FixtureRequest) -> Iterator[BaseBackend]:
    """The default store, on empty tables that every thread sees, or otherwise empty."""
    if STORE == "redis":
        with request.getfixturevalue("valkey").client() as client:
            client.flushall()
    yield stores["default"]
    if STORE == "files":
        shutil.rmtree(settings.PARLANT_STORES["default"]["OPTIONS"]["directory"], True)


@pytest.fixture
def store_of_one_thread(store: BaseBackend, settings: Any) -> Iterator[BaseBackend]:
    """The default store, whose adapters' calls share one connection."""
    default = settings.PARLANT_STORES["default"] if STORE in ("files", "redis") else {}
    options = default.get("OPTIONS", {}) | {"threads": 1}
    settings.PARLANT_STORES = {"default": default | {"OPTIONS": options}}
    yield stores["default"]
    stores.close_all()


@pytest.fixture
def own_indexes(transactional_db: None) -> Iterator[None]:
    """Takes away the indexes that the test makes; emptying the tables leaves them."""
    yield
    # Django's introspection parses the text of every index of SQLite.
    names = {
        "sqlite3": "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = %s",
        "postgresql": "SELECT indexname FROM pg_indexes WHERE tablename = %s",
    }
    with connection.cursor() as cursor:
        cursor.execute(names[VENDOR], [Document._meta.db_table])
        for (name,) in cursor.fetchall():
            if name.startswith(("parlant_store_doc_u_", "parlant_store_doc_x_")):
                cursor.execute(f"DROP INDEX {name}")
