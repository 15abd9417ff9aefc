"""What operations cost: commands, not time. No cost grows with the length of a session."""

import pytest

from parlant_store.types import SessionRecord
from tests.backends.redis.conftest import stores_on
from tests.contract.snapshot_values import said
from tests.contract.turn_values import turn, usage
from tests.contract.values import numbered
from tests.servers import redis_servers


@pytest.fixture
def server():
    with redis_servers.server(redis_servers.valkey()) as running:
        yield running


@pytest.fixture
def store(server):
    with stores_on(url=server.url) as make:
        yield make()


class Traffic:
    """What a server gets and sends between ``with`` and its end."""

    def __init__(self, server) -> None:
        self.server = server

    def read(self) -> dict[str, int]:
        with self.server.client() as client:
            info = client.info("stats")
            calls = client.info("commandstats")
        return {
            "in": info["total_net_input_bytes"],
            "out": info["total_net_output_bytes"],
            "scripts": calls.get("cmdstat_evalsha", {}).get("calls", 0),
            "reads": info["total_reads_processed"],
            "trimmed": calls.get("cmdstat_ltrim", {}).get("calls", 0),
            "rows": calls.get("cmdstat_hmget", {}).get("calls", 0),
            "ranges": calls.get("cmdstat_zrevrange", {}).get("calls", 0),
        }

    def __enter__(self):
        self.before = self.read()
        return self

    def __exit__(self, *exc):
        after = self.read()
        self.spent = {name: after[name] - self.before[name] for name in after}


def test_a_turn_of_a_long_session_sends_its_own_items(store, server):
    long = said(*(f"message {number}" for number in range(5_000)))
    for name, count in (("first", 1), ("long", 5_000), ("short", 10)):
        store.save_snapshot(name, long[:count], state={})
    costs = []
    # First the scripts are loaded.
    for name in ("first", "long", "short"):
        revision = store.load_snapshot(name).revision
        with Traffic(server) as traffic:
            store.save_snapshot(
                name, said("one", "two"), state={}, since=revision, keep=revision.item_count
            )
            store.add_items(name, said("three"))
            store.pop_item(name)
            store.get_items(name, limit=5)
            store.set_metadata(name, {"a": 1})
            store.get_session(name)
        costs.append(traffic.spent)
    _, long_cost, short_cost = costs
    assert abs(long_cost["in"] - short_cost["in"]) < 500
    assert abs(long_cost["out"] - short_cost["out"]) < 500
    assert long_cost["scripts"] == short_cost["scripts"] == 4
    assert store.get_session("long").item_count == 5_002


def test_a_window_that_drops_its_oldest_items(store, server):
    store.save_snapshot("s", numbered(*range(1_000)), state={})
    revision = store.load_snapshot("s").revision
    with Traffic(server) as traffic:
        store.save_snapshot("s", numbered(1_000, 1_001), state={}, since=revision, drop=2, keep=998)
    assert traffic.spent["in"] < 5_000
    assert traffic.spent["trimmed"] == 2
    assert store.get_items("s") == numbered(*range(2, 1_002))


def test_a_batch_of_sessions_is_sent_together(store, server):
    records = [SessionRecord(session_id=f"s{n}", items=numbered(n)) for n in range(101)]
    # First the scripts are loaded.
    store.write_sessions(records[:1])
    store.read_sessions([("", "s0")])
    with Traffic(server) as traffic:
        assert store.write_sessions(records[1:]) == [True] * 100
    assert traffic.spent["scripts"] == 100
    assert traffic.spent["reads"] < 50
    with Traffic(server) as traffic:
        assert len(store.read_sessions([("", record.session_id) for record in records])) == 101
    assert traffic.spent["scripts"] == 101
    assert traffic.spent["reads"] < 50


def test_a_listing_does_not_grow_with_what_has_expired(store, server):
    for number in range(300):
        store.add_items(f"s{number}", numbered(1), ttl_seconds=0.001)
    store.add_items("t", numbered(1))
    store.expire()
    with Traffic(server) as traffic:
        assert [session.session_id for session in store.list_sessions().sessions] == ["t"]
    assert traffic.spent["scripts"] == 64


def test_a_page_asks_each_shard_for_its_part(store, server):
    for number in range(500):
        store.add_items(f"s{number:03}", numbered(1))
    with Traffic(server) as traffic:
        page = store.list_sessions(limit=64)
    assert [session.session_id for session in page.sessions] == [f"s{n:03}" for n in range(64)]
    assert traffic.spent["scripts"] < 2 * 64
    # Of 500 sessions, some hundreds of bytes each, far from all are sent.
    assert traffic.spent["out"] < 64 * 500 + 64 * 6 * 150


def test_a_search_sends_no_texts_of_sessions_that_do_not_match(store, server):
    for number in range(200):
        store.add_items(f"s{number}", said("nothing of the kind " * 50))
    store.add_items("t", said("a zebra"))
    with Traffic(server) as traffic:
        assert [hit.session_id for hit in store.search("zebra")] == ["t"]
    assert traffic.spent["out"] < 10_000


HISTORY = {
    "list_turns": lambda store, name, _: store.list_turns(name, newest_first=True, limit=3),
    "list_turns after": lambda store, name, _: store.list_turns(name, after=2, limit=3),
    "get_usage": lambda store, name, _: store.get_usage(name),
    "get_usage by turn": lambda store, name, _: store.get_usage(name, by="turn"),
    "add_usage": lambda store, name, _: store.add_usage(name, usage(3), turn=1),
    "replace_tail": lambda store, name, last: store.replace_tail(name, last, turn("new")),
    "truncate": lambda store, name, last: store.truncate(name, before_turn=(last + 1) // 2),
    "branch": lambda store, name, _: store.branch(name, "b", before_turn=3),
}
"""Each with a session and the position of its last item, which ends a turn of two."""


@pytest.mark.parametrize("name", HISTORY)
def test_history_of_a_long_session_costs_what_is_returned(store, server, name):
    operation = HISTORY[name]
    costs = []
    # First the scripts are loaded.
    for session, count in (("first", 5), ("long", 3_000), ("short", 5)):
        store.add_items(session, [item for _ in range(count) for item in turn("hello")])
        if session == "first":
            operation(store, session, 2 * count - 1)
            continue
        with Traffic(server) as idle:
            pass
        with Traffic(server) as traffic:
            operation(store, session, 2 * count - 1)
        costs.append({key: traffic.spent[key] - idle.spent[key] for key in idle.spent})
    long_cost, short_cost = costs
    assert abs(long_cost["in"] - short_cost["in"]) < 100
    assert abs(long_cost["out"] - short_cost["out"]) < 100
    assert long_cost["reads"] == short_cost["reads"] == (2 if name == "branch" else 1)
    assert long_cost["scripts"] == {"get_usage": 0, "branch": 2}.get(name, 1)


def test_branches_are_found_by_one_command_for_each_shard(store, server):
    for number in range(300):
        store.add_items(f"s{number}", turn("one"))
        store.branch(f"s{number}", f"b{number}")
    with Traffic(server) as traffic:
        assert [branch.session_id for branch in store.list_branches("s7")] == ["b7"]
    assert traffic.spent["scripts"] == 64
    assert traffic.spent["out"] < 30_000
