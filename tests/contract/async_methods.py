"""The asynchronous variants: what the methods answer, awaited."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta

import pytest

from parlant_store.exceptions import (
    DuplicateDocument,
    InvalidItem,
    InvalidLimit,
    InvalidName,
    SessionNotFound,
)
from parlant_store.signals import session_saved
from parlant_store.types import DocumentRecord, MemoryChange, MessageChanges, Replacement
from tests.backends.locks import interrupt_until_done
from tests.backends.threads.busy_threads import TIMEOUT_SECONDS, Held
from tests.contract.checkpoints import changed, checkpoint, ids, write
from tests.contract.document_values import made
from tests.contract.stores import Documents, Timed
from tests.contract.values import NASTY, numbered

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


class AsyncSessionContract(Timed):
    """Tests of sessions; a subclass gives the fixture ``make_store``."""

    async def test_items(self, store):
        await store.aadd_items("s", NASTY, user_id="ada")
        assert await store.aget_items("s") == NASTY
        assert await store.aget_items("s", limit=1) == NASTY[-1:]
        assert await store.apop_item("s") == NASTY[-1]
        await store.areplace_items("s", numbered(1, 2))
        assert await store.aget_items("s", limit=10, whole_turns=True) == numbered(1, 2)
        await store.aclear("s")
        assert await store.aget_items("s") == []
        assert await store.apop_item("s") is None

    async def test_sessions(self, store, clock):
        assert await store.aexists("s") is False
        await store.aadd_items("s", [{"role": "user", "content": "hello there"}], namespace="n")
        assert await store.aexists("s", namespace="n") is True
        assert await store.aset_metadata("s", {"a": 1}, namespace="n") == {"a": 1}
        assert await store.aset_metadata("s", {"b": 2}, namespace="n", merge=True) == {
            "a": 1,
            "b": 2,
        }
        assert await store.aget_metadata("s", namespace="n") == {"a": 1, "b": 2}
        assert await store.aadd_usage("s", 12, namespace="n") is True
        until = clock() + timedelta(days=1)
        assert await store.aset_expiry("s", until, namespace="n") is True
        session = await store.aget_session("s", namespace="n")
        assert (session.item_count, session.tokens, session.expires_at) == (1, 12, until)
        await store.abranch("s", "copy", namespace="n")
        page = await store.alist_sessions(namespace="n")
        assert [one.session_id for one in page.sessions] == ["copy", "s"]
        hits = await store.asearch("hello", namespace="n")
        assert {hit.session_id for hit in hits} == {"copy", "s"}
        assert await store.adelete_session("s", namespace="n") is True
        assert await store.adelete_session("s", namespace="n") is False

    async def test_history(self, store):
        question = {"role": "user", "content": "q"}
        await store.aadd_items("s", [question, *numbered(1), question, *numbered(2)])
        assert [turn.number for turn in await store.alist_turns("s")] == [1, 2]
        assert (await store.alist_user_messages("s")).items == [question] * 2
        assert await store.aadd_usage("s", {"input_tokens": 3}, turn=1) is True
        assert (await store.aget_usage("s")).input_tokens == 3
        assert [*(await store.aget_usage("s", by="turn"))] == [1]
        await store.abranch("s", "b", before_turn=2)
        assert await store.alist_branches("s") == [await store.aget_session("b")]
        assert await store.areplace_tail("s", 3, numbered(4, 5)) == 1
        assert await store.atruncate("s", after_position=2) == 2
        assert await store.akeep_latest("s", turns=1) == 2
        assert await store.aget_items("s") == [question]
        assert (await store.aset_title("s", "On q"))["title"] == "On q"

    async def test_snapshots(self, store):
        saved = await store.asave_snapshot("s", numbered(1, 2), state={"a": 1})
        loaded = await store.aload_snapshot("s")
        assert (loaded.items, loaded.state, loaded.revision) == (numbered(1, 2), {"a": 1}, saved)
        await store.aadd_items("s", numbered(3))
        assert await store.asave_snapshot("s", [], state={}, since=saved, keep=2) is None

    async def test_records(self, store):
        await store.aadd_items("s", numbered(1, 2), user_id="ada")
        (record,) = await store.aread_sessions([("", "s")])
        assert await store.awrite_sessions([replace(record, session_id="t"), record]) == [
            True,
            False,
        ]
        assert await store.aget_items("t") == numbered(1, 2)
        timed = await store.aget_timed_items("t", limit=1)
        assert [one.item for one in timed] == numbered(2)

    async def test_a_repeated_request_does_nothing(self, store):
        for _ in range(2):
            await store.aadd_items("s", numbered(1), request_id="one")
        assert await store.aget_items("s") == numbered(1)
        assert isinstance(await store.aforget_requests("ada"), int)

    async def test_errors_are_raised_where_it_is_awaited(self, store):
        with pytest.raises(InvalidName, match="session_id"):
            await store.aadd_items("", numbered(1))
        with pytest.raises(InvalidItem, match="nan"):
            await store.aadd_items("s", [{"n": float("nan")}])
        with pytest.raises(InvalidLimit, match="negative"):
            await store.aget_items("s", limit=-1)
        with pytest.raises(SessionNotFound):
            await store.abranch("s", "t")
        with pytest.raises(TypeError, match="colour"):
            await store.aget_items("s", colour="red")
        for batch_size in (0, 1.5, "2"):
            with pytest.raises(InvalidLimit, match="batch_size"):
                await store.aexpire(batch_size=batch_size)
        assert not await store.aexists("s")

    async def test_summaries_are_iterated(self, store):
        assert [one async for one in store.alist_summaries()] == []
        for number in range(5):
            await store.aadd_items(f"s{number}", numbered(number), user_id="ada")
        found = [one.session_id async for one in store.alist_summaries(user_id="ada")]
        assert sorted(found) == [f"s{number}" for number in range(5)]
        assert len([one async for one in store.alist_summaries(limit=3)]) == 3

    async def test_expired_sessions_are_iterated_and_deleted(self, store, clock):
        for number in range(4):
            await store.aadd_items(f"s{number}", numbered(number), ttl_seconds=10)
        await store.aadd_items("kept", numbered(1))
        clock.pass_(11)
        found = [one.session_id async for one in store.alist_expired()]
        assert sorted(found) == ["s0", "s1", "s2", "s3"]
        async for batch in store.aexpire_batches(batch_size=1):
            assert batch.sessions == 1
            break
        assert len([one async for one in store.alist_expired()]) == 3
        assert (await store.aexpire(batch_size=2)).sessions == 3
        assert [one async for one in store.alist_expired()] == []
        await store.adelete_hidden()
        assert await store.aexists("kept")

    async def test_many_tasks_add_whole_batches(self, store):
        async def add(first: int) -> None:
            for number in range(first, first + 9, 3):
                await store.aadd_items("s", numbered(number, number + 1, number + 2))

        await asyncio.gather(*(add(first) for first in range(0, 180, 9)))
        numbers = [item["n"] for item in await store.aget_items("s")]
        assert sorted(numbers) == list(range(180))
        firsts = numbers[::3]
        assert all(first % 3 == 0 for first in firsts)
        assert numbers == [first + n for first in firsts for n in range(3)]

    def test_several_event_loops(self, store):
        def work(number: int) -> None:
            async def turn() -> None:
                await store.aadd_items("s", numbered(number))
                assert {"n": number} in await store.aget_items("s")

            for _ in range(3):
                asyncio.run(turn())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert len(asyncio.run(store.aget_items("s"))) == 12

    async def test_what_was_cancelled_before_it_began_never_happens(self, store):
        with Held(store):
            tasks = [
                asyncio.create_task(store.aadd_items("s", numbered(1))),
                asyncio.create_task(store.aexpire()),
            ]
            await asyncio.sleep(0.02)
            for task in tasks:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(task, TIMEOUT_SECONDS)
        assert await store.aget_items("s") == []

    async def test_a_cancelled_write_is_settled_when_it_raises(self, store, monkeypatch):
        interrupt_until_done(monkeypatch)
        batch = [{"n": number, "text": "x" * 1000} for number in range(500)]
        for attempt in range(4):
            await store.aclear("s")
            task = asyncio.create_task(store.aadd_items("s", batch))
            await asyncio.sleep(0.004 * attempt)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                stored = len(await store.aget_items("s"))
                assert stored in (0, len(batch))
                await asyncio.sleep(0.05)
                assert len(await store.aget_items("s")) == stored

    async def test_a_cancelled_task_does_not_wait_for_a_call_that_hangs(self, store):
        reached, go = threading.Event(), threading.Event()

        def hang(**kwargs):
            reached.set()
            go.wait(TIMEOUT_SECONDS)

        with receiving(hang):
            task = asyncio.create_task(store.aadd_items("s", numbered(1)))
            while not reached.is_set():
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not go.is_set()
            go.set()
        assert await store.aget_items("s") == numbered(1)

    async def test_receivers_run_in_the_context_of_the_caller(self, store):
        seen = []

        def receive(sender, session_id, **kwargs):
            seen.append((sender, session_id, tenant.get()))

        async def areceive(sender, session_id, **kwargs):
            seen.append((sender, await store.aget_items(session_id), tenant.get()))

        tenant.set("acme")
        with receiving(receive), receiving(areceive):
            await store.aadd_items("s", numbered(1))
        assert seen == [(store.alias, "s", "acme"), (store.alias, numbered(1), "acme")]

    async def test_a_closed_store_opens_again(self, store):
        await store.aadd_items("s", numbered(1))
        await store.aclose()
        assert await store.aget_items("s") == numbered(1)


class AsyncDocumentContract(Documents):
    """Tests of documents; a subclass gives the fixture ``make_store``."""

    async def test_documents(self, store):
        await store.ainsert_one("c", made(1, stars=3))
        with pytest.raises(DuplicateDocument):
            await store.ainsert_one("c", made(1))
        numbered_one = await store.ainsert_numbered(
            "c", made(2, session_id="s", offset=0), number="offset", within="session_id"
        )
        assert numbered_one == made(2, session_id="s", offset=0)
        page = await store.afind("c", {"stars": {"$gte": 3}}, limit=5, count=True)
        assert (page.documents, page.total_count) == ((made(1, stars=3),), 1)
        assert (await store.afind_one("c", sort=[("stars", "desc")]))["id"] == "d1"
        assert (await store.aget_document("c", "d1")).document == made(1, stars=3)
        updated = await store.aupdate_one("c", {"id": {"$eq": "d1"}}, {"stars": 4})
        assert updated.document == made(1, stars=4)
        assert await store.aset_document_expiry("c", "d1", None) == 1
        assert await store.alist_collections() == ["c"]
        assert (await store.adelete_one("c", {"id": {"$eq": "d1"}}))["stars"] == 4
        assert await store.adrop_collection("c") == 1

    async def test_memories(self, store):
        change = MemoryChange(namespace=("n",), key="k", value={"n": 1})
        await store.awrite_memories([change])
        (memory,) = await store.aget_memories([(("n",), "k")])
        assert memory.value == {"n": 1}
        assert await store.asearch_memories(("n",)) == [memory]
        assert await store.alist_memory_namespaces() == [("n",)]

    async def test_threads(self, store):
        for number in (1, 2):
            made = checkpoint(number, {"c": number}, metadata={"run_id": "r"})
            await store.aput_checkpoint(
                "t",
                made,
                changed(c=number),
                user_id="ada",
                messages=MessageChanges(added=["apples"]),
            )
        await store.aput_writes("t", "0001", [write("a", 0)])
        assert (await store.aget_checkpoint("t")).checkpoint == made
        listed = await store.alist_checkpoints("t", where={"run_id": "r"})
        assert ids(listed) == ["0002", "0001"]
        assert [*await store.aget_channel_history("t", ["c"])] == ["c"]
        assert [hit.thread_id for hit in await store.asearch_threads("apples")] == ["t"]
        assert await store.acopy_thread("t", "u") is True
        page = await store.alist_threads(user_id="ada")
        assert {thread.thread_id for thread in page.threads} == {"t", "u"}
        assert await store.aset_thread_expiry("t", None) is True
        assert await store.aget_thread("t") == page.threads[0]
        assert len(await store.alist_checkpoint_infos("t")) == 2
        (record,) = await store.aread_threads([("", "u")])
        assert await store.awrite_threads([record, replace(record, thread_id="v")]) == [False, True]
        assert await store.adelete_thread("v") is True
        assert await store.aprune_thread("t") == 1
        assert await store.aprune_threads(["t", "u"]) == 1
        assert await store.adelete_runs(["r"]) == 2
        assert await store.adelete_thread("t") is True
        assert await store.adelete_thread("t") is False

    async def test_versions(self, store):
        await store.ainsert_one("c", made(1, version="1"))
        (sample,) = await store.alist_versions("c")
        (stored,) = await store.aread_version("c", "1")
        assert sample.document == stored.document == made(1, version="1")
        change = Replacement(stored=stored, document=made(1, version="2"), collection="c")
        assert await store.areplace([change]) == [True]
        assert await store.areplace([change]) == [False]

    @pytest.mark.usefixtures("own_indexes")
    async def test_indexes(self, store):
        assert await store.aensure_index("c", [("stars", "asc")]) is True
        assert await store.aensure_index("c", [("stars", "asc")]) is False

    async def test_records(self, store):
        await store.ainsert_one("c", made(1))
        (record,) = await store.aread_documents("c")
        other = DocumentRecord(
            document=made(2), updated_at=record.updated_at, expires_at=record.expires_at
        )
        assert await store.awrite_documents("c", [record, other]) == [False, True]

    async def test_many_tasks_write_at_once(self, store):
        await asyncio.gather(*(store.ainsert_one("c", made(number)) for number in range(30)))
        assert len((await store.afind("c")).documents) == 30


@contextmanager
def receiving(receiver, signal=session_saved):
    signal.connect(receiver)
    try:
        yield
    finally:
        signal.disconnect(receiver)
