"""Calls that wait for SQLite's one thread are one transaction, as if each were made by itself."""

import pytest
from django.db.backends.signals import connection_created
from django.test import override_settings

from parlant_store import stores
from parlant_store.backends.orm import OrmBackend
from tests.backends.locks import locked
from tests.backends.threads.busy_threads import TIMEOUT_SECONDS, Held, results
from tests.contract.values import numbered

pytestmark = pytest.mark.orm


@pytest.fixture
def statements(store):
    """What the store's thread sends to SQLite, as the driver tells it."""
    found = []

    def watch(connection, **kwargs):
        connection.connection.set_trace_callback(found.append)

    store.close()
    connection_created.connect(watch)
    yield found
    store.close()
    connection_created.disconnect(watch)


def sent(statements, word):
    return [statement for statement in statements if statement.startswith(word)]


def test_additions_that_wait_are_one_transaction(store, statements):
    with Held(store) as held:
        futures = [held.add(f"s{number % 5}", number, user_id="u") for number in range(20)]
        statements.clear()
    assert results(futures) == [None] * 20
    assert len(sent(statements, "COMMIT")) == 1
    for session in range(5):
        assert store.get_items(f"s{session}") == numbered(*range(session, 20, 5))
        assert store.get_session(f"s{session}").user_id == "u"
        assert store.get_session(f"s{session}").item_count == 4


def test_many_more_than_a_group(store, statements):
    with Held(store) as held:
        futures = [held.add("s", number) for number in range(100)]
        statements.clear()
    results(futures)
    assert len(sent(statements, "COMMIT")) < 10
    assert store.get_items("s") == numbered(*range(100))


def test_reads_that_wait_are_grouped(store, monkeypatch):
    groups = []
    get_all = OrmBackend._get_all
    monkeypatch.setattr(
        OrmBackend,
        "_get_all",
        lambda self, calls: groups.append(len(calls)) or get_all(self, calls),
    )
    store.add_items("s", numbered(1))
    with Held(store) as held:
        futures = [held.get("s", 5) for _ in range(20)]
    assert results(futures) == [numbered(1)] * 20
    assert groups == [20]


def test_one_that_the_database_refuses_fails_alone(store):
    """A trigger of the project's, say."""
    from django.db import connection

    from parlant_store.exceptions import StoreError

    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON parlant_store_session_item"
            " WHEN new.data LIKE '%666%' BEGIN SELECT raise(ABORT, 'refused'); END"
        )
    try:
        with Held(store) as held:
            good = [held.add("s", number) for number in range(3)]
            bad = held.add("t", 666)
        results(good)
        with pytest.raises(StoreError, match="refused"):
            bad.result(TIMEOUT_SECONDS)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER refuse")
    assert sorted(item["n"] for item in store.get_items("s")) == [0, 1, 2]
    assert not store.exists("t")


def test_a_locked_database_makes_them_wait(store):
    store.add_items("s", numbered(0))
    with Held(store) as held:
        writes = [held.add("s", number) for number in (1, 2, 3)]
        with locked():
            held.__exit__()
            # Readers do not wait for writers.
            assert store.get_items("s") == numbered(0)
            with pytest.raises(TimeoutError):
                writes[0].result(0.5)
            assert not any(write.done() for write in writes)
    results(writes)
    assert sorted(item["n"] for item in store.get_items("s")) == [0, 1, 2, 3]


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_only_calls_for_one_database_are_grouped():
    from tests.matrix.routers import ContextRouter, tenant

    with override_settings(DATABASE_ROUTERS=[ContextRouter()], PARLANT_STORES={"default": {}}):
        store = stores["default"]
        with Held(store) as held:
            writes = []
            for number in range(40):
                token = tenant.set(("default", "other")[number % 2])
                writes.append(held.add("s", number))
                tenant.reset(token)
        results(writes)
    for place, alias in enumerate(("default", "other")):
        found = OrmBackend("test", using=alias).get_items("s")
        assert found == numbered(*range(place, 40, 2))
