"""What every store of checkpoints does."""

from ast import literal_eval
from typing import Any

import pytest

from parlant_store.exceptions import InvalidFilter, InvalidInput, InvalidLimit, InvalidName
from parlant_store.types import (
    ChannelValue,
    Checkpoint,
    CheckpointCursor,
    TaskWrite,
    TypedBytes,
)
from tests.contract.stores import Timed
from tests.contract.values import nested

NAMES = [
    "plain",
    "",
    "with \0 NUL",
    "\ud800 alone",
    "quotes \" ' \\ {} [] , $.a %s %",
    "a\x01\x01b",
    "ünï\U0001f600",
    "-" * 5_000,
    "\0" * 600,
]


def checkpoint(
    number: int | str, versions: dict[str, Any] | None = None, **options: Any
) -> Checkpoint:
    id_ = f"{number:04}" if isinstance(number, int) else number
    value = TypedBytes("raw", f"checkpoint {id_!a}".encode())
    return Checkpoint(checkpoint_id=id_, versions=versions or {}, value=value, **options)


def changed(**versions: Any) -> list[ChannelValue]:
    """Return a value for each channel."""
    return [
        ChannelValue(channel=name, version=version, value=raw(f"{name} {version}"))
        for name, version in versions.items()
    ]


def raw(text: str) -> TypedBytes:
    return TypedBytes("raw", ascii(text).encode())


def write(task_id: str, idx: int, text: str = "", **options: Any) -> TaskWrite:
    options = {"channel": "c"} | options
    return TaskWrite(task_id=task_id, idx=idx, value=raw(text or f"{task_id} {idx}"), **options)


def ids(stored: list[Any]) -> list[str]:
    return [each.checkpoint.checkpoint_id for each in stored]


def texts(writes: Any) -> list[str]:
    return [literal_eval(each.value.data.decode()) for each in writes]


class Threads(Timed):
    """A store with threads."""

    def put(self, store, *numbers: int, thread_id: str = "t", **options: Any) -> None:
        """Store a chain of checkpoints, each with a version of the channel "c"."""
        for before, number in zip((None, *numbers), numbers, strict=False):
            parent = None if before is None else f"{before:04}"
            made = checkpoint(number, {"c": number}, parent_id=parent, **options)
            store.put_checkpoint(thread_id, made, changed(c=number))


class CheckpointContract(Threads):
    def test_a_checkpoint_comes_back(self, store):
        versions = {"a": 1, "b": "1", "c": 1.5, "none": 7}
        made = checkpoint(
            1, versions, parent_id="0000", checkpoint_ns="n:1", metadata={"step": 1, "x": [None]}
        )
        store.put_checkpoint("t", made, changed(a=1, b="1", c=1.5))
        store.put_writes("t", "0001", [write("task", 0)], checkpoint_ns="n:1")
        stored = store.get_checkpoint("t", checkpoint_ns="n:1")
        assert stored.thread_id == "t"
        assert stored.checkpoint == made
        assert stored.values == {"a": raw("a 1"), "b": raw("b 1"), "c": raw("c 1.5")}
        assert stored.writes == (write("task", 0),)
        assert store.get_checkpoint("t", "0001", checkpoint_ns="n:1") == stored
        assert store.list_checkpoints("t") == [stored]

    def test_any_bytes_come_back(self, store):
        every = TypedBytes("any \0", bytes(range(256)) * 100)
        value = ChannelValue(channel="c", version=1, value=every)
        made = Checkpoint(checkpoint_id="1", value=every, versions={"c": 1})
        store.put_checkpoint("t", made, [value])
        written = TaskWrite(task_id="t", idx=0, channel="c", value=TypedBytes("", b""))
        store.put_writes("t", "1", [written])
        stored = store.get_checkpoint("t")
        assert stored.checkpoint.value == every
        assert stored.values == {"c": every}
        assert stored.writes == (written,)

    def test_without_an_id_it_is_the_greatest(self, store):
        self.put(store, 2, 10, 1)
        assert store.get_checkpoint("t").checkpoint.checkpoint_id == "0010"
        assert store.get_checkpoint("t", "0002").checkpoint.checkpoint_id == "0002"
        assert store.get_checkpoint("t", "0003") is None
        assert store.get_checkpoint("t", checkpoint_ns="other") is None
        assert store.get_checkpoint("other") is None

    def test_a_value_that_did_not_change_is_read_at_its_version(self, store):
        store.put_checkpoint("t", checkpoint(1, {"a": 1, "b": 1}), changed(a=1, b=1))
        store.put_checkpoint("t", checkpoint(2, {"a": 2, "b": 1}), changed(a=2))
        store.put_checkpoint("t", checkpoint(3, {"a": 3}), changed(a=3))
        assert store.get_checkpoint("t").values == {"a": raw("a 3")}
        assert store.get_checkpoint("t", "0002").values == {"a": raw("a 2"), "b": raw("b 1")}
        assert store.get_checkpoint("t", "0001").values == {"a": raw("a 1"), "b": raw("b 1")}

    def test_versions_of_other_kinds_are_others(self, store):
        store.put_checkpoint("t", checkpoint(1, {"a": 1}), changed(a="1"))
        assert store.get_checkpoint("t").values == {}

    def test_the_same_id_replaces_a_checkpoint_and_its_values(self, store):
        first = checkpoint(1, {"a": 1}, parent_id="0000", metadata={"run_id": "r"})
        store.put_checkpoint("t", first, changed(a=1))
        other = ChannelValue(channel="a", version=1, value=raw("other"))
        store.put_checkpoint("t", checkpoint(1, {"a": 1}, metadata={"n": 2}), [other])
        (stored,) = store.list_checkpoints("t")
        assert stored.checkpoint.metadata == {"n": 2}
        assert stored.checkpoint.parent_id == "0000"
        assert stored.values == {"a": raw("other")}
        assert store.delete_runs(["r"]) == 0

    @pytest.mark.parametrize("name", NAMES)
    def test_any_thread_id(self, store, name):
        self.put(store, 1, thread_id=name)
        self.put(store, 1, thread_id=name + "x")
        stored = store.get_checkpoint(name)
        assert stored.thread_id == name
        assert {each.thread_id for each in store.list_checkpoints()} == {name, name + "x"}
        assert {each.thread_id for each in store.list_threads().threads} == {name, name + "x"}
        assert store.copy_thread(name, "copy")
        assert store.delete_thread(name)
        assert store.get_checkpoint(name) is None
        assert store.get_checkpoint(name + "x") is not None

    @pytest.mark.parametrize("name", NAMES)
    def test_any_namespace_of_a_subgraph(self, store, name):
        self.put(store, 1, checkpoint_ns=name)
        store.put_writes("t", "0001", [write("a", 0)], checkpoint_ns=name)
        stored = store.get_checkpoint("t", checkpoint_ns=name)
        assert stored.checkpoint.checkpoint_ns == name
        assert stored.values == {"c": raw("c 1")}
        assert len(stored.writes) == 1

    @pytest.mark.parametrize("name", NAMES[:-2])
    def test_any_other_name(self, store, name):
        channel = ChannelValue(channel=name, version=name, value=raw("value"))
        made = checkpoint(
            f"1{name}", {name: name}, parent_id=f"0{name}", metadata={name: {name: name}}
        )
        store.put_checkpoint("t", checkpoint(f"0{name}", {name: name}), [channel])
        store.put_checkpoint("t", made)
        written = write(name, 0, channel=name, task_path=name)
        store.put_writes("t", f"0{name}", [written])
        store.put_writes("t", f"1{name}", [written])
        stored = store.get_checkpoint("t")
        assert stored.checkpoint == made
        assert stored.values == {name: raw("value")}
        assert stored.writes == (written,)
        assert store.list_checkpoints("t", where={name: {name: name}}) == [stored]
        history = store.get_channel_history("t", [name])[name]
        assert history.seed == raw("value")
        assert history.writes == (written,)

    def test_names_that_would_be_the_same_if_they_were_joined(self, store):
        places = [("a", "b-c"), ("a-b", "c"), ("a-b-c", ""), ("", "a-b-c"), ("a\x01", "\x01b")]
        for number, (thread_id, ns) in enumerate(places):
            self.put(store, number, thread_id=thread_id, checkpoint_ns=ns)
        for number, (thread_id, ns) in enumerate(places):
            stored = store.get_checkpoint(thread_id, checkpoint_ns=ns)
            assert stored.checkpoint.checkpoint_id == f"{number:04}"
        assert store.delete_thread("a-b")
        assert store.get_checkpoint("a", checkpoint_ns="b-c") is not None

    def test_names_that_are_too_long(self, store):
        long = "-" * 513
        for name, call in {
            "checkpoint_id": lambda: store.put_checkpoint("t", checkpoint(long)),
            "parent_id": lambda: store.put_checkpoint("t", checkpoint(1, parent_id=long)),
            "name of a channel": lambda: store.put_checkpoint("t", checkpoint(1, {long: 1})),
            "version": lambda: store.put_checkpoint("t", checkpoint(1, {"c": long})),
            "task_id": lambda: store.put_writes("t", "1", [write(long, 0)]),
        }.items():
            with pytest.raises(InvalidName, match=f"{name}.* has more than 512 bytes"):
                call()
        assert store.list_threads().threads == ()

    def test_ids_are_text(self, store):
        with pytest.raises(InvalidName, match="thread_id must be text, not int"):
            store.get_checkpoint(1)
        with pytest.raises(InvalidName, match="task_path must be text, not NoneType"):
            store.put_writes("t", "0001", [write("a", 0, task_path=None)])

    def test_a_text_is_no_list(self, store):
        self.put(store, 1)
        with pytest.raises(InvalidName, match="run_ids must be a list"):
            store.delete_runs("run")
        with pytest.raises(InvalidName, match="channels must be a list"):
            store.get_channel_history("t", "log")
        with pytest.raises(InvalidFilter, match="filter must be a dict, not list"):
            store.list_checkpoints("t", where=[("step", 1)])

    def test_the_first_write_stays_but_the_last_below_zero(self, store):
        self.put(store, 1)
        store.put_writes("t", "0001", [write("a", 0, "first"), write("a", -1, "first")])
        mixed = [write("a", 0, "last"), write("a", 1, "new"), write("a", -1, "last")]
        store.put_writes("t", "0001", mixed)
        assert texts(store.get_checkpoint("t").writes) == ["last", "first", "new"]

    def test_the_same_within_one_call(self, store):
        self.put(store, 1)
        twice = [write("a", idx, text) for text in ("first", "last") for idx in (0, -1)]
        store.put_writes("t", "0001", twice)
        assert texts(store.get_checkpoint("t").writes) == ["last", "first"]

    def test_writes_are_sorted_by_path_then_task(self, store):
        self.put(store, 1)
        for task, idx, path in (("a", 0, "~2"), ("b", 1, "~1"), ("b", 0, "~1"), ("a", 5, "")):
            store.put_writes("t", "0001", [write(task, idx, task_path=path)])
        assert texts(store.get_checkpoint("t").writes) == ["a 5", "b 0", "b 1", "a 0"]

    def test_writes_may_come_before_their_checkpoint(self, store):
        store.put_writes("t", "0001", [write("a", 0)])
        assert store.get_checkpoint("t") is None
        self.put(store, 1)
        assert texts(store.get_checkpoint("t").writes) == ["a 0"]

    def test_no_writes_are_nothing(self, store):
        store.put_writes("t", "0001", [])
        assert store.list_threads().threads == ()

    def test_lists_are_newest_first(self, store):
        self.put(store, 1, 2, 3)
        self.put(store, 2, thread_id="other")
        assert ids(store.list_checkpoints("t")) == ["0003", "0002", "0001"]
        assert ids(store.list_checkpoints()) == ["0003", "0002", "0002", "0001"]
        assert ids(store.list_checkpoints("t", limit=2)) == ["0003", "0002"]
        assert ids(store.list_checkpoints("t", before="0003", limit=1)) == ["0002"]
        assert ids(store.list_checkpoints("t", checkpoint_id="0002")) == ["0002"]
        assert store.list_checkpoints("t", limit=0) == []
        assert store.list_checkpoints("none") == []

    def test_pages_of_a_list(self, store):
        self.put(store, 1, 2, 3)
        self.put(store, 1, 2, 3, thread_id="other")
        found, after = [], None
        while page := store.list_checkpoints(limit=4, after=after):
            found += page
            last = page[-1]
            after = CheckpointCursor(checkpoint_id=last.checkpoint.checkpoint_id, key=last.key)
        assert ids(found) == ["0003", "0003", "0002", "0002", "0001", "0001"]
        assert len({each.key for each in found}) == 6
        assert found == store.list_checkpoints()

    def test_a_list_of_a_namespace_or_all(self, store):
        self.put(store, 1)
        self.put(store, 2, checkpoint_ns="sub")
        assert ids(store.list_checkpoints("t")) == ["0002", "0001"]
        assert ids(store.list_checkpoints("t", checkpoint_ns="")) == ["0001"]
        assert ids(store.list_checkpoints("t", checkpoint_ns="sub")) == ["0002"]

    def test_each_checkpoint_of_a_list_has_its_values_and_writes(self, store):
        self.put(store, 1, 2)
        self.put(store, 2, thread_id="other")
        store.put_writes("t", "0001", [write("a", 0)])
        store.put_writes("other", "0002", [write("b", 0)])
        for stored in store.list_checkpoints():
            same = store.get_checkpoint(stored.thread_id, stored.checkpoint.checkpoint_id)
            assert stored == same
            assert len(stored.values) == 1

    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ({}, [3, 2, 1]),
            ({"step": 1}, [1]),
            ({"step": 1.0}, [1]),
            ({"step": True}, []),
            ({"step": "1"}, []),
            ({"flag": True}, [2]),
            ({"flag": 1}, []),
            ({"none": None}, [3]),
            ({"other": None}, []),
            ({"a.b": 1}, [2]),
            ({"a": {"b": 1}}, [3]),
            ({"a": {"b": 1, "c": 2}}, [3]),
            ({"a": {}}, [3]),
            ({"a": {"b": 2}}, []),
            ({"tags": ["x"]}, [1]),
            ({"tags": ["z"]}, []),
            ({"step": 1, "tags": ["y", "x"]}, [1]),
            ({"text": "it's 100% \0"}, [3]),
            ({"deep": nested(450)}, [2]),
        ],
    )
    def test_filters(self, store, where, found):
        for number, metadata in enumerate(
            (
                {"step": 1, "tags": ["x", "y"]},
                {"flag": True, "a.b": 1, "deep": nested(450)},
                {"none": None, "a": {"b": 1, "c": 2}, "text": "it's 100% \0"},
            ),
            start=1,
        ):
            store.put_checkpoint("t", checkpoint(number, metadata=metadata))
        matching = [f"{number:04}" for number in found]
        assert ids(store.list_checkpoints("t", where=where)) == matching
        assert ids(store.list_checkpoints(where=where)) == matching

    def test_the_history_of_a_channel(self, store):
        self.put(store, 1, 2)
        for number in (3, 4, 5):
            parent = f"{number - 1:04}"
            made = checkpoint(number, {"c": 2, "d": number}, parent_id=parent)
            store.put_checkpoint("t", made)
        aside = checkpoint("0004b", {"c": 4}, parent_id="0003")
        store.put_checkpoint("t", aside, changed(c=4))
        for number in (*range(1, 6), "4b"):
            id_ = f"000{number}"
            for channel, path in (("d", ""), ("c", "~2"), ("c", "~1")):
                written = write(f"{number}{path}", 0, channel=channel, task_path=path)
                store.put_writes("t", id_, [written])
        found = store.get_channel_history("t", ["c", "d", "none"], "0005")
        assert found["c"].seed == raw("c 2")
        assert found["d"].seed is None
        assert texts(found["d"].writes) == ["1 0", "2 0", "3 0", "4 0"]
        assert found["none"].writes == ()
        assert list(found) == ["c", "d", "none"]
        assert texts(found["c"].writes) == ["4~1 0", "4~2 0"]

    def test_a_history_goes_back_to_the_nearest_value(self, store):
        store.put_checkpoint("t", checkpoint(1, {"c": 1}), changed(c=1))
        for number in (2, 3, 4):
            made = checkpoint(number, {"c": number}, parent_id=f"{number - 1:04}")
            store.put_checkpoint("t", made)
        for number in range(5):
            store.put_writes("t", f"{number:04}", [write("a", 0, str(number))])
        history = store.get_channel_history("t", ["c"])["c"]
        assert history.seed == raw("c 1")
        assert texts(history.writes) == ["1", "2", "3"]
        assert store.get_channel_history("t", ["c"], "0001")["c"].writes == ()
        assert store.get_channel_history("t", []) == {}
        assert store.get_channel_history("other", ["c"])["c"].writes == ()

    def test_delete_a_thread(self, store):
        self.put(store, 1, 2)
        self.put(store, 1, checkpoint_ns="sub")
        store.put_writes("t", "0001", [write("a", 0)])
        assert store.delete_thread("t")
        assert not store.delete_thread("t")
        assert store.list_checkpoints("t") == []
        self.put(store, 1)
        assert store.get_checkpoint("t").writes == ()

    def test_delete_runs(self, store):
        for thread_id in ("t", "u"):
            for number, run in ((1, "r"), (2, "s"), (3, "r")):
                made = checkpoint(number, {"c": number, "d": 1}, metadata={"run_id": run})
                store.put_checkpoint(thread_id, made, changed(c=number, d=1))
                store.put_writes(thread_id, f"{number:04}", [write("a", 0)])
        assert store.delete_runs(["r", "other"]) == 4
        for thread_id in ("t", "u"):
            (stored,) = store.list_checkpoints(thread_id)
            assert stored.values == {"c": raw("c 2"), "d": raw("d 1")}
            assert len(stored.writes) == 1
        store.put_checkpoint("t", checkpoint(3, {"c": 3}))
        assert store.get_checkpoint("t").values == {}
        assert store.get_checkpoint("t").writes == ()
        assert store.delete_runs([]) == 0

    def test_copy_a_thread(self, store):
        self.put(store, 1, 2)
        self.put(store, 1, checkpoint_ns="-" * 600)
        store.put_writes("t", "0001", [write("a", 0)], user_id="owner")
        self.put(store, 9, thread_id="u")
        assert store.copy_thread("t", "u")
        self.put(store, 3, thread_id="u")
        copies = [
            (each.checkpoint, each.values, each.writes) for each in store.list_checkpoints("u")
        ][1:]
        originals = [
            (each.checkpoint, each.values, each.writes) for each in store.list_checkpoints("t")
        ]
        assert copies == originals
        assert {each.user_id for each in store.list_threads().threads} == {"owner"}
        assert not store.copy_thread("none", "u")
        assert len(store.list_checkpoints("u")) == 4
        assert store.copy_thread("t", "t")
        assert len(store.list_checkpoints("t")) == 3

    def test_prune(self, store):
        self.put(store, 1, 2, 3)
        self.put(store, 1, 2, checkpoint_ns="sub")
        for number in range(1, 5):
            store.put_writes("t", f"{number:04}", [write("a", 0)])
        assert store.prune_thread("t") == 3
        (latest, sub) = store.list_checkpoints("t")
        assert ids([latest, sub]) == ["0003", "0002"]
        assert latest.checkpoint.parent_id is None
        assert latest.values == {"c": raw("c 3")}
        assert len(latest.writes) == 1
        assert store.prune_thread("t") == 0
        assert store.prune_thread("none") == 0
        # What was deleted does not come back; writes without a checkpoint stay.
        store.put_checkpoint("t", checkpoint(2, {"c": 2}))
        store.put_checkpoint("t", checkpoint(4, {"c": 4}))
        assert store.get_checkpoint("t", "0002").values == {}
        assert store.get_checkpoint("t", "0002").writes == ()
        assert len(store.get_checkpoint("t", "0004").writes) == 1

    def test_prune_keeps_as_many_as_are_named(self, store):
        self.put(store, *range(1, 8))
        assert store.prune_thread("t", keep=3) == 4
        assert ids(store.list_checkpoints("t")) == ["0007", "0006", "0005"]
        assert store.prune_thread("t", keep=10) == 0
        with pytest.raises(InvalidLimit, match="keep must be 1 or more"):
            store.prune_thread("t", keep=0)

    def test_prune_keeps_what_the_latest_is_made_of(self, store):
        self.put(store, 1, 2, 3)
        counters = {"counters_since_delta_snapshot": {"c": [1, 1], "other": [1, 1]}}
        for number in (4, 5, 6):
            store.put_checkpoint(
                "t",
                checkpoint(
                    number,
                    {"c": number, "x": number},
                    parent_id=f"{number - 1:04}",
                    metadata=counters if number > 3 else {},
                ),
                changed(x=number, **({"other": 1} if number == 5 else {})),
            )
            store.put_writes("t", f"{number - 1:04}", [write("a", 0)])
        before = store.get_channel_history("t", ["c"])
        # Nothing has a value of "other": all ancestors might have writes.
        assert store.prune_thread("t") == 0
        del counters["counters_since_delta_snapshot"]["other"]
        store.put_checkpoint("t", checkpoint(6, {"c": 6, "x": 6}, metadata=counters))
        assert store.prune_thread("t") == 2
        assert ids(store.list_checkpoints("t")) == ["0006", "0005", "0004", "0003"]
        assert store.get_channel_history("t", ["c"]) == before
        assert before["c"].seed == raw("c 3")

    def test_prune_deletes_calls_of_subgraphs_with_their_checkpoint(self, store):
        self.put(store, 1, 2)
        for ns, parent in (("call:1", 1), ("call:2", 2), ("call:9", 9), ("state", 1)):
            parents = {"parents": {"": f"{parent:04}"}}
            store.put_checkpoint("t", checkpoint(5, checkpoint_ns=ns, metadata=parents))
        assert store.prune_thread("t") == 2
        kept = {each.checkpoint.checkpoint_ns for each in store.list_checkpoints("t")}
        assert kept == {"", "call:2", "call:9", "state"}

    def test_namespaces_are_apart(self, store):
        self.put(store, 1)
        made = checkpoint(2, {"c": 1}, metadata={"run_id": "r"})
        store.put_checkpoint("t", made, namespace="n")
        assert store.get_checkpoint("t", namespace="n").values == {}
        assert ids(store.list_checkpoints()) == ["0001"]
        assert ids(store.list_checkpoints(namespace="n")) == ["0002"]
        assert store.delete_runs(["r"]) == 0
        assert store.delete_runs(["r"], namespace="n") == 1
        assert store.delete_thread("t", namespace="n")
        assert store.get_checkpoint("t") is not None
        with pytest.raises(InvalidName, match="NUL"):
            store.get_checkpoint("t", namespace="\0")

    def test_the_first_owner_stays(self, store):
        self.put(store, 1)
        store.put_writes("t", "0001", [write("a", 0)], user_id="u" * 600)
        store.put_checkpoint("t", checkpoint(2), user_id="other")
        self.put(store, 1, thread_id="t" * 600)
        (long, short) = store.list_threads().threads
        assert (short.thread_id, short.user_id) == ("t" * 600, None)
        assert (long.thread_id, long.user_id) == ("t", "u" * 600)
        assert store.list_threads(user_id="u" * 600).threads == (long,)
        assert store.list_threads(user_id="other").threads == ()
        assert store.copy_thread("t", "-" * 600)
        assert len(store.list_threads(user_id="u" * 600).threads) == 2

    def test_pages_of_threads(self, store):
        names = [("", "a"), ("", "b"), ("n", "a"), ("n", "c")]
        for namespace, thread_id in reversed(names):
            store.put_checkpoint(thread_id, checkpoint(1), namespace=namespace)
        found, cursor = [], None
        while True:
            page = store.list_threads(limit=3, cursor=cursor)
            found += [(each.namespace, each.thread_id) for each in page.threads]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == names
        assert len(store.list_threads(namespace="n").threads) == 2
        with pytest.raises(InvalidLimit):
            store.list_threads(limit=0)
        with pytest.raises(InvalidInput, match="cursor must be a ThreadCursor of the page before"):
            store.list_threads(cursor="t")
        for listing in (store.list_checkpoints, store.list_checkpoint_infos):
            with pytest.raises(InvalidInput, match="after must be a CheckpointCursor"):
                listing("t", after="0001")

    def test_a_repeated_request_is_done_once(self, store):
        self.put(store, 1)
        assert store.delete_thread("t", request_id="r")
        self.put(store, 1)
        assert store.delete_thread("t", request_id="r")
        assert store.get_checkpoint("t") is not None

    async def test_asynchronous_variants(self, store):
        await store.aput_checkpoint("t", checkpoint(1, {"c": 1}), changed(c=1))
        await store.aput_writes("t", "0001", [write("a", 0)])
        stored = await store.aget_checkpoint("t")
        assert stored.values == {"c": raw("c 1")}
        assert await store.alist_checkpoints("t") == [stored]
        assert await store.acopy_thread("t", "u")
        assert len((await store.alist_threads()).threads) == 2
        assert await store.aprune_thread("t") == 0
        assert await store.adelete_runs(["r"]) == 0
        assert (await store.aget_channel_history("t", ["c"]))["c"].seed is None
        assert await store.adelete_thread("t")
