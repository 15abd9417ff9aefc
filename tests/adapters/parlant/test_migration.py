"""Opening a collection: what is old is migrated, what is current is left unread."""

import asyncio
import logging
from typing import Any, TypedDict

import pytest
from parlant.core.common import Version
from parlant.core.persistence.common import ObjectId
from parlant.core.sessions import SessionDocumentStore

from parlant_store.adapters.parlant import DocumentDatabase
from parlant_store.adapters.parlant.migration import BATCH_SIZE
from parlant_store.backends.threads.async_calls import run

LONG_AGO = "2025-01-01T00:00:00+00:00"


class Note(TypedDict, total=False):
    id: ObjectId
    version: Version.String
    text: str


class Loader:
    """Converts version 1 to 2; refuses and raises as the text says; tells what it was shown."""

    def __init__(self) -> None:
        self.shown: list[Any] = []

    async def __call__(self, document: Any) -> Any:
        self.shown.append(document.get("id"))
        await asyncio.sleep(0)
        if document["text"] == "refuse":
            return None
        if document["text"] == "raise":
            document["text"] = "changed before it raised"
            raise KeyError("0.8.0")
        if document["version"] == "1":
            document["version"] = "2"
            document["text"] += "!"
        return document


@pytest.fixture
def loader() -> Loader:
    return Loader()


def note(number: int, version: str | None = "1", text: str = "a", **fields: Any) -> dict[str, Any]:
    return {"id": f"n{number}", "version": version, "text": text, **fields}


def fill(store, *documents: dict[str, Any]) -> None:
    for document in documents:
        store.insert_one("p_notes", document)


def opened(loader: Loader) -> list[Any]:
    """What the collection holds once it is open."""

    async def find() -> list[Any]:
        database = DocumentDatabase(table_prefix="p_")
        notes = await database.get_or_create_collection("notes", Note, loader)
        return sorted((await notes.find({})).items, key=lambda found: found["id"])

    return asyncio.run(find())


def failed(store) -> list[dict[str, Any]]:
    return list(store.find("p_notes_failed_migrations").documents)


def test_documents_of_the_current_version_are_not_read(store, loader):
    fill(store, *(note(number, "2") for number in range(300)))
    assert len(opened(loader)) == 300
    assert loader.shown == ["n0"]


def test_old_documents_become_current_and_stay_where_they_are(store, loader, caplog):
    fill(store, note(1), note(2, "2"), note(3, session_id="s"))
    with caplog.at_level(logging.INFO, "parlant_store"):
        assert opened(loader) == [
            note(1, "2", "a!"),
            note(2, "2"),
            note(3, "2", "a!", session_id="s"),
        ]
    assert "Migrated 2 documents of p_notes from version '1'" in caplog.text
    assert store.find("p_notes", {"version": {"$eq": "1"}}).documents == ()
    assert store.find("p_notes", {"session_id": {"$eq": "s"}}).documents[0]["version"] == "2"
    loader.shown.clear()
    assert len(opened(loader)) == 3
    assert len(loader.shown) == 1


def test_more_than_a_batch(store, loader):
    fill(store, *(note(number) for number in range(BATCH_SIZE * 2 + 1)))
    assert {document["version"] for document in opened(loader)} == {"2"}


@pytest.mark.parametrize(
    ("text", "reason"), [("refuse", "the loader refused it"), ("raise", "KeyError: '0.8.0'")]
)
def test_what_cannot_be_converted_is_set_aside_as_it_was(store, loader, caplog, text, reason):
    original = note(1, "1", text, customer_id="c", extra=[1.0, "\0"])
    fill(store, original, note(2))
    assert opened(loader) == [note(2, "2", "a!")]
    (aside,) = failed(store)
    assert aside["document"] == original
    assert (aside["reason"], aside["collection"]) == (reason, "p_notes")
    assert (aside["version"], aside["customer_id"]) == ("1", "c")
    assert "Moved 1 documents of p_notes to p_notes_failed_migrations" in caplog.text
    assert opened(loader) == [note(2, "2", "a!")]
    assert len(failed(store)) == 1


def test_each_document_that_fails_is_logged_with_its_reason(store, loader, caplog):
    texts = ["a", "refuse", "raise"]
    fill(store, *(note(number, text=texts[number % 3]) for number in range(BATCH_SIZE + 10)))
    fill(store, {"version": "1", "text": "refuse"})
    opened(loader)
    for number in range(BATCH_SIZE + 10):
        line = f"Could not migrate 'n{number}' of p_notes from version '1': "
        reason = [None, "the loader refused it", "KeyError: '0.8.0'"][number % 3]
        assert (line in caplog.text) == (reason is not None)
        assert reason is None or line + reason in caplog.text
    assert "Could not migrate a document without an id of p_notes" in caplog.text
    assert "Moved 141 documents of p_notes to p_notes_failed_migrations" in caplog.text


def test_one_that_fails_in_the_current_version_does_not_take_the_others_along(store, loader):
    fill(store, note(1, "2", "refuse"), note(2, "2"))
    assert opened(loader) == [note(2, "2")]
    assert len(failed(store)) == 1


def test_any_shape_is_set_aside(store, loader):
    strange = [{}, {"id": "x"}, {"version": 5}, note(1, None, "refuse"), note(2, "1", "refuse")]
    fill(store, *strange)
    assert opened(loader) == []
    fill(store, note(2, "1", "refuse"))
    assert opened(loader) == []
    kept = [aside["document"] for aside in failed(store)]
    assert len(kept) == len(strange) + 1
    assert all(original in kept for original in strange)


def test_a_conversion_that_no_store_can_keep_is_set_aside(store):
    async def to_one_id(document: Any) -> Any:
        return {**document, "id": "same", "version": "2"}

    async def to_nan(document: Any) -> Any:
        return {**document, "version": "3", "text": float("nan")}

    fill(store, note(1), note(2))
    assert opened(to_one_id) == [{"id": "same", "version": "2", "text": "a"}]
    assert opened(to_nan) == []
    reasons = sorted(aside["reason"] for aside in failed(store))
    assert "another document has the id" in reasons[0]
    assert "nan" in reasons[1]


def test_what_is_written_meanwhile_is_never_overwritten(store):
    fill(store, *(note(number) for number in range(4)))
    loader = Loader()

    async def slow(document: Any) -> Any:
        loaded = await loader(document)
        if len(loader.shown) == 3:  # the sample, and the first two
            changes = [
                (store.update_one, {"id": {"$eq": "n0"}}, {"text": "b"}),
                (store.update_one, {"id": {"$eq": "n1"}}, {"text": "c", "version": "2"}),
            ]
            for change in changes:
                await run(store, *change[:1], "p_notes", *change[1:])
            await store.adelete_one("p_notes", {"id": {"$eq": "n2"}})
        return loaded

    assert opened(slow) == [note(0, "2", "b!"), note(1, "2", "c"), note(3, "2", "a!")]
    assert failed(store) == []


def test_two_servers_may_open_at_once(store):
    texts = ["a", "refuse", "raise"]
    fill(store, *(note(number, text=texts[number % 3]) for number in range(90)))

    async def open_all() -> None:
        databases = [DocumentDatabase(table_prefix="p_") for _ in range(4)]
        await asyncio.gather(
            *(database.get_or_create_collection("notes", Note, Loader()) for database in databases)
        )

    asyncio.run(open_all())
    assert [document["text"] for document in opened(Loader())] == ["a!"] * 30
    assert len(failed(store)) == 60
    assert len({aside["document"]["id"] for aside in failed(store)}) == 60


def test_a_writer_of_the_old_version_does_not_keep_it_from_opening(store, caplog):
    fill(store, note(1))
    loader = Loader()

    async def disturbed(document: Any) -> Any:
        change = {"text": f"{len(loader.shown)}"}
        await store.aupdate_one("p_notes", {"id": {"$eq": "n1"}}, change)
        return await loader(document)

    (found,) = opened(disturbed)
    assert found["version"] == "1"
    assert "left for the next time" in caplog.text
    assert opened(loader)[0]["version"] == "2"


def test_a_cancelled_opening_leaves_each_document_whole(store, loader):
    fill(store, *(note(number) for number in range(BATCH_SIZE * 2)))

    async def cancel() -> None:
        database = DocumentDatabase(table_prefix="p_")
        task = asyncio.create_task(database.get_or_create_collection("notes", Note, loader))
        while len(loader.shown) < BATCH_SIZE + 20:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    documents = store.find("p_notes").documents
    assert {(document["version"], document["text"]) for document in documents} == {
        ("1", "a"),
        ("2", "a!"),
    }
    assert len(opened(loader)) == BATCH_SIZE * 2


def test_sessions_of_older_versions_of_parlant(store):
    event = {"session_id": "s", "source": "customer", "kind": "message", "offset": 0}
    event |= {
        "creation_utc": LONG_AGO,
        "correlation_id": "t",
        "data": {},
        "deleted": False,
    }
    store.insert_one("p_metadata", {"id": "m", "version": "0.5.0"})
    store.insert_one("p_events", {"id": "e1", "version": "0.6.0", **event})
    session = {
        "id": "s",
        "version": "0.5.0",
        "creation_utc": LONG_AGO,
        "customer_id": "c",
    }
    session |= {"agent_id": "a", "mode": "auto", "title": None, "consumption_offsets": {}}
    session |= {"agent_state": {"applied_guideline_ids": []}}
    store.insert_one("p_sessions", session)

    async def open_store() -> None:
        database = DocumentDatabase(table_prefix="p_")
        async with SessionDocumentStore(database, allow_migration=True) as sessions:
            assert (await sessions.read_session("s")).customer_id == "c"

    asyncio.run(open_store())
    assert store.find_one("p_metadata")["version"] == "0.9.0"
    assert store.find_one("p_sessions")["version"] == "0.9.0"
    # Parlant 3.3.2 has no way from events of 0.8.0 to its own version.
    (aside,) = store.find("p_events_failed_migrations").documents
    assert aside["document"] == {"id": "e1", "version": "0.6.0", **event}
    assert aside["session_id"] == "s"
