"""Turns, usage and branches in Redis: their keys, sessions of earlier versions, and odd values."""

import pytest

from parlant_store.exceptions import BackendError, InvalidInput
from parlant_store.types import Usage
from tests.contract.clock import Clock
from tests.contract.earlier_sessions import EarlierSessionContract, fill, numbers_and_texts
from tests.contract.snapshot_values import said
from tests.contract.turn_values import turn, usage
from tests.contract.values import IDS, numbered

MARGIN = 60
"""How many seconds after a session its keys expire."""


def keys_of(store, session_id="s"):
    return store.keyspace.shard_of(b"\0" + session_id.encode()).keys(b"\0" + session_id.encode())


@pytest.fixture
def old(store, valkey):
    """A store with a session as versions without turns have written it."""
    fill(store)
    keys = keys_of(store)
    with valkey.client() as client:
        assert client.llen(keys.turns) == 2
        client.delete(keys.turns)
        assert client.hdel(keys.session, "turns") == 1
    return store


class TestEarlierSessions(EarlierSessionContract):
    @pytest.fixture
    def check(self, old, valkey):
        def assert_numbered() -> None:
            with valkey.client() as client:
                assert client.llen(keys_of(old).turns) == 2

        return assert_numbered


def test_a_position_of_deleted_items_is_the_end_of_those_before(store):
    store.add_items("s", [*turn("one", 2), *turn("two", 2), *turn("three", 2)])
    last = store.load_snapshot("s").revision.next_position - 1
    store.truncate("s", before_turn=2)
    store.add_items("s", [*turn("new", 5), *turn("newer", 5)])
    assert store.list_turns("s")[1].position > last
    assert store.truncate("s", after_position=last) == 12
    assert store.get_items("s") == turn("one", 2)
    store.truncate("s", before_turn=0)
    store.add_items("s", numbered(1, 2, 3))
    assert store.truncate("s", after_position=last) == 3


def test_positions_after_items_at_the_start_are_deleted(store):
    store.add_items("s", [*turn("one"), *turn("two"), *turn("three")])
    before = store.list_turns("s")
    revision = store.load_snapshot("s").revision
    store.save_snapshot("s", [], state={}, since=revision, drop=3, keep=3)
    zero, three = store.list_turns("s")
    assert (zero.number, zero.position, zero.item_count) == (0, before[1].position + 1, 1)
    assert three == before[2]
    assert store.truncate("s", after_position=three.position) == 1
    with pytest.raises(InvalidInput, match="'s' has no turn 2"):
        store.truncate("s", before_turn=2)
    assert store.add_usage("s", usage(3), turn=0)
    assert store.truncate("s", after_position=0) == 2
    assert store.get_usage("s") is None


def test_any_name_of_a_detail(store):
    details = {name: number for number, name in enumerate([*IDS, 'a"b\\"', "\0", "\\", '"'], 1)}
    store.add_items("s", turn("one"))
    for _ in range(2):
        store.add_usage("s", {"output_tokens_details": details})
    twice = Usage(output_tokens_details={name: 2 * count for name, count in details.items()})
    assert store.get_usage("s", by="turn") == {1: twice}
    store.branch("s", "b")
    assert store.get_usage("b") == twice
    store.add_items("s", turn("two"))
    store.branch("s", "c", before_turn=2)
    assert store.get_usage("c") == twice


def test_large_counts_are_exact(store):
    store.add_items("s", turn("one"))
    store.add_usage("s", {"input_tokens": 2**53 - 2, "total_tokens": 2**52 + 1})
    store.add_usage("s", {"input_tokens": 1})
    assert store.get_usage("s") == Usage(input_tokens=2**53 - 1, total_tokens=2**52 + 1)
    assert store.get_session("s").tokens == 2**52 + 1


def test_many_turns_at_once(store):
    items = [item for number in range(3_000) for item in said(str(number))]
    store.add_items("s", items)
    turns = store.list_turns("s", limit=None)
    assert [turn.number for turn in turns] == [*range(1, 3_001)]
    assert [turn.text for turn in turns] == [item["content"] for item in items]
    store.branch("s", "b", before_turn=2_501)
    assert store.list_turns("b", limit=None) == turns[:2_500]
    assert store.truncate("s", after_position=turns[9].position) == 2_990
    assert store.list_turns("s") == turns[:10]


def test_turns_expire_with_the_session(make_store, own_keys):
    clock = Clock()
    store = make_store(clock=clock, ttl_seconds=100)
    turns = keys_of(store).turns
    store.add_items("s", numbered(1))
    store.add_items("s", turn("one"))
    assert 90_000 + MARGIN * 1_000 < own_keys()[turns] <= 100_000 + MARGIN * 1_000
    store.branch("s", "b", ttl_seconds=1_000)
    assert own_keys()[keys_of(store, "b").turns] > 900_000 + MARGIN * 1_000
    store.set_expiry("s", None)
    assert own_keys()[turns] == -1
    store.delete_session("s")
    store.delete_session("b")
    assert not [key for key in own_keys() if b":turns:" in key or b":branches" in key]


def test_an_earlier_session_that_expires_has_turns_that_do(old, own_keys):
    old.set_metadata("t", {})
    old.add_items("s", numbered(1), ttl_seconds=100)
    old.list_turns("s")
    assert 0 < own_keys()[keys_of(old).turns] <= 100_000 + MARGIN * 1_000


def branch_entries(store, valkey):
    with valkey.client() as client:
        return sum(client.zcard(shard.branches) for shard in store.keyspace.shards)


def test_the_index_of_branches_has_those_that_exist(store, valkey):
    store.add_items("s", turn("one"))
    store.add_items("t", turn("one"))
    for name in "abc":
        store.branch("s", name)
    assert branch_entries(store, valkey) == 2 * 3
    store.branch("t", "a")
    assert branch_entries(store, valkey) == 2 * 3
    store.delete_session("a")
    store.replace_items("b", numbered(1))
    assert [branch.session_id for branch in store.list_branches("s")] == ["b", "c"]
    store.delete_session("b")
    store.add_items("b", numbered(1))
    assert [branch.session_id for branch in store.list_branches("s")] == ["c"]
    assert branch_entries(store, valkey) == 2


def test_branches_that_the_server_has_expired_leave_the_index(make_store, own_keys, valkey):
    clock = Clock()
    store = make_store(clock=clock, shards=1)
    store.add_items("s", turn("one"))
    for name in "abc":
        store.branch("s", name, ttl_seconds=10)
    assert len(store.list_branches("s")) == 3
    with valkey.client() as client:
        client.delete(*(key for key, ttl in own_keys().items() if ttl > 0))
    assert store.list_branches("s") == []
    # Another session with the name of a branch.
    store.add_items("a", numbered(1))
    assert store.list_branches("s") == []
    assert branch_entries(store, valkey) == 2 * 2
    clock.pass_(10 + MARGIN)
    store.add_items("s", numbered(1))
    assert branch_entries(store, valkey) == 0


def test_damaged_turns(store, valkey):
    store.add_items("s", [*turn("one"), *turn("two")])
    keys = keys_of(store)
    with valkey.client() as client:
        client.lset(keys.turns, 0, "damaged")
        client.lset(keys.items, 2, "damaged")
    with pytest.raises(BackendError, match="damaged"):
        store.list_turns("s")
    with valkey.client() as client:
        client.lset(keys.turns, 0, "0 0 1 ? {damaged")
    assert numbers_and_texts(store) == [(1, "one"), (2, "")]
    assert store.get_usage("s", by="turn") == {}
    assert store.truncate("s", before_turn=1) == 4
