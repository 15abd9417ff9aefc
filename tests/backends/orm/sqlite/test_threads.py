"""Connections of the store's own threads to SQLite."""

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from tests.contract.values import numbered

pytestmark = pytest.mark.orm

FILES, MEMORY = 1, 2


@pytest.fixture
def new_connections(store):
    """Close the store's connections, and those that a test has changed."""
    store.close()
    yield
    store.close()


def setting(store, name):
    """Return a PRAGMA of the store's thread, after a call on it."""
    store.submit(lambda: store.add_items("s", numbered(1))).result()
    return store.submit(lambda: pragma(name)).result()


def temporary_data(store):
    return setting(store, "temp_store")


def pragma(name):
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return cursor.fetchone()[0]


@pytest.fixture
def on_connect(new_connections):
    """Run a statement on each new connection, as projects do by a signal."""
    receivers = []

    def run(statement):
        def execute(connection, **kwargs):
            connection.connection.execute(statement)

        connection_created.connect(execute)
        receivers.append(execute)

    yield run
    for receiver in receivers:
        connection_created.disconnect(receiver)


def test_writes_create_no_temporary_files(store, new_connections):
    assert temporary_data(store) == MEMORY


def test_the_setting_of_the_project_is_kept(store, on_connect):
    on_connect("PRAGMA temp_store = FILE")
    assert temporary_data(store) == FILES


def test_temporary_tables_of_the_project_are_kept(store, on_connect):
    on_connect("CREATE TEMP TABLE mine AS SELECT 1 AS number")
    assert temporary_data(store) != MEMORY
    assert store.submit(
        lambda: connection.connection.execute("SELECT * FROM mine").fetchall()
    ).result() == [(1,)]


def test_the_pages_of_a_long_session_fit_into_the_cache(store, new_connections):
    assert setting(store, "cache_size") == -8_000


def test_the_size_of_the_cache_that_the_project_sets_is_kept(store, on_connect):
    on_connect("PRAGMA cache_size = -500")
    assert setting(store, "cache_size") == -500


def test_the_connection_of_the_caller_is_as_before(store, new_connections):
    before = pragma("temp_store"), pragma("cache_size")
    store.add_items("s", numbered(1))
    assert (pragma("temp_store"), pragma("cache_size")) == before
