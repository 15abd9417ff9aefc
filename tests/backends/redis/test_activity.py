"""Listings by activity: what they read, and the entries of their indexes."""

from datetime import UTC, datetime, timedelta

import pytest

from parlant_store.backends.redis import listings
from parlant_store.types import SessionRecord
from tests.backends.redis.conftest import stores_on
from tests.backends.redis.test_costs import Traffic
from tests.contract.clock import Clock
from tests.contract.listings import activity, by_activity, fill
from tests.contract.values import numbered
from tests.servers import redis_servers

MARGIN = 60
"""How many seconds after a session its keys expire."""

SHARDS = 4
LIMIT = 9
ALL_FILTERS = [
    {},
    {"namespace": ""},
    {"user_id": "ada"},
    {"user_id": "ada", "namespace": ""},
]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(make_store, clock):
    return make_store(clock=clock, shards=SHARDS)


@pytest.fixture
def entries(store, valkey):
    """Returns the numbers of names, and of entries of both indexes by activity."""

    def count() -> tuple[int, int, int]:
        shards = store.keyspace.shards
        with valkey.client() as client:
            return tuple(
                sum(client.zcard(getattr(shard, index)) for shard in shards)
                for index in ("names", "updated", "activity")
            )

    return count


def records(start: int, stop: int, time: datetime, step: timedelta) -> list[SessionRecord]:
    """Sessions of which each second is ada's, and each third is in another namespace."""
    return [
        SessionRecord(
            session_id=f"s{number:05}",
            namespace="" if number % 3 else "n",
            user_id="ada" if number % 2 else None,
            items=numbered(number),
            created_at=time,
            updated_at=time + number * step,
        )
        for number in range(start, stop)
    ]


@pytest.fixture
def server():
    with redis_servers.server(redis_servers.valkey()) as running:
        yield running


@pytest.mark.parametrize("step", [timedelta(seconds=1), timedelta()], ids=["times", "one time"])
def test_a_page_reads_no_more_entries_than_its_part(server, clock, step):
    with stores_on(url=server.url, shards=SHARDS) as make:
        store = make(clock=clock)
        costs = []
        for start, stop in ((0, 500), (500, 2_000)):
            store.write_sessions(records(start, stop, datetime(2024, 5, 1, tzinfo=UTC), step))
            for filters in ({}, {"namespace": ""}, {"user_id": "ada"}):
                page = None
                for _ in range(3):
                    cursor = page and page.next_cursor
                    options = {"order": "activity", "limit": LIMIT, "cursor": cursor}
                    with Traffic(server) as traffic:
                        page = store.list_sessions(**options, **filters)
                    assert len(page.sessions) == LIMIT
                    costs.append(traffic.spent)
        # Two rounds at most, of which the second reads twice as many entries.
        part = listings._part(LIMIT + 1, SHARDS)
        assert max(cost["rows"] for cost in costs) <= 3 * SHARDS * part
        assert max(cost["scripts"] for cost in costs) <= 2 * SHARDS
        # Sessions of the same time are passed by a binary search.
        assert max(cost["ranges"] for cost in costs) <= 2 * SHARDS * 10


def test_a_page_by_activity_asks_each_shard_once(server, clock):
    with stores_on(url=server.url) as make:
        store = make(clock=clock)
        for number in range(100):
            clock.pass_(1)
            store.add_items(f"s{number}", numbered(1), user_id="ada")
        store.list_sessions(order="activity")
        with Traffic(server) as traffic:
            assert len(store.list_sessions(order="activity", user_id="ada").sessions) == 100
        assert traffic.spent["scripts"] == 64


# The indexes


def test_the_indexes_have_each_session_once(store, clock, entries):
    for round_ in range(3):
        for number in range(10):
            clock.pass_(1)
            store.add_items(f"s{number}", numbered(1), user_id="ada" if number % 2 else None)
            store.set_metadata(f"s{number}", {"round": round_})
        assert entries() == (10, 10, 15)
    store.add_items("s0", numbered(1), user_id="ada")
    store.branch("s1", "b")
    assert entries() == (11, 11, 18)
    store.replace_items("b", numbered(1))
    store.write_sessions([SessionRecord(session_id="s1", items=[])], replace=True)
    assert entries() == (11, 11, 17)
    for name in ("b", *(f"s{number}" for number in range(10))):
        assert store.delete_session(name)
    assert entries() == (0, 0, 0)


def test_what_expires_leaves_the_indexes(make_store, clock, entries, own_keys, valkey):
    store = make_store(clock=clock, shards=SHARDS)
    for number in range(40):
        store.add_items(f"s{number}", numbered(1), user_id="ada", ttl_seconds=10)
    with valkey.client() as client:
        client.delete(*(key for key, ttl in own_keys().items() if ttl > 0))
    for filters in ALL_FILTERS:
        assert by_activity(store, **filters) == []
    # Sessions with the same names, of another owner and of none.
    clock.pass_(5)
    for number in range(20):
        store.add_items(f"s{number}", numbered(1), user_id="bob" if number % 2 else None)
    assert entries() == (40, 40, 20 * 2 + 10 * 2 + 10)
    assert by_activity(store, user_id="ada") == []
    assert len(by_activity(store, user_id="bob")) == 10
    clock.pass_(10 + MARGIN)
    for number in range(20):
        store.add_items(f"s{number}", numbered(1))
    assert entries() == (20, 20, 30)
    assert len(by_activity(store)) == 20
    store.set_expiry("s0", clock())
    assert store.expire().sessions == 1
    assert entries() == (19, 19, 29)


# Sessions of earlier versions


@pytest.fixture
def forget(valkey):
    """Deletes the indexes by activity, which earlier versions did not write."""

    def delete(store) -> None:
        with valkey.client() as client:
            for shard in store.keyspace.shards:
                client.delete(shard.updated, shard.activity)

    return delete


def test_sessions_of_earlier_versions_are_added_to_the_indexes(
    store, clock, entries, forget, monkeypatch
):
    monkeypatch.setattr(listings, "MAX_INDEXED", 3)
    fill(store, clock)
    before = entries()
    for filters in ALL_FILTERS:
        forget(store)
        expected = sorted(store.list_sessions(**filters).sessions, key=activity, reverse=True)
        assert by_activity(store, limit=5, **filters) == expected
        assert entries() == before
    # Some are written before the first listing.
    forget(store)
    clock.pass_(1)
    for name in ("s1", "new"):
        store.add_items(name, numbered(1), user_id="ada")
    listed = by_activity(store, prefix="s1", limit=1)
    assert listed[0].session_id == "s1"
    sessions = store.list_sessions().sessions
    assert by_activity(store) == sorted(sessions, key=activity, reverse=True)


def test_sessions_of_earlier_versions_that_the_server_has_expired(
    make_store, clock, entries, own_keys, forget, valkey
):
    store = make_store(clock=clock, shards=SHARDS)
    for number in range(10):
        store.add_items(f"s{number}", numbered(1), user_id="ada", ttl_seconds=10)
    forget(store)
    with valkey.client() as client:
        client.delete(*(key for key, ttl in own_keys().items() if ttl > 0))
    store.add_items("s0", numbered(1), user_id="bob")
    assert [session.session_id for session in by_activity(store)] == ["s0"]
    assert by_activity(store, user_id="ada") == []
    clock.pass_(10 + MARGIN)
    for number in range(50):
        store.add_items(f"t{number}", numbered(1))
    assert entries() == (51, 51, 52)


def test_sessions_that_an_earlier_version_writes_meanwhile(store, clock, valkey):
    """They are listed at their last time in the indexes, and once."""
    for number in range(6):
        clock.pass_(1)
        store.add_items(f"s{number}", numbered(1), user_id="ada")
    names = [session.session_id for session in by_activity(store)]
    for name in (b"\0s1", b"\0s4"):
        with valkey.client() as client:
            time = int((clock() + timedelta(hours=1)).timestamp() * 10**6)
            client.hset(store.keyspace.shard_of(name).keys(name).session, "updated", time)
    for filters in ALL_FILTERS:
        for limit in (1, 2, 10):
            listed = by_activity(store, limit=limit, **filters)
            assert [session.session_id for session in listed] == names
    clock.pass_(1)
    store.add_items("s1", numbered(1))
    assert by_activity(store)[0].session_id == "s1"


def test_names_that_are_damaged(store, valkey):
    store.add_items("s", numbered(1))
    with valkey.client() as client:
        for shard in store.keyspace.shards:
            client.zadd(shard.created, {"damaged": 1})
    assert [session.session_id for session in by_activity(store)] == ["s"]
