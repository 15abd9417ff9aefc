"""The policy "owner": what a user may not do."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege
from psycopg.types.json import Jsonb

from parlant_store.backends.columns import promoted
from parlant_store.content import codec
from parlant_store.sql.supabase.policies import SERVICE_ONLY
from tests.sql.supabase.policies.projects import (
    EVENTS,
    FUNCTIONS,
    NOW,
    SESSIONS,
    TABLES,
    TAGS,
    A,
    B,
    begin_request,
    callable_by,
    delete_session,
    everything,
    key_of,
)


def test_a_user_sees_nothing_of_others(owned):
    for table, own in {"document": 3, "session": 1, "session_item": 2}.items():
        assert owned.rows(A, table) == own
    embedded = (
        "select i.data from parlant_store_session s join parlant_store_session_item i on true"
    )
    assert owned.ask(A, f"{embedded} where s.user_id = %s", B) == []
    filtered = "select id from parlant_store_document where customer_id = %s or id is not null"
    assert {id_ for (id_,) in owned.ask(A, filtered, B)} == {"talk-a", "event-a", "note-a"}


CHANGES = {
    "the owner of sessions": "update parlant_store_session set user_id = %(a)s"
    " where user_id is distinct from %(a)s",
    "sessions, deleted": "delete from parlant_store_session where user_id is distinct from %(a)s",
    "items": "update parlant_store_session_item set data = 'x' where session_key in"
    " (select key from parlant_store_session where user_id = %(b)s)",
    "when documents expire": "update parlant_store_document set expires_at = now()"
    " where id like '%%-b'",
    "documents, deleted": "delete from parlant_store_document where id like '%%-b'"
    " or customer_id is null and session_id is null",
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_user_changes_nothing_of_others(owned, what):
    before = everything(owned)
    with owned.role("authenticated", {"sub": A}) as cursor:
        cursor.execute(CHANGES[what], {"a": A, "b": B})
        assert cursor.rowcount == 0
    assert everything(owned) == before


SESSION = "insert into parlant_store_session (session_id, namespace, user_id, metadata, state,"
SESSION += " next_position, item_count, tokens, full_names)"
WRITES: dict[str, str] = {
    "a session of another's": f"{SESSION} values ('n', '', %(b)s, '{{}}', '{{}}', 0, 0, 0, null)",
    "a session with false names": f"{SESSION} values"
    " ('n', '', %(a)s, '{}', '{}', 0, 0, 0, '{\"session_id\": \"of-b\"}')",
    "a session with a false owner's name": f"{SESSION} values"
    " ('n', '', %(a)s, '{}', '{}', 0, 0, 0, '{\"user_id\": \"root\"}')",
    "the own session, given away": "update parlant_store_session set user_id = %(b)s",
    "the own session, given to nobody": "update parlant_store_session set user_id = null",
    "an upsert on another's session": f"{SESSION} values"
    " ('of-b', '', %(a)s, '{}', '{}', 0, 0, 0, null)"
    " on conflict (namespace, session_id) do update set user_id = %(a)s",
    "an item in another's session": "insert into parlant_store_session_item"
    " (session_key, position, data) values (%(key)s, 99, 'x')",
    "an item in no session": "insert into parlant_store_session_item"
    " (session_key, position, data) values (-1, 99, 'x')",
    "the own items, moved": "update parlant_store_session_item"
    " set session_key = %(key)s, position = position + 50",
    "a request of another's": "insert into parlant_store_request (id, user_id)"
    " values (gen_random_uuid(), %(b)s)",
    "the own request, given away": "update parlant_store_request set user_id = %(b)s",
    "the own requests, read": "select id from parlant_store_request",
    "the own requests, removed": "delete from parlant_store_request",
    "a request, past its function": "select parlant_store_private.begin_request(null, false)",
    "a key of one's choice": "insert into parlant_store_session_item"
    " (key, session_key, position, data) values (100000, 1, 99, 'x')",
    "another key": "update parlant_store_document set key = 100000 + key",
    "a truncation": "truncate parlant_store_document",
    "what the policies ask": "select parlant_store_private.own_sessions()",
}


@pytest.mark.parametrize("what", WRITES)
def test_a_user_is_refused(owned, what):
    before = everything(owned)
    given = {"a": A, "b": B, "key": key_of(owned, "of-b")}
    with (
        pytest.raises(InsufficientPrivilege),
        owned.role("authenticated", {"sub": A}) as cursor,
    ):
        cursor.execute(WRITES[what], given)
    assert everything(owned) == before


PLANTED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # What it is: the collection, the document, and what its columns say otherwise.
    "another's document": ("notes", {"id": "n", "customer_id": B}, {}),
    "nobody's document": ("notes", {"id": "n"}, {}),
    "another's session": (SESSIONS, {"id": "n", "customer_id": B}, {}),
    "nobody's session": (SESSIONS, {"id": "n"}, {}),
    "a nameless session": (SESSIONS, {"customer_id": A}, {}),
    "nobody's session inside the own": (SESSIONS, {"id": "n", "session_id": "talk-a"}, {}),
    "an event in another's session": (EVENTS, {"id": "n", "session_id": "talk-b"}, {}),
    "an own event in another's session": (
        EVENTS,
        {"id": "n", "session_id": "talk-b", "customer_id": A},
        {},
    ),
    "another's event in the own session": (
        EVENTS,
        {"id": "n", "session_id": "talk-a", "customer_id": B},
        {},
    ),
    "an event in nobody's session": (EVENTS, {"id": "n", "session_id": "gone"}, {}),
    "an event beside the store's": (
        "other_sessions_events",
        {"id": "n", "session_id": "talk-a", "customer_id": A},
        {},
    ),
    "an agent": ("parlant_agents_agents", {"id": "n", "customer_id": A}, {}),
    "a guideline": ("parlant_agents_anything", {"id": "n", "customer_id": A}, {}),
    "metadata": ("notes_metadata", {"id": "n", "customer_id": A}, {}),
    "the sessions' metadata": ("parlant_sessions_metadata", {"session_id": "talk-a"}, {}),
    "a session that says it is another": (
        SESSIONS,
        {"id": "talk-b", "customer_id": A},
        {"id": "n"},
    ),
    "a session that says it is another's": (
        SESSIONS,
        {"id": "n", "customer_id": B},
        {"customer_id": A},
    ),
    "an event that says it is in another's session": (
        EVENTS,
        {"id": "n", "session_id": "talk-b"},
        {"session_id": "talk-a"},
    ),
    "an event that does not say where": (EVENTS, {"id": "n"}, {"session_id": "talk-a"}),
    "a field that is no text": (SESSIONS, {"id": 7, "customer_id": A}, {"id": "7"}),
    "a long name of another": (
        SESSIONS,
        {"id": "x" * 600, "customer_id": A},
        {"id": codec.to_column("y" * 600)},
    ),
    "a long name under a digest of one's choice": (
        SESSIONS,
        {"id": "x" * 600, "customer_id": A},
        {"id": "x" * 446 + "\x01\x03" + "0" * 64},
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_user_plants_nothing(owned, what):
    collection, document, lies = PLANTED[what]
    columns = promoted(document) | lies
    before = everything(owned)
    with pytest.raises(InsufficientPrivilege, match="row-level security"):
        owned.insert(A, collection, document, columns)
    # The Data API inserts into the table as well, and need not look at what it inserted.
    names = ", ".join(("collection", "data", *columns))
    values = [collection, Jsonb(document), *columns.values()]
    places = ", ".join(["%s"] * len(values))
    with pytest.raises(InsufficientPrivilege, match="row-level security"):
        owned.ask(A, f"insert into parlant_store_document ({names}) values ({places})", *values)
    assert everything(owned) == before


@pytest.mark.parametrize(
    "change",
    [
        {"customer_id": B},
        {"customer_id": None},
        {"session_id": "talk-b"},
        {"collection": "parlant_agents_agents"},
        {"id": "else"},
        {"data": Jsonb([])},
        {"data": Jsonb({"id": "note-a", "customer_id": B})},
    ],
    ids=repr,
)
def test_a_user_turns_the_own_document_into_nothing_else(owned, change):
    ((column, value),) = change.items()
    statement = f"update parlant_store_document set {column} = %s where id = 'note-a'"
    with pytest.raises(InsufficientPrivilege):
        owned.ask(A, statement, value)


def test_what_an_agent_notes_of_a_user_is_for_reading(owned):
    owned.insert("service_role", TAGS, {"id": "tag", "customer_id": A, "tag": "banned"})
    assert owned.rows(A, "document") == 4
    at = f"where collection = '{TAGS}'"
    assert owned.ask(A, f"delete from parlant_store_document {at}") == 0
    assert owned.ask(A, f"update parlant_store_document set agent_id = null {at}") == 0
    assert owned.ask(A, f"update parlant_store_document set collection = 'notes' {at}") == 0
    assert owned.call(A, "drop_collection", collection=TAGS) == 0
    assert owned.rows(A, "document") == 4


def test_a_new_session_opens_nothing_that_another_left(owned):
    owned.insert("service_role", EVENTS, {"id": "left", "session_id": "ended"})
    with pytest.raises(InsufficientPrivilege):
        owned.insert(A, SESSIONS, {"id": "ended", "customer_id": A})
    with pytest.raises(InsufficientPrivilege):
        owned.ask(
            A,
            "update parlant_store_document set id = 'ended', data = data || '{\"id\": \"ended\"}'"
            " where id = 'talk-a'",
        )


@pytest.mark.parametrize("session_id", ["of-b", "of-nobody"])
@pytest.mark.parametrize("expired", [False, True])
def test_the_functions_reach_nobody_elses_session(owned, session_id, expired):
    if expired:
        owned.ask(
            "service_role",
            "update parlant_store_session set expires_at = %s where session_id = %s",
            NOW - timedelta(days=1),
            session_id,
        )
    before = everything(owned)
    at = {"namespace": "", "session_id": session_id, "now": NOW}
    no_end = {"expires_at": None}
    for refused in (
        lambda: owned.add(A, session_id, "mine"),
        lambda: owned.add(A, session_id, "mine", replace=True),
        lambda: owned.add(A, session_id, "mine", user_id=A),
        lambda: owned.call(
            A, "set_metadata", names=None, metadata="{}", merge=True, **at, **no_end
        ),
    ):
        with pytest.raises(InsufficientPrivilege):
            refused()
    assert owned.call(A, "get_items", limit=None, **at) == []
    for function in ("get_session", "load"):
        assert owned.call(A, function, **at) is None
    for items in (None, 0):
        assert delete_session(owned, A, session_id, items) == [(None, False)]
    assert owned.call(A, "pop_item", **at, **no_end) is None
    assert not owned.call(A, "clear", **at, **no_end)
    assert not owned.call(A, "set_expiry", **at, **no_end)
    branch: dict[str, Any] = {"namespace": "", "names": None, "now": NOW} | no_end
    branch |= {"parent": None, "turn": None, "position": None, "replace": True, "usage": True}
    assert owned.call(A, "branch", source=session_id, target="copy", **branch) == (None, "f", "f")
    assert owned.call(A, "keep_latest", items=0, turns=None, **at) == 0
    usage = {"usage": "{}", "turn": None, "replace": True}
    assert owned.call(A, "add_usage", **usage, **at) == ("f", "f")
    assert owned.call(A, "get_usage", **at) is None
    assert owned.call(A, "get_usage_of_turns", **at) == []
    assert owned.call(A, "list_branches", **at) == []
    listing: dict[str, Any] = {"after": None, "newest": False, "items": True, "limit": 9}
    assert owned.call(A, "list_turns", **listing, **at) == []
    with pytest.raises((InsufficientPrivilege, psycopg.errors.UniqueViolation)):
        owned.call(A, "branch", source="of-a", target=session_id, **branch)
    assert everything(owned) == before


def test_the_functions_find_nothing_of_others(owned):
    found = owned.call(
        A, "search", query="'two'", namespace=None, limit=9, texts=9, tools=False, now=NOW
    )
    assert [row[1] for row in found] == ["of-a"]
    none: dict[str, Any] = {"filter": None, "now": NOW}
    listed = owned.call(
        A,
        "list_sessions",
        namespace=None,
        user_id=None,
        prefix=None,
        since=None,
        limit=9,
        after_namespace=None,
        after_session_id=None,
        by_activity=False,
        before=None,
        **none,
    )
    assert [session["session_id"] for session in listed] == ["of-a"]
    everybodys = {"all": []}
    page = owned.call(
        A,
        "find",
        collection=EVENTS,
        filter=everybodys,
        limit=9,
        created=None,
        id=None,
        direction="asc",
        count_to=9,
        now=NOW,
    )
    assert (len(page["documents"]), page["total"]) == (1, 1)
    of_b = {"field": "id", "column": True, "in": ["event-b"]}
    at = {"collection": EVENTS, "filter": of_b, "now": NOW}
    assert owned.call(A, "find_one", sort="[]", **at) is None
    assert owned.call(A, "delete_one", **at) is None
    before = everything(owned)
    assert (
        owned.call(A, "update_one", document="{}", columns={}, upsert=False, turn="", **at) is None
    )
    owned.call(A, "drop_collection", collection="parlant_agents_agents")
    owned.call(B, "drop_collection", collection="nothing")
    assert everything(owned) == before


def test_users_have_no_administrative_functions(owned):
    every = {name for _, name in owned.server.execute(FUNCTIONS)}
    assert set(SERVICE_ONLY) >= {"parlant_store_expire", "parlant_store_retire"}
    assert every - callable_by(owned, "authenticated") == set(SERVICE_ONLY)
    with pytest.raises(InsufficientPrivilege):
        owned.ask(A, "select parlant_store_expire(now(), 1, 1)")
    with pytest.raises(InsufficientPrivilege):
        owned.call(
            A,
            "once",
            request=uuid4(),
            function="expire",
            arguments={"p_now": NOW.isoformat(), "p_limit": 1},
        )


@pytest.mark.parametrize("claims", [{}, {"sub": None}], ids=repr)
def test_who_is_nobody_has_nothing(owned, claims):
    with pytest.raises(InsufficientPrivilege):
        begin_request(owned, claims, uuid4())
    for table in set(TABLES) - {"request"}:
        ((number,),) = owned.ask(claims, f"select count(*) from parlant_store_{table}")
        assert number == 0
    with pytest.raises(InsufficientPrivilege):
        owned.add(claims, "new", "one")
    with pytest.raises(InsufficientPrivilege):
        owned.insert(claims, "notes", {"id": "n", "customer_id": ""})
