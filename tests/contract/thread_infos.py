"""What every store says of threads and their checkpoints without reading values."""

from datetime import timedelta

import pytest

from parlant_store.exceptions import InvalidInput
from parlant_store.types import CheckpointCursor, MessageChanges
from tests.contract.checkpoints import NAMES, Threads, changed, checkpoint, write


def cursor(info):
    return CheckpointCursor(checkpoint_id=info.checkpoint_id, key=info.key)


class ThreadInfoContract(Threads):
    @pytest.mark.parametrize("name", NAMES)
    def test_a_thread_of_any_name(self, store, name):
        store.put_checkpoint(name, checkpoint(1), namespace="n", user_id="ada")
        thread = store.get_thread(name, namespace="n")
        assert (thread.namespace, thread.thread_id, thread.user_id) == ("n", name, "ada")
        assert store.list_threads().threads == (thread,)
        assert store.get_thread(name) is None

    def test_the_expiry_of_a_thread_is_set(self, store, clock):
        self.put(store, 1)
        at = clock() + timedelta(hours=1)
        assert store.set_thread_expiry("t", at)
        assert store.get_thread("t").expires_at == at
        assert store.set_thread_expiry("t", None)
        assert store.get_thread("t").expires_at is None
        assert store.set_thread_expiry("t", at)
        clock.pass_(3_600)
        assert store.get_thread("t") is None
        assert store.list_checkpoint_infos("t") == []
        assert store.set_thread_expiry("t", None) is False
        assert store.set_thread_expiry("other", None) is False
        with pytest.raises(InvalidInput, match="expires_at"):
            store.set_thread_expiry("t", "soon")

    def test_checkpoints_without_values(self, store):
        metadata = {"source": "loop", "step": 1}
        store.put_checkpoint("t", checkpoint(1, {"a": 1, "b": 1}), changed(a=1, b=1))
        second = checkpoint(2, {"a": 2, "b": 1, "c": 1}, parent_id="0001", metadata=metadata)
        store.put_checkpoint("t", second, changed(a=2, c=1))
        store.put_checkpoint("t", checkpoint(3, {"a": 9}, checkpoint_ns="-" * 600))
        writes = [write("x", 0), write("x", 1), write("y", 0, channel="d\0")]
        store.put_writes("t", "0002", writes)
        third, second, first = store.list_checkpoint_infos("t")
        assert (first.checkpoint_ns, first.checkpoint_id) == ("", "0001")
        assert (first.parent_id, first.changed, first.written) == (None, ("a", "b"), {})
        assert (second.parent_id, second.changed) == ("0001", ("a", "c"))
        assert second.metadata == metadata
        assert second.written == {"c": 2, "d\0": 1}
        assert third.checkpoint_ns == "-" * 600
        assert first.created_at <= third.created_at

    def test_titles_and_interrupts(self, store):
        def put(number, text=None, **metadata):
            messages = [] if text is None else [{"type": "human", "content": text}]
            made = checkpoint(number, metadata=metadata)
            store.put_checkpoint("t", made, messages=MessageChanges(added=messages))
            thread = store.get_thread("t")
            assert store.list_threads().threads == (thread,)
            return thread.title, thread.waiting

        assert put(1) == (None, 0)
        put(2, " Hello\0\n there \ud800" + "x" * 300)
        title, _ = put(3, "and more")
        assert title.startswith("Hello\ufffd there \ufffdx")
        assert len(title) == 200
        assert put(4, name="by name") == ("by name", 0)
        assert put(5, title="a \0 title", name="by name") == ("a \ufffd title", 0)
        assert put(6, title="", name=None) == (title, 0)
        for task, indexes in {"a": [-3], "b": [-3, 0], "c": [-4, -3], "d": [0], "e": [-3]}.items():
            store.put_writes("t", "0006", [write(task, idx) for idx in indexes])
        store.put_writes("t", "0006", [write("f", -3)], checkpoint_ns="sub")
        assert store.get_thread("t").waiting == 2
        store.copy_thread("t", "u")
        copy = store.get_thread("u")
        assert (copy.title, copy.waiting) == (title, 2)
        store.put_checkpoint("t", checkpoint(7), messages=MessageChanges())
        assert store.get_thread("t").waiting == 0

    def test_pages_of_checkpoints(self, store):
        self.put(store, 1, 2, 3)
        first = store.list_checkpoint_infos("t", limit=2)
        assert [info.checkpoint_id for info in first] == ["0003", "0002"]
        (last,) = store.list_checkpoint_infos("t", limit=2, after=cursor(first[-1]))
        assert last.checkpoint_id == "0001"
        assert store.list_checkpoint_infos("t", limit=0) == []
        assert store.list_checkpoint_infos("other") == []

    def test_tasks_that_wait(self, store):
        self.put(store, 1)
        interrupts = [write(task, -3, channel="__interrupt__") for task in ("a", "b", "c")]
        store.put_writes("t", "0001", [*interrupts, write("d", -1, channel="__error__")])
        store.put_writes("t", "0001", [write("a", -4, channel="__resume__"), write("b", 0)])
        (info,) = store.list_checkpoint_infos("t")
        assert info.waiting == 2
        assert info.written["__error__"] == 1
