"""Servers and a network that fail: nothing is lost, nothing is written twice."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from parlant_store import stores
from parlant_store.exceptions import (
    AccessDenied,
    BackendError,
    OutcomeUnknown,
    StoreError,
    StoreUnavailable,
)
from tests.backends.redis.conftest import stores_on
from tests.contract.snapshot_values import said
from tests.contract.threads import in_threads
from tests.contract.values import numbered
from tests.servers import redis_servers
from tests.servers.lossy_network import Proxy, proxy_to
from tests.servers.redis_servers import wait_until

OPERATIONS = 250
WRITERS = 5
AT_ONCE = ("--repl-diskless-sync-delay", "0")
"""Replicas get a copy without waiting for others."""

NUMBERS = ["key", "next", "count", "tokens", "created", "updated", "expires", "first", "turns"]

TEXTS = ["metadata", "state", "owner", "buckets", "usage", "usage_0", "parent", "parent_position"]


@pytest.fixture
def own_valkey():
    """A server that a test may break."""
    with redis_servers.server(redis_servers.valkey(), *AT_ONCE) as running:
        yield running


@pytest.fixture
def proxy(valkey) -> Iterator[Proxy]:
    with proxy_to("127.0.0.1", valkey.port) as proxy:
        yield proxy


@pytest.fixture
def lossy_store(proxy):
    with stores_on(url=f"redis://127.0.0.1:{proxy.port}") as make:
        store = make()
        store.add_items("s", numbered(1))
        yield store


def write_all(store, trouble) -> None:
    """OPERATIONS of all kinds by several writers at once, with ``trouble`` now and then."""
    turns = range(OPERATIONS // WRITERS // 4)

    def write(writer: int) -> None:
        session = f"s{writer}"
        revision = store.save_snapshot("saved", [], state={}, namespace=session)
        for turn in turns:
            if writer == 0:
                trouble()
            store.add_items(session, numbered(10 * turn, 10 * turn + 1))
            assert store.pop_item(session) == {"n": 10 * turn + 1}
            store.set_metadata("shared", {f"{session}-{turn}": True}, merge=True)
            revision = store.save_snapshot(
                "saved",
                numbered(turn),
                state={"turn": turn},
                namespace=session,
                since=revision,
                keep=revision.item_count,
            )
            assert revision is not None

    in_threads(write, WRITERS)
    for writer in range(WRITERS):
        assert store.get_items(f"s{writer}") == numbered(*(10 * turn for turn in turns))
        assert store.load_snapshot("saved", namespace=f"s{writer}").items == numbered(*turns)
    assert len(store.get_metadata("shared")) == WRITERS * len(turns)


def test_answers_that_are_lost(lossy_store, proxy):
    write_all(lossy_store, proxy.lose)
    assert proxy.lost > 5


def test_connections_that_break(lossy_store, proxy):
    write_all(lossy_store, proxy.cut)


@pytest.mark.parametrize(
    ("write", "answer"),
    [
        (lambda store: store.pop_item("s"), {"n": 1}),
        (lambda store: store.delete_session("s"), True),
        (lambda store: store.set_metadata("s", {"a": 1}), {"a": 1}),
        (lambda store: store.save_snapshot("s", numbered(2), state={}).item_count, 1),
    ],
)
def test_the_answer_of_a_repeated_write_is_the_first(lossy_store, proxy, write, answer):
    proxy.lose()
    assert write(lossy_store) == answer
    assert proxy.lost == 1


def test_a_lost_answer_that_stays_lost(valkey, proxy):
    with stores_on(url=f"redis://127.0.0.1:{proxy.port}", timeout=0.5) as make:
        store = make()
        store.add_items("s", numbered(1))
        proxy.lose(stays_down=True)
        with pytest.raises(OutcomeUnknown):
            store.add_items("s", numbered(2), request_id="an id")
        with pytest.raises(StoreUnavailable) as failed:
            store.add_items("s", numbered(3))
        assert not isinstance(failed.value, OutcomeUnknown)
        with pytest.raises(StoreUnavailable) as failed:
            store.get_items("s")
        assert not isinstance(failed.value, OutcomeUnknown)
        proxy.is_down = proxy.stays_down = False
        store.add_items("s", numbered(2), request_id="an id")
        assert store.get_items("s") == numbered(1, 2)


def test_a_server_that_is_started_again(own_valkey):
    with stores_on(url=own_valkey.url) as make:
        store = make()
        store.add_items("s", numbered(1))
        own_valkey.stop()
        starting = threading.Timer(0.3, own_valkey.start)
        starting.start()
        # It has lost the scripts, and what was stored.
        store.add_items("s", numbered(2))
        starting.join()
        assert store.get_items("s") == numbered(2)


def test_scripts_that_the_server_has_forgotten(store, valkey):
    with valkey.client() as client:
        for number in range(3):
            client.script_flush()
            store.add_items("s", said(f"word {number}"))
            client.script_flush()
            assert len(store.search("word")) == len(store.list_sessions().sessions) == 1


def test_no_server():
    with redis_servers.temporary_folder() as folder:
        idle = redis_servers.Server(redis_servers.valkey(), folder, ())
        with stores_on(url=idle.url, timeout=0.2) as make:
            for call in (
                lambda: make().get_items("s"),
                lambda: make().add_items("s", numbered(1)),
                lambda: make().list_sessions(),
            ):
                with pytest.raises(StoreUnavailable) as failed:
                    call()
                assert not isinstance(failed.value, OutcomeUnknown)
            (message,) = make().check()
            assert message.id == "parlant_store.W019"


def test_a_server_that_does_not_answer(own_valkey):
    with stores_on(url=own_valkey.url, timeout=0.5) as make:
        store = make()
        store.add_items("s", numbered(1))
        process = own_valkey.process_id()
        os.kill(process, signal.SIGSTOP)
        try:
            with pytest.raises(OutcomeUnknown):
                store.add_items("s", numbered(2), request_id="an id")
        finally:
            os.kill(process, signal.SIGCONT)
        wait_until(lambda: answers(store), lambda: "no answer")
        store.add_items("s", numbered(2), request_id="an id")
        assert store.get_items("s") == numbered(1, 2)


def answers(store) -> bool:
    with suppress(StoreUnavailable):
        store.get_items("s")
        return True
    return False


async def test_a_cancelled_call(own_valkey):
    with stores_on(url=own_valkey.url) as make:
        store = make()
        store.add_items("s", numbered(1))
        process = own_valkey.process_id()
        os.kill(process, signal.SIGSTOP)
        try:
            task = asyncio.create_task(store.aadd_items("s", numbered(2)))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 30)
        finally:
            os.kill(process, signal.SIGCONT)
        store.add_items("s", numbered(3))
        assert store.get_items("s") in (numbered(1, 3), numbered(1, 2, 3))


def test_full_memory(own_valkey):
    with stores_on(url=own_valkey.url) as make, own_valkey.client() as client:
        store = make()
        store.add_items("s", said("a b c"), user_id="ada", ttl_seconds=1_000)
        store.add_items("t", said("a b c"))
        before = store.load_snapshot("s")
        client.config_set("maxmemory", 1)
        for write in (
            lambda: store.add_items("s", said("more")),
            lambda: store.replace_items("s", said("others")),
            lambda: store.save_snapshot("s", said("others"), state={"a": 1}),
            lambda: store.set_metadata("s", {"a": 1}),
            lambda: store.branch("s", "t"),
            lambda: store.add_items("new", said("more")),
        ):
            with pytest.raises(BackendError, match="maxmemory"):
                write()
        assert store.load_snapshot("s") == before
        assert len(store.search("b")) == len(store.list_sessions().sessions) == 2
        # What makes room is done.
        assert store.pop_item("s") is not None
        assert store.delete_session("t")
        assert store.list_sessions().sessions[0].item_count == 0
        client.config_set("maxmemory", 0)
        store.add_items("s", said("more"))


def test_a_read_only_replica(own_valkey):
    with redis_servers.server(redis_servers.valkey()) as replica, replica.client() as client:
        with stores_on(url=own_valkey.url, prefix="same") as make:
            make().add_items("s", numbered(1))
        client.execute_command("REPLICAOF", "127.0.0.1", own_valkey.port)
        wait_until(lambda: client.role()[3] == b"connected", lambda: "not connected")
        wait_until(lambda: client.exists("same:shards") == 1, lambda: "not replicated")
        with stores_on(url=replica.url, prefix="same", timeout=0.3) as make:
            store = make()
            assert store.get_items("s") == numbered(1)
            with pytest.raises(StoreUnavailable, match="replica") as failed:
                store.add_items("s", numbered(2))
            assert not isinstance(failed.value, OutcomeUnknown)
            client.execute_command("REPLICAOF", "NO", "ONE")
            store.add_items("s", numbered(2))
            assert store.get_items("s") == numbered(1, 2)


def test_writes_that_wait_for_replicas(own_valkey):
    with redis_servers.server(redis_servers.valkey()) as replica, replica.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", own_valkey.port)
        wait_until(lambda: client.role()[3] == b"connected", lambda: "not connected")
        with stores_on(url=own_valkey.url, acknowledge=1, timeout=30) as make:
            store = make()
            shard = store.keyspace.shard_of(b"\0s")
            for number in range(20):
                store.add_items("s", numbered(number))
                assert client.llen(shard.items + b"\0s") == number + 1
        replica.stop()
        with stores_on(url=own_valkey.url, acknowledge=1, timeout=2) as make:
            store = make()
            with pytest.raises(OutcomeUnknown, match="of 1 replicas"):
                store.add_items("s", numbered(1), request_id="an id")
            assert store.get_items("s") == numbered(1)


# Access


@pytest.fixture
def guarded():
    """A server that asks for a password."""
    with redis_servers.server(redis_servers.valkey(), "--requirepass", "the right one") as running:
        yield running


def test_a_wrong_password_is_never_shown(guarded, caplog):
    url = f"redis://:a-secret-word@127.0.0.1:{guarded.port}"
    with stores_on(url=url) as make:
        store = make()
        with pytest.raises(AccessDenied) as failed:
            store.get_items("s")
        (message,) = store.check()
        shown = [str(failed.value), repr(failed.value.__cause__), repr(store), str(message)]
        shown += [repr(vars(store)), repr(vars(store.connection)), caplog.text]
        assert not any("a-secret-word" in text for text in shown)
        assert message.id == "parlant_store.W019"
        for traceback in frames(failed.value):
            assert "a-secret-word" not in repr(traceback.f_locals)
    with stores_on(url=guarded.url) as make, pytest.raises(AccessDenied, match="NOAUTH|required"):
        make().add_items("s", numbered(1))


def frames(error: BaseException | None) -> Iterator:
    while error is not None:
        traceback = error.__traceback__
        while traceback is not None:
            # The test's own frame has the url.
            if "parlant_store/backends" in traceback.tb_frame.f_code.co_filename:
                yield traceback.tb_frame
            traceback = traceback.tb_next
        error = error.__cause__


def test_a_user_who_may_use_the_prefix_only(own_valkey):
    with own_valkey.client() as client:
        client.acl_setuser(
            "agent",
            enabled=True,
            passwords=["+pw"],
            keys=["mine:*"],
            categories=["+@all", "-@dangerous"],
        )
        url = f"redis://agent:pw@127.0.0.1:{own_valkey.port}"
        with stores_on(url=url, prefix="mine") as make:
            store = make()
            store.add_items("s", said("hello"), user_id="ada", ttl_seconds=9)
            store.save_snapshot("s", said("hello"), state={"a": 1})
            store.set_metadata("s", {"a": 1}, merge=True)
            store.branch("s", "t")
            assert len(store.search("hello")) == len(store.list_sessions().sessions) == 2
            assert len(list(store.list_summaries())) == 2
            assert store.pop_item("s") is not None
            assert store.delete_session("s")
            store.expire()
        with stores_on(url=url, prefix="others") as make, pytest.raises(AccessDenied):
            make().add_items("s", numbered(1))
        assert all(key.startswith(b"mine:") for key in client.scan_iter())


# Keys of others, and damaged ones


def test_a_key_of_another_type(store, valkey):
    items = [*said("hello"), {"type": "function_call_output", "output": "rain"}]
    store.add_items("source", items, user_id="ada")
    store.branch("source", "s", ttl_seconds=100)
    name = b"\0s"
    keys = store.keyspace.shard_of(name).keys(name)
    calls = [
        lambda: store.add_items("s", said("more"), user_id="bob"),
        lambda: store.replace_items("s", said("others")),
        lambda: store.save_snapshot("s", said("others"), state={}),
        lambda: store.pop_item("s"),
        lambda: store.delete_session("s"),
        lambda: store.replace_tail("s", 0, said("others")),
        lambda: store.add_usage("s", 5),
        lambda: store.branch("source", "s"),
        lambda: store.get_items("s"),
        lambda: store.load_snapshot("s"),
        lambda: store.list_turns("s"),
        lambda: store.list_branches("source"),
        lambda: store.list_sessions(),
        lambda: store.list_sessions(order="activity"),
        lambda: list(store.list_summaries()),
        lambda: store.search("hello"),
        lambda: store.search("rain", tools=True),
        lambda: store.expire(),
    ]
    with valkey.client() as client:
        before = dict(zip(keys, map(client.dump, keys), strict=True))
        for key in keys:
            client.set(key, "a text")
            for call in calls:
                with suppress(BackendError):
                    call()
            with pytest.raises(BackendError, match="another type"):
                calls[0]()
            for other in keys:
                if other != key:
                    assert client.exists(other), (key, other)
            for each, stored in before.items():
                client.restore(each, 0, stored, replace=True)
    assert store.get_items("s") == items


@pytest.mark.parametrize("value", [b"", b"x", b"\xff\xfe", b"-", b"1e400", b"nan", b"[1]"])
@pytest.mark.parametrize("field", [*NUMBERS, *TEXTS])
def test_damaged_fields_are_clear_errors(store, valkey, field, value):
    store.save_snapshot("s", said("hello"), state={"a": 1}, ttl_seconds=100)
    with valkey.client() as client:
        name = b"\0s"
        client.hset(store.keyspace.shard_of(name).keys(name).session, field, value)
    for call in (
        lambda: store.get_items("s"),
        lambda: store.load_snapshot("s"),
        lambda: store.get_session("s"),
        lambda: store.list_sessions(where={"a": {"$eq": 1}}),
        lambda: list(store.list_summaries()),
        lambda: store.search("hello"),
        lambda: store.set_metadata("s", {"b": 1}, merge=True),
        lambda: store.add_items("s", said("more")),
        lambda: store.branch("s", "t"),
        lambda: store.branch("s", "t", before_turn=1),
        lambda: store.list_turns("s"),
        lambda: store.list_branches("s"),
        lambda: store.add_usage("s", 5),
        lambda: store.add_usage("s", 5, turn=0),
        lambda: store.get_usage("s"),
        lambda: store.get_usage("s", by="turn"),
        lambda: store.replace_tail("s", 1, said("others")),
        lambda: store.pop_item("s"),
        lambda: list(store.list_expired()),
        lambda: store.expire(),
        lambda: store.delete_session("s"),
    ):
        with suppress(StoreError):
            call()


def test_damaged_items_are_skipped(store, valkey, caplog):
    store.add_items("s", numbered(1, 2, 3, 4))
    name = b"\0s"
    items = store.keyspace.shard_of(name).keys(name).items
    with valkey.client() as client:
        client.lset(items, 1, b"{")
        client.lset(items, 2, b'{"a": "\xff"}')
    assert store.get_items("s") == numbered(1, 4)
    assert store.get_items("s", limit=2) == numbered(1, 4)
    assert store.load_snapshot("s").items == numbered(1, 4)
    assert [store.pop_item("s") for _ in range(3)] == [*numbered(4, 1), None]
    assert "damaged item" in caplog.text


def test_another_number_of_shards(make_store):
    make_store(shards=8).add_items("s", numbered(1))
    other = make_store(shards=9)
    with pytest.raises(BackendError, match="has shards 9, but what is stored has 8"):
        other.get_items("s")
    (message,) = other.check()
    assert message.id == "parlant_store.E004"
    assert make_store(shards=8).check() == []


@pytest.mark.parametrize(
    ("policy", "ids"),
    [
        ("noeviction", []),
        ("volatile-ttl", []),
        ("allkeys-lru", ["parlant_store.W020"]),
        ("allkeys-random", ["parlant_store.W020"]),
    ],
)
def test_policies_that_delete_parts_of_sessions(make_store, valkey, policy, ids):
    with valkey.client() as client:
        client.config_set("maxmemory-policy", policy)
        try:
            assert [message.id for message in make_store().check()] == ids
        finally:
            client.config_set("maxmemory-policy", "noeviction")


def test_the_checks_of_a_project(valkey, settings, transactional_db):
    from django.core.management import call_command

    options = {"url": valkey.url, "prefix": "checked"}
    settings.PARLANT_STORES = {
        "default": {"BACKEND": "parlant_store.backends.redis.RedisBackend", "OPTIONS": options}
    }
    try:
        call_command("check", fail_level="WARNING")
        stores["default"].add_items("s", numbered(1))
    finally:
        stores.close_all()
