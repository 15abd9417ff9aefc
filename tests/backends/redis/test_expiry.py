"""Native expiry of keys, and indexes that lose what has expired."""

from datetime import timedelta

import pytest

from parlant_store.types import ExpiredSession, Retention
from tests.contract.clock import Clock
from tests.contract.expired_rows import removed, sessions_of
from tests.contract.snapshot_values import said
from tests.contract.values import IDS, numbered

MARGIN = 60_000
"""How many milliseconds after a session its keys expire."""


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(make_store, clock):
    return make_store(clock=clock)


def ttls(keys: dict[bytes, int]) -> list[int]:
    """The milliseconds that the keys of sessions have left."""
    kinds = (b":session:", b":items:", b":texts:")
    return [ttl for key, ttl in keys.items() if any(kind in key for kind in kinds)]


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.add_items("s", numbered(2), ttl_seconds=1_000),
        lambda store: store.replace_items("s", numbered(2), ttl_seconds=1_000),
        lambda store: store.save_snapshot("s", numbered(2), state={}, ttl_seconds=1_000),
        lambda store: store.branch("source", "s", ttl_seconds=1_000),
    ],
)
def test_every_key_of_a_session_expires_and_each_write_moves_it(
    store, make_store, clock, own_keys, write
):
    store.add_items("s", numbered(1), ttl_seconds=100)
    assert all(0 < ttl - MARGIN <= 100_000 for ttl in ttls(own_keys()))
    assert len(ttls(own_keys())) == 3
    store.add_items("source", numbered(1))
    write(store)
    store.delete_session("source")
    assert len(ttls(own_keys())) == 3
    assert all(900_000 < ttl - MARGIN <= 1_000_000 for ttl in ttls(own_keys()))
    ttl_store = make_store(clock=clock, ttl_seconds=2_000)
    for next_write in (
        lambda: ttl_store.add_items("s", numbered(3)),
        lambda: ttl_store.pop_item("s"),
        lambda: ttl_store.set_metadata("s", {"a": 1}),
    ):
        store.set_expiry("s", clock() + timedelta(seconds=9))
        next_write()
        assert all(1_900_000 < ttl - MARGIN <= 2_000_000 for ttl in ttls(own_keys()))
    store.set_expiry("s", None)
    assert ttls(own_keys()) == [-1] * 3


def test_a_list_that_is_made_again_expires_too(store, own_keys):
    store.add_items("s", numbered(1), ttl_seconds=100)
    store.clear("s")
    store.add_items("s", numbered(1))
    assert len(ttls(own_keys())) == 3
    assert all(0 < ttl - MARGIN <= 100_000 for ttl in ttls(own_keys()))


def test_a_deleted_session_leaves_no_key(store, own_keys):
    before = {key for key in own_keys() if b":request:" not in key}
    for name in IDS:
        store.add_items(name, said("some words 漢字"), namespace=name, user_id=name, ttl_seconds=9)
        store.save_snapshot(name, said("others"), state={"a": 1}, namespace=name)
        assert store.delete_session(name, namespace=name)
    left = {key for key in own_keys() if b":request:" not in key}
    assert left - before == {store.keyspace.settings}


def test_what_the_server_has_expired_leaves_the_indexes_with_later_writes(
    make_store, clock, own_keys, valkey
):
    store = make_store(clock=clock, shards=1)
    for number in range(50):
        store.add_items(f"s{number}", said(f"word{number}"), user_id="ada", ttl_seconds=10)
    store.add_items("other", numbered(1))
    with valkey.client() as client:
        client.delete(*(key for key, ttl in own_keys().items() if ttl > 0))
    for read in (
        lambda: sessions_of(store),
        lambda: [each.session_id for each in store.list_summaries()],
    ):
        assert read() == ["other"]
    assert store.list_sessions(user_id="ada").sessions == ()
    assert store.search("word7") == []
    clock.pass_(10 + MARGIN / 1_000)
    for _ in range(3):
        store.add_items("other", numbered(1))
    shard = store.keyspace.shards[0]
    with valkey.client() as client:
        for index in (shard.names, shard.created):
            assert client.zcard(index) == 1
        assert client.zcard(shard.owners) == client.zcard(shard.expires) == 0


def test_postings_of_what_the_server_has_expired_do_not_pile_up(
    make_store, clock, own_keys, valkey
):
    store = make_store(clock=clock, shards=1)
    shard = store.keyspace.shards[0]
    for round_ in range(6):
        for number in range(20):
            store.add_items(f"{round_}-{number}", said("word"), ttl_seconds=10)
        with valkey.client() as client:
            client.delete(*(key for key, ttl in own_keys().items() if b"session:" in key))
        clock.pass_(10 + MARGIN / 1_000)
        for _ in range(3):
            store.add_items("living", said("word"))
    with valkey.client() as client:
        postings = client.hvals(shard.words)
    assert all(len(posting) / 7 <= 3 * 20 for posting in postings)
    assert [hit.session_id for hit in store.search("word")] == ["living"]


def test_a_new_session_with_the_name_of_one_that_the_server_has_expired(
    store, clock, own_keys, valkey
):
    store.add_items("s", numbered(1), user_id="ada", ttl_seconds=10)
    with valkey.client() as client:
        client.delete(*(key for key, ttl in own_keys().items() if ttl > 0))
    clock.pass_(10)
    store.add_items("s", numbered(2), user_id="bob", ttl_seconds=500)
    assert store.list_sessions(user_id="ada").sessions == ()
    clock.pass_(MARGIN / 1_000)
    assert store.expire().sessions == 0
    store.add_items("s", numbered(3))
    for filters in ({}, {"user_id": "bob"}):
        assert len(store.list_sessions(**filters).sessions) == 1
    assert store.get_items("s") == numbered(2, 3)


def test_expire_ends_though_the_server_was_first(store, clock, own_keys, valkey):
    for number in range(30):
        store.add_items(f"s{number}", numbered(1), user_id="ada", ttl_seconds=10)
    keys = [key for key in own_keys() if b":session:" in key][:20]
    with valkey.client() as client:
        client.delete(*keys)
    clock.pass_(10)
    assert store.expire(batch_size=4).sessions == 10
    assert store.expire().sessions == 0


# Retention


def test_hundreds_are_listed_and_removed_in_steps(store, clock):
    for number in range(300):
        store.add_items(f"s{number}", numbered(1), ttl_seconds=10 if number % 2 else None)
    clock.pass_(20)
    listed = list(store.list_expired(rule=Retention(idle=timedelta(seconds=1))))
    assert len({one.key for one in listed if isinstance(one, ExpiredSession)}) == 150
    assert removed(store, Retention(idle=timedelta(seconds=1)), batch_size=40) == (150, 0)
    assert removed(store, batch_size=40) == (150, 0)
