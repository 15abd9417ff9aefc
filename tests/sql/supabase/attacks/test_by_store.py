"""Attacks through the store: another's names, and values that look like anything but data."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from parlant_store.exceptions import (
    AccessDenied,
    DuplicateDocument,
    SessionNotFound,
)
from parlant_store.types import (
    DocumentCursor,
    Replacement,
    Revision,
    SessionCursor,
    StoredDocument,
)
from tests.sql.supabase.attacks.attackers import (
    AGENTS,
    B_KEY,
    EVENTS,
    LIMIT,
    MARK,
    SESSIONS,
    VALUES,
    A,
    B,
)
from tests.sql.supabase.attacks.attackers import project as project
from tests.sql.supabase.attacks.attackers import served as served
from tests.sql.supabase.attacks.attackers import target as target

ITEM = [{"role": "user", "content": "of A"}]
PAST, FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
NAMES = {
    "b-session": "",
    "b-expired": "",
    "b-snapshot": "b-space",
    "nobodys": "",
}
OF_B = StoredDocument(key=B_KEY, text="{}", document={})

# Each with what comes of it: for reads nothing, for writes an error.
OF_SESSIONS: dict[str, tuple[Any, Any]] = {
    "add_items": (lambda s, at: s.add_items(items=ITEM, **at), AccessDenied),
    "add_items as A": (lambda s, at: s.add_items(items=ITEM, user_id=A, **at), AccessDenied),
    "add_items as B": (lambda s, at: s.add_items(items=ITEM, user_id=B, **at), AccessDenied),
    "replace_items": (lambda s, at: s.replace_items(items=[], **at), AccessDenied),
    "set_metadata": (lambda s, at: s.set_metadata(metadata={}, **at), AccessDenied),
    "merge": (lambda s, at: s.set_metadata(metadata={}, merge=True, **at), AccessDenied),
    "save_snapshot": (lambda s, at: s.save_snapshot(items=[], state={}, **at), AccessDenied),
    "save_since": (
        lambda s, at: s.save_snapshot(
            items=[], state={}, since=Revision(key=B_KEY, next_position=3, item_count=2), **at
        ),
        None,
    ),
    "get_items": (lambda s, at: s.get_items(**at), []),
    "get_latest": (lambda s, at: s.get_items(limit=1, **at), []),
    "pop_item": (lambda s, at: s.pop_item(**at), None),
    "clear": (lambda s, at: s.clear(**at), None),
    "delete_session": (lambda s, at: s.delete_session(**at), False),
    "exists": (lambda s, at: s.exists(**at), False),
    "get_session": (lambda s, at: s.get_session(**at), None),
    "get_metadata": (lambda s, at: s.get_metadata(**at), {}),
    "set_expiry": (lambda s, at: s.set_expiry(expires_at=PAST, **at), False),
    "load_snapshot": (lambda s, at: s.load_snapshot(**at), None),
    "branch from": (
        lambda s, at: s.branch(at["session_id"], "copy", namespace=at["namespace"]),
        SessionNotFound,
    ),
    "branch onto": (lambda s, at: branch_onto(s, **at), AccessDenied),
    "list": (lambda s, at: s.list_sessions(prefix=at["session_id"]).sessions, ()),
    "summaries": (lambda s, at: [*s.list_summaries(prefix=at["session_id"])], []),
}


def branch_onto(store: Any, session_id: str, namespace: str) -> None:
    store.add_items("mine", ITEM, namespace=namespace)
    store.branch("mine", session_id, namespace=namespace)


NOTE = {"id": "b-note", "customer_id": A}
OF_DOCUMENTS: dict[str, tuple[Any, Any]] = {
    "insert a taken id": (lambda s: s.insert_one("b-notes", NOTE), DuplicateDocument),
    "insert an expired id": (
        lambda s: s.insert_one("b-notes", {"id": "b-old", "customer_id": A}),
        AccessDenied,
    ),
    "insert for B": (lambda s: s.insert_one("notes", {"id": "n", "customer_id": B}), AccessDenied),
    "insert for nobody": (lambda s: s.insert_one("notes", {"id": "n"}), AccessDenied),
    "insert an agent": (
        lambda s: s.insert_one(AGENTS, {"id": "n", "customer_id": A}),
        AccessDenied,
    ),
    "insert an event": (
        lambda s: s.insert_one(EVENTS, {"id": "n", "session_id": "b-talk"}),
        AccessDenied,
    ),
    "insert an own event": (
        lambda s: s.insert_one(EVENTS, {"id": "n", "session_id": "b-talk", "customer_id": A}),
        AccessDenied,
    ),
    "insert the talk": (
        lambda s: s.insert_one(SESSIONS, {"id": "b-talk", "customer_id": A}),
        AccessDenied,
    ),
    "insert_numbered": (
        lambda s: s.insert_numbered(
            EVENTS, {"session_id": "b-talk", "offset": 0}, number="offset", within="session_id"
        ),
        AccessDenied,
    ),
    "find": (lambda s: s.find("b-notes", count=True, limit=9).total_count, 0),
    "find by customer": (lambda s: s.find("notes", {"customer_id": {"$ne": A}}).documents, ()),
    "find by session": (lambda s: s.find(EVENTS, {"session_id": {"$eq": "b-talk"}}).documents, ()),
    "find talks": (
        lambda s: [each["id"] for each in s.find(SESSIONS, {"$or": [{}]}).documents],
        ["a-talk"],
    ),
    "find values": (lambda s: s.find(VALUES).documents, ()),
    "find agents": (lambda s: s.find(AGENTS, direction="desc").documents, ()),
    "find after": (
        lambda s: s.find("b-notes", cursor=DocumentCursor(creation_utc="", id="")).documents,
        (),
    ),
    "find_one": (lambda s: s.find_one("b-notes", sort=[("offset", "desc")]), None),
    "update": (lambda s: s.update_one("b-notes", {}, {"x": 1}).matched, False),
    "update the talk": (
        lambda s: s.update_one(SESSIONS, {"id": {"$eq": "b-talk"}}, {"customer_id": A}).matched,
        False,
    ),
    "upsert a taken id": (
        lambda s: s.update_one("b-notes", {"x": {"$eq": 1}}, NOTE, upsert=True),
        DuplicateDocument,
    ),
    "upsert an event": (
        lambda s: s.update_one(
            EVENTS, {"id": {"$eq": "n"}}, {"id": "n", "session_id": "b-talk"}, upsert=True
        ),
        AccessDenied,
    ),
    "take a taken id": (
        lambda s: s.update_one(SESSIONS, {"id": {"$eq": "a-talk"}}, {"id": "b-talk"}),
        (AccessDenied, DuplicateDocument),
    ),
    "give a note away": (lambda s: s.update_one("notes", {}, {"customer_id": B}), AccessDenied),
    "move an event": (lambda s: s.update_one(EVENTS, {}, {"session_id": "b-talk"}), AccessDenied),
    "get": (lambda s: s.get_document(SESSIONS, "b-talk"), None),
    "end a talk": (lambda s: s.set_document_expiry(SESSIONS, "b-talk", PAST), 0),
    "end a note": (lambda s: s.set_document_expiry("b-notes", "b-note", None), 0),
    "delete": (lambda s: s.delete_one("b-notes", {}), None),
    "delete an event": (lambda s: s.delete_one(EVENTS, {"session_id": {"$eq": "b-talk"}}), None),
    "drop": (lambda s: s.drop_collection("b-notes"), 0),
    "drop agents": (lambda s: s.drop_collection(AGENTS), 0),
    "collections": (lambda s: s.list_collections(), ["notes", EVENTS, SESSIONS]),
    "list_versions": (lambda s: s.list_versions("b-notes"), []),
    "read_version": (lambda s: s.read_version("b-notes", None), []),
    "replace": (
        lambda s: s.replace([Replacement(stored=OF_B, document={"id": "n"}, collection="notes")]),
        [False],
    ),
    "ensure_index": (lambda s: s.ensure_index("b-notes", [("text", "asc")]), AccessDenied),
    "unique index": (
        lambda s: s.ensure_index("b-notes", [("text", "asc")], unique=True),
        AccessDenied,
    ),
    "search": (lambda s: s.search("hush item", limit=99), []),
    "search_threads": (lambda s: s.search_threads("secret b", limit=99), []),
    "search a space": (lambda s: s.search("hush", namespace="b-space"), []),
    "list": (
        lambda s: [each.session_id for each in s.list_sessions().sessions],
        ["a-session"],
    ),
    "list B's": (lambda s: s.list_sessions(user_id=B).sessions, ()),
    "list by metadata": (lambda s: s.list_sessions(where={"note": {"$ne": None}}).sessions, ()),
    "list after": (
        lambda s: (
            s.list_sessions(cursor=SessionCursor(namespace="", session_id="a-session")).sessions
        ),
        (),
    ),
    "summaries": (lambda s: [each.session_id for each in s.list_summaries()], ["a-session"]),
    "expire": (lambda s: s.expire(), AccessDenied),
}


def comes_of(call: Any, expected: Any) -> None:
    start = time.monotonic()
    if isinstance(expected, (type, tuple)) and expected != ():
        with pytest.raises(expected) as caught:
            call()
        assert MARK not in f"{caught.value} {caught.value.__cause__}"
    else:
        assert call() == expected
    assert time.monotonic() - start < LIMIT


@pytest.mark.parametrize("what", OF_SESSIONS)
def test_a_session_of_another(target, what):
    store = target.store_of_a
    call, expected = OF_SESSIONS[what]
    for session_id, namespace in NAMES.items():
        at = {"session_id": session_id, "namespace": namespace}
        comes_of(lambda at=at: call(store, at), expected)


@pytest.mark.parametrize("what", OF_DOCUMENTS)
def test_what_is_of_another(target, what):
    store = target.store_of_a
    call, expected = OF_DOCUMENTS[what]
    comes_of(lambda: call(store), expected)


def test_the_own_is_there(target):
    """What is refused above is refused for whose it is."""
    store = target.store_of_a
    store.add_items("a-session", ITEM)
    assert store.get_items("a-session")[1:] == ITEM
    assert [hit.session_id for hit in store.search("plain words")] == ["a-session"]
    store.branch("a-session", "copy")
    assert store.pop_item("copy") == ITEM[0]
    store.insert_one(EVENTS, {"id": "n", "session_id": "a-talk"})
    events = len(store.find(EVENTS, {"session_id": {"$eq": "a-talk"}}).documents)
    assert store.set_document_expiry(SESSIONS, "a-talk", FUTURE) == 1 + events
    assert store.get_document(EVENTS, "n").expires_at == FUTURE
    assert store.delete_one(EVENTS, {"id": {"$eq": "n"}})
    assert store.delete_session("a-session")
