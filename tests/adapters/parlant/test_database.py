"""Parlant's DocumentDatabase: its protocol, and the answers of Parlant's own."""

import asyncio
import itertools
import logging
from typing import Any, TypedDict

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given, settings
from hypothesis import strategies as st
from parlant.adapters.db.transient import TransientDocumentDatabase
from parlant.core.common import Version
from parlant.core.persistence.common import Cursor, ObjectId, SortDirection, matches_filters
from parlant.core.persistence.document_database import (
    CollectionIndex,
    identity_loader,
)

from parlant_store.adapters.parlant import DocumentDatabase
from parlant_store.exceptions import (
    DuplicateDocument,
    InvalidFilter,
    InvalidLimit,
    InvalidName,
    StoreError,
)
from parlant_store.types import DocumentRecord
from tests.conftest import OVER_HTTP
from tests.contract.threads import in_threads

ASC, DESC = SortDirection.ASC, SortDirection.DESC


class Note(TypedDict, total=False):
    id: ObjectId
    creation_utc: str
    version: Version.String
    text: str
    number: float
    flag: bool


class Event(TypedDict, total=False):
    id: ObjectId
    session_id: str
    offset: int


def note(n: int, **fields: Any) -> Any:
    made = {"id": f"n{n:02}", "creation_utc": f"2030-01-01T00:00:{n:02}", "version": "0.1.0"}
    return {**made, "text": "a", "number": n, "flag": False, **fields}


@pytest.fixture
def database(store) -> DocumentDatabase:
    return DocumentDatabase(table_prefix="p_")


@pytest.fixture
async def notes(database):
    return await database.get_or_create_collection("notes", Note, identity_loader)


async def test_what_is_stored_comes_back(database, notes, store):
    async with database as same:
        assert same is database
    result = await notes.insert_one(note(1, text="\0 \ud800"))
    assert result.acknowledged
    found = await notes.find({})
    assert list(found) == found.items == [note(1, text="\0 \ud800")]
    assert (found.total_count, found.has_more, found.next_cursor) == (1, False, None)
    assert found
    assert not await notes.find({"text": {"$eq": "b"}})
    assert await notes.find_one({"id": {"$eq": "n01"}}) == note(1, text="\0 \ud800")
    assert await notes.find_one({"id": {"$eq": "n02"}}) is None
    assert await store.alist_collections() == ["p_notes"]


@pytest.mark.parametrize("direction", [ASC, DESC, None])
async def test_pages_cover_everything_once_with_ties(notes, direction):
    for number in range(7):
        await notes.insert_one(note(number, creation_utc=f"2030-01-0{number // 3}"))
    cursor, seen, totals = None, [], []
    for _ in range(4):
        page = await notes.find({}, limit=2, cursor=cursor, sort_direction=direction)
        seen += [document["id"] for document in page.items]
        totals.append(page.total_count)
        cursor = page.next_cursor
        assert page.has_more == (cursor is not None)
    expected = [f"n{number:02}" for number in range(7)]
    assert seen == (expected[::-1] if direction is DESC else expected)
    assert totals == [7, 5, 3, 1]


async def test_limit_zero(notes):
    await notes.insert_one(note(1))
    page = await notes.find({}, limit=0)
    assert (page.items, page.total_count, page.has_more, page.next_cursor) == ([], 1, True, None)


async def test_counting_ends_somewhere_unless_it_must_not(store):
    for max_count, counted in ((3, 3), (None, 9), (1_000, 9)):
        database = DocumentDatabase(table_prefix=f"p{max_count}_", max_count=max_count)
        notes = await database.get_or_create_collection("notes", Note, identity_loader)
        for number in range(9):
            await notes.insert_one(note(number))
        assert (await notes.find({}, limit=2)).total_count == counted
        assert (await notes.find({})).total_count == 9


async def test_find_one_sorts_by_any_fields(notes):
    for number, (text, value) in enumerate(itertools.product("ab", (2, 10, 1.5))):
        await notes.insert_one(note(number, text=text, number=value))
    first = await notes.find_one({}, sort=[("text", DESC), ("number", ASC)])
    assert (first["text"], first["number"]) == ("b", 1.5)
    first = await notes.find_one({"text": {"$eq": "a"}}, sort=[("number", DESC)])
    assert (first["text"], first["number"]) == ("a", 10)


async def test_a_document_needs_the_keys_of_its_schema(notes):
    with pytest.raises(TypeError, match="missing required keys"):
        await notes.insert_one({"id": "x", "creation_utc": ""})
    with pytest.raises(TypeError, match="missing required keys"):
        await notes.update_one({"id": {"$eq": "x"}}, {"text": "b"}, upsert=True)
    assert not await notes.find({})
    await notes.insert_one(note(1, extra=[1]))
    assert (await notes.find_one({}))["extra"] == [1]


async def test_updates_merge_and_tell_what_they_did(notes):
    await notes.insert_one(note(1))
    result = await notes.update_one({"id": {"$eq": "n01"}}, {"text": "b"})
    assert (result.acknowledged, result.matched_count, result.modified_count) == (True, 1, 1)
    assert result.updated_document == note(1, text="b")
    assert (await notes.update_one({}, {})).updated_document == note(1, text="b")
    result = await notes.update_one({"id": {"$eq": "n02"}}, {"text": "c"})
    assert (result.matched_count, result.updated_document) == (0, None)
    result = await notes.update_one({"id": {"$eq": "n02"}}, note(2), upsert=True)
    assert (result.matched_count, result.modified_count) == (0, 0)
    assert result.updated_document == note(2)
    result = await notes.update_one({"id": {"$eq": "n02"}}, {"id": "n03"}, upsert=True)
    assert (result.matched_count, result.updated_document) == (1, note(2, id="n03"))
    with pytest.raises(DuplicateDocument):
        await notes.update_one({"id": {"$eq": "n03"}}, {"id": "n01"})


async def test_deleting_tells_what_it_did(notes):
    await notes.insert_one(note(1))
    result = await notes.delete_one({"id": {"$eq": "n01"}})
    assert (result.acknowledged, result.deleted_count, result.deleted_document) == (
        True,
        1,
        note(1),
    )
    result = await notes.delete_one({"id": {"$eq": "n01"}})
    assert (result.acknowledged, result.deleted_count, result.deleted_document) == (True, 0, None)


async def test_an_id_again_keeps_what_is_stored(notes, caplog):
    await notes.insert_one(note(1))
    with caplog.at_level(logging.INFO, "parlant_store"):
        assert (await notes.insert_one(note(1, text="again"))).acknowledged
    assert "Kept the stored document 'n01' of p_notes" in caplog.text
    assert (await notes.find({})).items == [note(1)]


async def test_an_id_again_may_be_an_error(store):
    database = DocumentDatabase(on_duplicate="error")
    notes = await database.get_or_create_collection("notes", Note, identity_loader)
    await notes.insert_one(note(1))
    with pytest.raises(DuplicateDocument):
        await notes.insert_one(note(1, text="again"))
    assert (await notes.find({})).items == [note(1)]


@pytest.mark.usefixtures("own_indexes")
async def test_what_another_unique_index_refuses_is_no_repeated_id(notes):
    await notes.ensure_indexes([CollectionIndex([("text", ASC)], unique=True)])
    await notes.insert_one(note(1))
    with pytest.raises(DuplicateDocument, match="unique index"):
        await notes.insert_one(note(2))


@pytest.mark.usefixtures("own_indexes")
async def test_indexes_of_parlants_stores(notes, store):
    indexes = [
        CollectionIndex((("id", ASC),)),
        CollectionIndex((("agent_id", ASC), ("creation_utc", ASC), ("id", ASC))),
        CollectionIndex((("session_id", ASC), ("deleted", ASC), ("offset", ASC))),
        CollectionIndex((("customer_id", ASC), ("tag_id", ASC))),
    ]
    await asyncio.gather(*(notes.ensure_indexes(indexes) for _ in range(4)))
    for index in indexes:
        fields = [(field, "asc") for field, _ in index.fields]
        assert not await store.aensure_index("p_notes", fields)


@pytest.mark.usefixtures("own_indexes")
@pytest.mark.parametrize(
    "field",
    ["größe", "a b", "a.b", "a'b", 'a"b', "100%", "%s", "a\\", "", "1a", "x" * 64, "\ud800", "\0"],
)
async def test_a_field_that_cannot_be_indexed_is_logged(notes, caplog, field):
    indexes = [CollectionIndex(((field, ASC), ("text", DESC))), CollectionIndex((("number", ASC),))]
    await notes.ensure_indexes(indexes)
    assert f"No index on {field!r}, text of p_notes" in caplog.text
    await notes.insert_one(note(1, **{field: "x"}))
    assert len((await notes.find({field: {"$eq": "x"}})).items) == 1
    with pytest.raises(InvalidFilter, match="cannot be indexed"):
        await notes.ensure_indexes([CollectionIndex(((field, ASC),), unique=True)])


async def test_an_offset_that_is_taken_becomes_the_next(database, caplog):
    events = await database.get_or_create_collection("events", Event, identity_loader)
    with caplog.at_level(logging.INFO, "parlant_store"):
        for number in range(3):
            await events.insert_one({"id": f"e{number}", "session_id": "s", "offset": 4})
    assert [event["offset"] for event in await events.find({})] == [4, 5, 6]
    assert "Gave 'e2' of p_events the offset 6: 4 was taken" in caplog.text
    with pytest.raises(TypeError):
        await events.insert_one({"id": "e3", "session_id": "s"})
    await events.insert_one({"id": "e3", "session_id": None, "offset": 4})
    assert await events.find_one({"id": {"$eq": "e3"}}) is not None


async def test_collections_come_and_go(database, notes, store):
    await notes.insert_one(note(1))
    with pytest.raises(ValueError, match="no collection 'none'"):
        await database.get_collection("none", Note, identity_loader)
    with pytest.raises(ValueError, match="no collection 'none'"):
        await database.delete_collection("none")
    with pytest.raises(ValueError, match="exists already"):
        await database.create_collection("notes", Note)
    again = DocumentDatabase(table_prefix="p_")
    assert await (await again.get_collection("notes", Note, identity_loader)).find({})
    made = await again.create_collection("new", Note)
    assert (await again.get_collection("new", Note, identity_loader)).name == made.name
    await again.delete_collection("new")
    await again.delete_collection("notes")
    assert await store.alist_collections() == []


async def test_an_empty_collection_is_there_after_reopening(database, notes, store):
    await notes.insert_one(note(1))
    await notes.delete_one({})
    await database.create_collection("never filled", Note)
    for name in ("notes", "never filled"):
        again = DocumentDatabase(table_prefix="p_")
        found = await again.get_collection(name, Note, identity_loader)
        assert (await found.find({})).items == []
        await DocumentDatabase(table_prefix="p_").delete_collection(name)
        again = DocumentDatabase(table_prefix="p_")
        with pytest.raises(ValueError, match="no collection"):
            await again.get_collection(name, Note, identity_loader)
        with pytest.raises(ValueError, match="no collection"):
            await again.delete_collection(name)
    assert await store.alist_collections() == []


async def test_a_collection_that_staff_emptied_is_there(database, notes, store):
    await notes.insert_one(note(1))
    await store.adrop_collection("p_notes")
    again = DocumentDatabase(table_prefix="p_")
    assert (await (await again.get_collection("notes", Note, identity_loader)).find({})).items == []


async def test_two_prefixes_do_not_share_a_collection(store):
    eu = await DocumentDatabase(table_prefix="app_").get_or_create_collection(
        "eu_tags", Note, identity_loader
    )
    await eu.insert_one(note(1))
    other = DocumentDatabase(table_prefix="app_eu_")
    for call in (
        other.get_or_create_collection("tags", Note, identity_loader),
        other.get_collection("tags", Note, identity_loader),
        other.create_collection("tags", Note),
        other.delete_collection("tags"),
    ):
        with pytest.raises(ImproperlyConfigured) as raised:
            await call
        for word in ("'app_'", "'app_eu_'", "'eu_tags'", "'tags'", "another table_prefix"):
            assert word in str(raised.value)
    assert (await eu.find({})).items == [note(1)]
    await other.get_or_create_collection("notes", Note, identity_loader)
    again = DocumentDatabase(table_prefix="app_")
    await again.get_or_create_collection("eu_tags", Note, identity_loader)
    await again.delete_collection("eu_tags")
    tags = await other.get_or_create_collection("tags", Note, identity_loader)
    await tags.insert_one(note(2))
    with pytest.raises(ImproperlyConfigured):
        await again.get_or_create_collection("eu_tags", Note, identity_loader)


async def test_of_two_prefixes_at_once_one_has_the_collection(store):
    async def open_one(number: int) -> Any:
        prefix, name = [("app_", "eu_tags"), ("app_eu_", "tags")][number % 2]
        return await DocumentDatabase(table_prefix=prefix).get_or_create_collection(
            name, Note, identity_loader
        )

    opened = await asyncio.gather(*map(open_one, range(8)), return_exceptions=True)
    for number, found in enumerate(opened):
        assert isinstance(found, ImproperlyConfigured) == isinstance(
            opened[(number + 2) % 8], ImproperlyConfigured
        )
    assert sum(isinstance(found, ImproperlyConfigured) for found in opened) == 4


async def test_collections_of_before_belong_to_who_opens_them_first(store):
    await store.ainsert_one("app_eu_tags", note(1))
    for _ in range(2):
        database = DocumentDatabase(table_prefix="app_eu_")
        tags = await database.get_collection("tags", Note, identity_loader)
        assert (await tags.find({})).items == [note(1)]
    await store.ainsert_one("app_eu_notes", note(2))
    await DocumentDatabase(table_prefix="app_eu_").delete_collection("notes")
    assert "app_eu_notes" not in await store.alist_collections()


async def test_prefixes_keep_stores_apart(store):
    for prefix in ("a_", "b_"):
        database = DocumentDatabase(table_prefix=prefix)
        notes = await database.get_or_create_collection("metadata", Note, identity_loader)
        await notes.insert_one(note(1, text=prefix))
        assert [document["text"] for document in await notes.find({})] == [prefix]


def test_what_is_no_choice_is_refused(store):
    with pytest.raises(ValueError, match="on_duplicate"):
        DocumentDatabase(on_duplicate="replace")
    with pytest.raises(InvalidName, match="table_prefix must be text, not int"):
        DocumentDatabase(table_prefix=7)
    with pytest.raises(InvalidLimit, match="max_count must not be negative"):
        DocumentDatabase(max_count=-1)
    assert repr(DocumentDatabase(table_prefix="p_")) == "<DocumentDatabase 'p_' in 'default'>"


async def test_a_filter_outside_the_grammar_is_refused(notes):
    with pytest.raises(InvalidFilter):
        await notes.find({"text": {"$like": "a"}})


async def test_thousands_of_documents_come_back_whole(notes, store):
    def write(worker: int) -> None:
        documents = [note(number, text="x" * 100) for number in range(worker, 2_500, 4)]
        records = [DocumentRecord(document=document) for document in documents]
        assert all(store.write_documents("p_notes", records))

    await asyncio.to_thread(in_threads, write, 4)
    found = await notes.find({})
    assert len(found.items) == found.total_count == 2_500
    assert len({document["id"] for document in found}) == 2_500
    # More terms than documents: the others name none.
    many = [document["id"] for document in found.items[:1_250]]
    many += [f"none {number}" for number in range(3_750)]
    for where, count in (
        ({"id": {"$in": many}}, 1_250),
        ({"id": {"$nin": many}}, 1_250),
        ({"$or": [{"id": {"$eq": one}} for one in many]}, 1_250),
        ({"$or": [{"id": {"$eq": one}, "flag": {"$eq": False}} for one in many]}, 1_250),
        ({"$and": [{"id": {"$ne": one}} for one in many]}, 1_250),
    ):
        assert len((await notes.find(where)).items) == count


async def test_calls_that_are_cancelled_leave_the_database_usable(notes):
    tasks = [asyncio.create_task(notes.insert_one(note(number))) for number in range(50)]
    await asyncio.sleep(0.005)
    for task in tasks[::2]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    written = {document["id"] for document in await notes.find({})}
    for number, outcome in enumerate(done):
        if not isinstance(outcome, BaseException):
            assert f"n{number:02}" in written
    assert not any(isinstance(outcome, StoreError) for outcome in done)


texts = st.sampled_from(["", "a", "B", "é", "😀", "\ud7ff", "2030", "true", "1"])
numbers = st.sampled_from([0, 1, 1.0, -1, 2.5, 10, 2**53 + 1, 1e300])
by_field = {"text": texts, "number": numbers, "flag": st.booleans(), "creation_utc": texts}


def conditions() -> st.SearchStrategy[Any]:
    """One field with some operators; compared with values of its own kind."""
    return st.sampled_from(sorted(by_field)).flatmap(
        lambda field: (
            st.dictionaries(
                st.sampled_from(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]),
                by_field[field],
                min_size=1,
                max_size=2,
            ).map(lambda operators: {field: operators})
            | st.dictionaries(
                st.sampled_from(["$in", "$nin"]),
                st.lists(by_field[field], max_size=3),
                min_size=1,
                max_size=2,
            ).map(lambda operators: {field: operators})
        )
    )


filters = st.recursive(
    conditions() | st.just({}),
    lambda inner: st.dictionaries(
        st.sampled_from(["$and", "$or"]), st.lists(inner, max_size=3), min_size=1, max_size=2
    ),
    max_leaves=6,
)
documents = st.lists(
    st.fixed_dictionaries(by_field), max_size=8, unique_by=lambda document: str(document)
).map(
    lambda found: [
        {**document, "id": f"d{number}", "version": "1"} for number, document in enumerate(found)
    ]
)
cursors = st.none() | st.builds(Cursor, texts, st.sampled_from(["", "d2", "d5", "é"]))
sorts = st.lists(
    st.tuples(st.sampled_from(sorted(by_field)), st.sampled_from([ASC, DESC])), max_size=3
).map(lambda pairs: [*pairs, ("id", ASC)])

names = itertools.count()


@settings(max_examples=60 if OVER_HTTP else 150)
@given(
    documents,
    st.lists(filters, min_size=3, max_size=3),
    st.none() | st.integers(0, 9),
    cursors,
    st.sampled_from([ASC, DESC, None]),
    sorts,
)
def test_answers_are_those_of_parlants_own_database(
    store, found, wheres, limit, cursor, direction, sort
):
    async def compare() -> None:
        name = f"c{next(names)}"
        ours = await DocumentDatabase().get_or_create_collection(name, Note, identity_loader)
        theirs = await TransientDocumentDatabase().create_collection(name, Note)
        for document in found:
            await ours.insert_one(document)
            await theirs.insert_one(document)
        for where in wheres:
            page = {"limit": limit, "cursor": cursor, "sort_direction": direction}
            assert await ours.find(where, **page) == await theirs.find(where, **page)
            assert await ours.find_one(where, sort) == await theirs.find_one(where, sort)
            both = {"$and": [where, wheres[0]]}
            mixed = {**where, "$and": [wheres[0]]} if "$and" not in where else both
            matching = [document for document in found if matches_filters(both, document)]
            assert {document["id"] for document in await ours.find(mixed)} == {
                document["id"] for document in matching
            }

    asyncio.run(compare())


def test_every_name_of_the_protocol_is_there():
    from parlant.core.persistence import document_database as protocol

    from parlant_store.adapters.parlant import DocumentCollection

    for ours, theirs in (
        (DocumentDatabase, protocol.DocumentDatabase),
        (DocumentCollection, protocol.DocumentCollection),
    ):
        assert issubclass(ours, theirs)
        assert not ours.__abstractmethods__
