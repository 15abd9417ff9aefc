"""Calls that wait for SQLite's one thread are one transaction, as if each were made by itself."""

from datetime import timedelta
from functools import partial

import pytest
from django.db.backends.signals import connection_created
from django.test import override_settings

from parlant_store import stores
from parlant_store.backends.orm import OrmBackend
from parlant_store.exceptions import InvalidItem
from parlant_store.models import SessionItem
from tests.backends.locks import locked
from tests.backends.threads.busy_threads import TIMEOUT_SECONDS, Held, results
from tests.contract.clock import Clock
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


def test_reads_that_wait_get_what_each_asked_for(store):
    store.add_items("s", numbered(*range(30)))
    store.add_items("t", numbered(*range(100, 130)))
    limits = [1, 5, 30, 1_000, 0, None]
    with Held(store) as held:
        futures = [held.get(name, limit) for limit in limits for name in ("s", "t", "none")]
    found = iter(results(futures))
    for limit in limits:
        count = 30 if limit is None else min(limit, 30)
        assert next(found) == numbered(*range(30 - count, 30))
        assert next(found) == numbered(*range(130 - count, 130))
        assert next(found) == []


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


def test_a_damaged_item_is_skipped_and_the_others_do_not_notice(store):
    for name in ("s", "t"):
        store.add_items(name, numbered(*range(5)))
    SessionItem.objects.filter(session__session_id="s", position=4).update(data="{")
    with Held(store) as held:
        futures = [held.get("s", 2), held.get("t", 2)]
    assert results(futures) == [numbered(2, 3), numbered(3, 4)]


def test_one_that_is_refused_fails_alone(store):
    with Held(store) as held:
        good = [held.add("s", number) for number in range(3)]
        bad = store.submit(partial(store.add_items, "s", [{"n": float("nan")}]))
        empty = held.add("s")
    assert results([*good, empty]) == [None] * 4
    with pytest.raises(InvalidItem):
        bad.result(TIMEOUT_SECONDS)
    assert sorted(item["n"] for item in store.get_items("s")) == [0, 1, 2]


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


def test_adding_nothing_begins_no_session(store):
    with Held(store) as held:
        futures = [held.add("none"), held.add("s", 1), held.add("none")]
    assert results(futures) == [None] * 3
    with Held(store) as held:
        futures = [held.add("none"), held.add("none")]
    assert results(futures) == [None] * 2
    assert [session.session_id for session in store.list_sessions().sessions] == ["s"]


def test_what_has_expired_begins_anew(transactional_db):
    clock = Clock()
    store = OrmBackend("test", using="default", ttl_seconds=10, clock=clock)
    try:
        for name in ("s", "t"):
            store.add_items(name, numbered(0))
        clock.pass_(10)
        store.add_items("u", numbered(0))
        with Held(store) as held:
            futures = [held.get(name, 5) for name in ("s", "t", "u")]
        assert results(futures) == [[], [], numbered(0)]
        with Held(store) as held:
            futures = [held.add(name, 1) for name in ("s", "u", "t", "s")]
        results(futures)
        assert store.get_items("s") == numbered(1, 1)
        assert store.get_items("t") == numbered(1)
        assert store.get_items("u") == numbered(0, 1)
        assert store.get_session("s").expires_at == clock() + timedelta(seconds=10)
    finally:
        store.close()


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
