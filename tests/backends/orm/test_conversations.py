"""The columns by which conversations are listed and searched, on both databases."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F

from parlant_store.models import Document, Session, SessionItem, Thread
from parlant_store.types import Checkpoint, DocumentRecord, Replacement, TypedBytes
from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.clock import Clock

SESSIONS, EVENTS = "p_sessions", "p_events"
SECONDS = "2030-01-01T00:00:{:02d}+00:00"
NOW = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = int(NOW.timestamp()) // 60
FAILURE = {"tool_id": "a:b", "arguments": {"sku": "LMP-3"}, "result": {"data": "Tool call error"}}
SUCCESS = {"tool_id": "a:b", "arguments": {}, "result": {"data": {"shelf": "dusty"}}}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def orm_store(make_store, clock):
    return make_store(clock=clock)


def session(store: Any, id_: str = "s", **more: Any) -> None:
    document = {"id": id_, "version": "1", "creation_utc": SECONDS.format(0), "customer_id": "c"}
    store.insert_one(SESSIONS, document | more)


def event(id_: str, kind: str, data: Any, **more: Any) -> dict[str, Any]:
    return {"id": id_, "session_id": "s", "kind": kind, "data": data, "deleted": False, **more}


def message(id_: str, text: str = "Hello there", **more: Any) -> dict[str, Any]:
    return event(id_, "message", {"message": text, "participant": {"display_name": "Mo"}}, **more)


def figures(id_: str = "s") -> tuple[Any, ...]:
    row = Document.objects.get(collection=SESSIONS, document_id=id_)
    return row.item_count, row.failed_calls or 0, row.active_minute - MINUTE, row.length_class


@pytest.mark.django_db
class TestParlantSessions:
    def test_a_new_session_has_no_messages(self, orm_store, clock):
        session(orm_store)
        assert figures() == (0, 0, 0, -1)

    def test_events_count_as_they_are_written(self, orm_store, clock):
        session(orm_store)
        orm_store.insert_one(EVENTS, message("e1"))
        clock.pass_(125)
        orm_store.insert_one(EVENTS, event("e2", "tool", {"tool_calls": [FAILURE, SUCCESS]}))
        orm_store.insert_one(EVENTS, message("e3"))
        assert figures() == (2, 1, 2, 1)
        clock.pass_(60)
        orm_store.insert_one(EVENTS, event("e4", "status", {"status": "ready", "data": {}}))
        assert figures() == (2, 1, 3, 1)
        orm_store.insert_numbered(
            EVENTS, message("e5", offset=1), number="offset", within="session_id"
        )
        assert figures() == (3, 1, 3, 1)

    def test_changes_and_deletions_count(self, orm_store, clock):
        session(orm_store)
        orm_store.insert_one(EVENTS, message("e1"))
        orm_store.insert_one(EVENTS, message("e2"))
        orm_store.insert_one(EVENTS, event("e3", "tool", {"tool_calls": [SUCCESS]}))
        by_id = {"id": {"$eq": "e3"}}
        orm_store.update_one(EVENTS, by_id, {"data": {"tool_calls": [FAILURE, FAILURE]}})
        assert figures() == (2, 2, 0, 1)
        clock.pass_(60)
        orm_store.update_one(EVENTS, {"id": {"$eq": "e1"}}, {"deleted": True})
        assert figures() == (1, 2, 1, 0)
        orm_store.delete_one(EVENTS, {"id": {"$eq": "e1"}})
        assert figures() == (1, 2, 1, 0)
        orm_store.delete_one(EVENTS, {"id": {"$eq": "e2"}})
        orm_store.delete_one(EVENTS, by_id)
        assert figures() == (0, 0, 1, -1)

    def test_events_may_be_there_before_their_session(self, orm_store, clock):
        clock.pass_(180)
        orm_store.insert_one(EVENTS, message("e1"))
        orm_store.insert_one(EVENTS, event("e2", "tool", {"tool_calls": [FAILURE]}))
        orm_store.insert_one("q_events", message("e1"))
        session(orm_store)
        session(orm_store, "other")
        assert figures() == (1, 1, 3, 0)
        assert figures("other") == (0, 0, 3, -1)

    def test_a_change_of_the_session_is_an_activity(self, orm_store, clock):
        session(orm_store)
        orm_store.insert_one(EVENTS, message("e1"))
        clock.pass_(420)
        orm_store.update_one(SESSIONS, {"id": {"$eq": "s"}}, {"mode": "manual"})
        assert figures() == (1, 0, 7, 0)

    def test_whole_documents_count_as_well(self, orm_store, clock):
        records = [
            {"document": message("e1"), "updated_at": NOW + timedelta(minutes=4)},
            {"document": event("e2", "tool", {"tool_calls": [FAILURE]}), "updated_at": NOW},
        ]
        session(orm_store)
        for _ in range(2):
            orm_store.write_documents(
                EVENTS, [DocumentRecord(**record) for record in records], replace=True
            )
            assert figures() == (1, 1, 4, 0)

    def test_other_documents_have_no_figures(self, orm_store):
        orm_store.insert_one("p_things", message("e1"))
        orm_store.insert_one(EVENTS, message("e1"))
        columns = Document.objects.values_list("active_minute", "item_count", "length_class")
        assert set(columns) == {(None, None, None)}


def terms_of(document_id: str) -> str:
    (terms,) = Document.objects.filter(document_id=document_id).values_list("terms", flat=True)
    return str(terms)


@pytest.mark.django_db
def test_documents_have_words(orm_store):
    orm_store.insert_one("p_customers", {"id": "c1", "name": "Zoë Brandt"})
    orm_store.insert_one(SESSIONS, {"id": "s1", "title": "Late ferry"})
    orm_store.insert_one(EVENTS, message("e1", "The dog ate it"))
    orm_store.insert_one(EVENTS, event("e2", "tool", {"tool_calls": [FAILURE, SUCCESS]}))
    orm_store.insert_one("p_things", {"id": "t", "name": "Zoë", "data": {"message": "dog"}})
    assert "brandt" in terms_of("c1")
    assert "ferry" in terms_of("s1")
    assert "dog" in terms_of("e1")
    assert "dusty" in terms_of("e2")
    assert "lmp" in terms_of("e2")
    assert terms_of("t") == "None"
    orm_store.update_one(EVENTS, {"id": {"$eq": "e1"}}, {"data": {"message": "The cat"}})
    orm_store.update_one(EVENTS, {"id": {"$eq": "e2"}}, {"offset": 4})
    assert "dog" not in terms_of("e1")
    assert "cat" in terms_of("e1")
    assert "dusty" in terms_of("e2")


@pytest.mark.django_db
def test_the_index_of_documents_follows_their_words(orm_store):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL keeps its indexes itself")

    def found(word: str) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT rowid FROM parlant_store_document_fts"
                " WHERE parlant_store_document_fts MATCH %s",
                [word],
            )
            return [key for (key,) in cursor.fetchall()]

    orm_store.insert_one(EVENTS, message("e1", "The dog"))
    key = Document.objects.get(document_id="e1").pk
    assert found("dog") == [key]
    orm_store.update_one(EVENTS, {"id": {"$eq": "e1"}}, {"data": {"message": "The cat"}})
    assert (found("dog"), found("cat")) == ([], [key])
    orm_store.update_one(EVENTS, {"id": {"$eq": "e1"}}, {"data": {"message": ""}})
    assert found("cat") == []
    orm_store.update_one(EVENTS, {"id": {"$eq": "e1"}}, {"data": {"message": "cat"}})
    orm_store.delete_one(EVENTS, {"id": {"$eq": "e1"}})
    assert found("cat") == []


@pytest.mark.django_db
def test_sessions_have_a_minute_a_framework_and_a_length(orm_store, clock):
    orm_store.add_items("a", [{"role": "user", "content": "Hi"}] * 9)
    clock.pass_(60)
    orm_store.save_snapshot("b", [], state={"selectools": "memory"})
    columns = Session.objects.order_by("session_id").values_list(
        "session_id", "framework", "length_class", F("active_minute") - MINUTE
    )
    assert list(columns) == [("a", "openai", 3, 0), ("b", "selectools", -1, 1)]
    clock.pass_(60)
    orm_store.add_items("a", [{"role": "user", "content": "Hi"}] * 8)
    orm_store.save_snapshot("b", [{"role": "user", "content": "Hi"}], state={})
    after = columns.all()
    assert list(after) == [("a", "openai", 4, 2), ("b", "openai", 0, 2)]
    if connection.vendor == "postgresql":
        Session.objects.update(active_minute=9, length_class=9, framework="selectools")
        assert list(columns.all()) == list(after)


@pytest.mark.django_db
def test_threads_have_a_minute(orm_store, clock):
    value = TypedBytes("bytes", b"value")
    for minute in (0, 1):
        orm_store.put_checkpoint("t", Checkpoint(checkpoint_id=f"{minute}", value=value), [])
        assert Thread.objects.get().active_minute == MINUTE + minute
        clock.pass_(60)


@pytest.mark.django_db
def test_failed_calls_are_counted_of_the_items_that_are_there(orm_store):
    failed = {"type": "mcp_call", "name": "n", "error": "down"}
    good = {"type": "mcp_call", "name": "n"}

    def counts(name: str = "s") -> Any:
        return Session.objects.values_list("failed_calls", flat=True).get(session_id=name)

    orm_store.add_items("s", [failed, good, failed])
    assert counts() == 2
    items = SessionItem.objects.order_by("position").values_list("failed_calls", flat=True)
    assert list(items) == [1, None, 1]
    orm_store.add_items("s", [good, failed])
    orm_store.pop_item("s")
    assert counts() == 2
    since = orm_store.load_snapshot("s").revision
    orm_store.save_snapshot("s", [failed, failed], state={}, since=since, drop=1, keep=1)
    assert counts() == 2
    orm_store.branch("s", "t")
    assert counts("t") == 2
    orm_store.replace_items("s", [failed])
    assert counts() == 1
    orm_store.save_snapshot("s", [failed, failed, good], state={})
    assert counts() == 2
    orm_store.clear("s")
    assert counts() == 0


@pytest.mark.django_db
class TestReplacedSessions:
    def test_a_change_of_the_title_keeps_the_figures(self, orm_store):
        session(orm_store)
        orm_store.insert_one(EVENTS, event("e1", "tool", {"tool_calls": [FAILURE]}))
        orm_store.update_one(SESSIONS, {"id": {"$eq": "s"}}, {"title": "Late"})
        assert figures() == (0, 1, 0, -1)
        record = DocumentRecord(document={"id": "s", "title": "Later"}, updated_at=NOW)
        orm_store.write_documents(SESSIONS, [record], replace=True)
        assert figures() == (0, 1, 0, -1)

    def test_a_document_that_is_no_longer_a_session_has_no_figures(self, orm_store):
        session(orm_store)
        (stored,) = orm_store.list_versions(SESSIONS)
        moved = Replacement(
            stored=stored, document={"id": "s"}, collection=f"{SESSIONS}_failed_migrations"
        )
        assert orm_store.replace([moved]) == [True]
        row = Document.objects.get(document_id="s")
        assert (row.active_minute, row.item_count, row.failed_calls) == (None, None, None)
        (stored,) = orm_store.list_versions(f"{SESSIONS}_failed_migrations")
        back = Replacement(stored=stored, document={"id": "s"}, collection=SESSIONS)
        orm_store.replace([back])
        assert figures() == (0, 0, 0, -1)


@pytest.mark.django_db
def test_rows_of_an_older_version_are_indexed_again(orm_store, capsys):
    failed = {"type": "mcp_call", "name": "n", "error": "kiln is down"}
    orm_store.add_items("s", [failed, {"role": "user", "content": "Hi", "usage": USAGE}])
    orm_store.add_items("t", [failed])
    session(orm_store)
    orm_store.insert_one(EVENTS, event("e1", "tool", {"tool_calls": [FAILURE, FAILURE]}))
    orm_store.insert_one(EVENTS, message("e2", "The dog"))
    orm_store.insert_one("p_customers", {"id": "c1", "name": "Zoë"})
    wanted = everything()
    SessionItem.objects.update(terms=None, failed_calls=None, tokens=None)
    Session.objects.update(failed_calls=0, tokens=None)
    SessionItem.objects.filter(session__session_id="t").update(data="{")
    Document.objects.update(terms=None, failed_calls=None)
    Document.objects.update(active_minute=None, item_count=None)
    assert everything() != wanted
    out = StringIO()
    call_command("store_reindex", store=["default"], batch_size=2, stdout=out)
    assert out.getvalue().splitlines() == [
        "default: changed 2 of 3 items",
        "default: changed 3 of 4 documents",
        "default: changed 0 of 0 threads",
    ]
    found = everything()
    assert (found[0]["s"], found[2]) == (wanted[0]["s"], wanted[2])
    assert found[0]["t"] == (0, None)
    assert orm_store.search("kiln", tools=True)
    out = StringIO()
    call_command("store_reindex", place=("documents", 1), stdout=out)
    assert out.getvalue().startswith("default: changed 0 of")


USAGE = {"total_tokens": 3}


def everything() -> Any:
    sessions = Session.objects.values_list("session_id", "failed_calls", "tokens")
    items = SessionItem.objects.order_by("key").values_list("terms", "failed_calls", "tokens")
    documents = Document.objects.order_by("key").values_list(
        "document_id", "terms", "active_minute", "item_count"
    )
    failed = Document.objects.order_by("key").values_list("failed_calls", flat=True)
    return (
        {id_: (calls, tokens) for id_, calls, tokens in sessions},
        list(items),
        [*documents, *(calls or 0 for calls in failed)],
    )


@pytest.mark.django_db
def test_writes_within_a_minute_change_no_index_of_sessions(orm_store, clock):
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL updates rows in place")

    def updates(table: str) -> Any:
        names = ("updated", "hot_updated")
        calls = ", ".join(f"pg_stat_get_xact_tuples_{name}('{table}'::regclass)" for name in names)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {calls}")
            return cursor.fetchone()

    orm_store.add_items("s", [{"n": 1}] * 70)
    session(orm_store)
    for number in range(5):
        orm_store.insert_one(EVENTS, message(f"e{number}"))
    tables = ("parlant_store_session", "parlant_store_document")
    with transaction.atomic():
        before = [updates(table) for table in tables]
        for number in range(10):
            clock.pass_(1)
            orm_store.add_items("s", [{"n": number}])
        orm_store.pop_item("s")
        for number in range(5, 15):
            orm_store.insert_one(EVENTS, message(f"e{number}"))
        after = [updates(table) for table in tables]
    changes = [
        tuple(new - old for new, old in zip(*pair, strict=True))
        for pair in zip(after, before, strict=True)
    ]
    assert [updated for updated, _ in changes] == [11, 10]
    # A row moves once if its page is full; with a change of an index, none is updated in place.
    assert all(hot >= updated - 2 for updated, hot in changes), changes
