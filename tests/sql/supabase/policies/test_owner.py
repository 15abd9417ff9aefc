"""The policy "owner": what users may do, in which collections, and what it costs."""

import re
from typing import Any
from uuid import uuid4

import pytest
from psycopg.errors import InsufficientPrivilege, NoDataFound

from parlant_store.backends.columns import full_names
from parlant_store.backends.contract.validation import SessionName
from parlant_store.content import codec
from tests.sql.supabase.policies.projects import (
    EVENTS,
    NOW,
    SESSIONS,
    A,
    B,
    Project,
    begin_request,
    delete_session,
    everything,
    key_of,
)


def test_what_a_user_begins_is_the_users(owned):
    owned.add(A, "new", "one")
    assert owned.ask(A, "select user_id from parlant_store_session where session_id = 'new'") == [
        (A,)
    ]
    request = uuid4()
    begin_request(owned, A, request)
    assert owned.ask(
        "service_role", "select user_id from parlant_store_request where id = %s", request
    ) == [(A,)]


def test_what_the_service_begins_is_nobodys(owned):
    owned.add("service_role", "new", "one")
    owned.add("service_role", "of-a", "three")
    assert owned.ask(
        "service_role",
        "select session_id, user_id from parlant_store_session"
        " where session_id in ('new', 'of-a') order by 1",
    ) == [("new", None), ("of-a", A)]
    request = uuid4()
    with owned.role("service_role", {"sub": A}) as cursor:
        cursor.execute("select parlant_store_begin_request(%s)", [request])
    owner = "select user_id from parlant_store_request where id = %s"
    assert owned.ask("service_role", owner, request) == [(None,)]


def test_a_user_deletes_hidden_sessions_of_the_own_alone(owned):
    for who, session_id in ((A, "of-a"), (B, "of-b")):
        at = {"namespace": "", "session_id": session_id, "now": NOW}
        assert delete_session(owned, who, session_id, 1) == [(2, True)]
        assert owned.call(who, "get_session", **at) is None
    assert owned.call(A, "delete_hidden", limit=1) is True
    assert (owned.rows(A, "session_item"), owned.rows(B, "session_item")) == (1, 2)
    assert owned.call(A, "delete_hidden", limit=9) is False
    assert (owned.rows(A, "session"), owned.rows(B, "session")) == (0, 1)
    assert owned.rows(B, "session_item") == 2


def test_a_request_of_another_is_refused(owned):
    request = uuid4()
    begin_request(owned, B, request)
    end = "select parlant_store_end_request(%s, %s, %s)"
    owned.ask(B, end, request, "1", True)
    assert begin_request(owned, B, request) == [(["1"],)]
    before = everything(owned)
    with pytest.raises(InsufficientPrivilege, match="used by another user"):
        begin_request(owned, A, request)
    for is_kept in (True, False):
        owned.ask(A, end, request, "2", is_kept)
    assert everything(owned) == before
    assert begin_request(owned, "service_role", request) == [(["1"],)]


def test_a_user_works_with_the_own_session(owned):
    at = {"namespace": "", "now": NOW}
    assert owned.add(A, "of-a", "three") == 3
    items = owned.call(A, "get_items", session_id="of-a", limit=2, **at)
    assert items == ["two", "three"]
    assert owned.call(A, "pop_item", session_id="of-a", expires_at=None, **at) == "three"
    whole = {"names": None, "parent": None, "turn": None, "position": None, "expires_at": None}
    whole |= {"replace": True, "usage": True}
    copied = owned.call(A, "branch", source="of-a", target="copy", **whole, **at)
    assert copied == ("2", "f", "f")
    assert owned.rows(A, "session_item") == 4
    assert delete_session(owned, A, "of-a", None) == [(2, False)]
    assert owned.rows(B, "session_item") == 2


def test_a_user_works_with_the_own_documents(owned):
    assert owned.insert(A, EVENTS, {"id": "next", "session_id": "talk-a", "offset": 1})
    assert owned.insert(A, SESSIONS, {"id": "talk-2", "customer_id": A, "title": None})
    assert owned.insert(A, EVENTS, {"id": "other", "session_id": "talk-2"})
    changed = owned.ask(
        A,
        'update parlant_store_document set data = data || \'{"title": "t"}\' where collection = %s',
        SESSIONS,
    )
    assert changed == 2
    assert owned.rows(A, "document") == 6
    assert owned.ask(A, "delete from parlant_store_document") == 6
    assert owned.rows(B, "document") == 3


def test_what_the_service_adds_to_a_users_session_is_the_users(owned):
    owned.insert("service_role", EVENTS, {"id": "answer", "session_id": "talk-a"})
    assert owned.rows(A, "document") == 4
    assert owned.rows(B, "document") == 3


def test_a_user_repeats_the_own_request(owned):
    request = uuid4()
    arguments = {"p_namespace": "", "p_session_id": "of-a", "p_now": NOW.isoformat()}
    arguments |= {"p_expires_at": None}
    for _ in range(2):
        answer = owned.call(A, "once", request=request, function="pop_item", arguments=arguments)
        assert answer == "two"
    with pytest.raises((NoDataFound, InsufficientPrivilege)):
        owned.call(B, "once", request=request, function="pop_item", arguments=arguments)


@pytest.mark.parametrize(
    "id_",
    [
        "é" * 300,
        "x" * 512,
        "x" * 513,
        "\x01" * 600,
        "\ud7ff" * 300,
        "\x00a\ud800 \x01\x03",
        "a" * 445 + "\x01" * 300,
        "it's %s {x} \\ $$",
    ],
)
def test_odd_names_are_no_lies(owned, id_):
    assert owned.insert(A, SESSIONS, {"id": id_, "customer_id": A, "version": id_})
    assert owned.insert(A, EVENTS, {"id": id_, "session_id": id_, "agent_id": 7, "version": None})
    assert owned.rows(A, "document") == 5
    if "\x00" in id_:
        return
    name = SessionName(id_, id_)
    column = codec.to_column(id_)
    assert owned.add(A, column, "one", namespace=column, names=full_names(name)) == 1


# The owner's claim


@pytest.mark.parametrize(
    ("claim", "mine", "theirs"),
    [
        ("email", {"email": "a@x"}, {"email": "b@x"}),
        ("app_metadata.org", {"app_metadata": {"org": "a"}}, {"app_metadata": {"org": "b"}}),
        ("it's", {"it's": "a"}, {"it's": "b", "its": "a"}),
    ],
)
def test_a_claim_names_the_owner(project, claim, mine, theirs):
    project.use("owner", owner_claim=claim)
    mine, theirs = mine | {"sub": B}, theirs | {"sub": B}
    project.add(mine, "s", "one")
    project.insert(mine, SESSIONS, {"id": "t", "customer_id": owner_of(claim, mine)})
    project.insert(mine, EVENTS, {"id": "e", "session_id": "t"})
    for table, own in {"session": 1, "session_item": 1, "document": 2}.items():
        assert project.rows(mine, table) == own
        assert project.rows(theirs, table) == 0
        assert project.rows({"sub": B}, table) == 0


def owner_of(claim: str, claims: dict[str, Any]) -> Any:
    value: Any = claims
    for name in claim.split("."):
        value = value[name]
    return value


def test_an_empty_claim_is_nobodys(project):
    """Who signs up by telephone has the address ""."""
    project.use("owner", owner_claim="email")
    project.add("service_role", "s", "one", user_id="")
    assert project.rows({"sub": A, "email": ""}, "session") == 0
    with pytest.raises(InsufficientPrivilege):
        project.add({"sub": A, "email": ""}, "new", "one")


def test_the_sessions_of_another_name(project):
    project.use("owner", sessions_collection="bot's_sessions")
    project.insert(A, "bot's_sessions", {"id": "t", "customer_id": A})
    assert project.insert(A, "bot's_events", {"id": "e", "session_id": "t"})
    assert project.rows(A, "document") == 2
    with pytest.raises(InsufficientPrivilege):
        project.insert(A, EVENTS, {"id": "e", "session_id": "t"})


# Which collections are the users'


def test_each_prefix_has_its_own_sessions(project):
    project.use("owner", table_prefixes=["one_", "two_"])
    at = "{}_sessions_{}".format
    for prefix, user in (("one", A), ("two", B)):
        assert project.insert(user, at(prefix, "sessions"), {"id": "t", "customer_id": user})
        assert project.insert(user, at(prefix, "events"), {"id": "e", "session_id": "t"})
    for prefix, user in (("one", B), ("two", A)):
        with pytest.raises(InsufficientPrivilege):
            project.insert(user, at(prefix, "events"), {"id": "f", "session_id": "t"})
    assert (project.rows(A, "document"), project.rows(B, "document")) == (2, 2)
    for collection in (SESSIONS, EVENTS, "one_sessions", "sessions"):
        with pytest.raises(InsufficientPrivilege):
            project.insert(A, collection, {"id": "n", "customer_id": A})


def test_servers_without_a_prefix(project):
    project.use("owner", table_prefixes=[""])
    assert project.insert(A, "sessions_sessions", {"id": "t", "customer_id": A})
    assert project.insert(A, "sessions_events", {"id": "e", "session_id": "t"})


def test_a_users_collection_is_of_no_session_unless_it_is_beside_it(owned):
    assert owned.insert(A, "parlant_sessions_notes", {"id": "n", "session_id": "talk-a"})
    for collection, session_id in (("notes", "talk-a"), ("parlant_sessions_notes", "talk-b")):
        with pytest.raises(InsufficientPrivilege):
            owned.insert(A, collection, {"id": "m", "session_id": session_id, "customer_id": A})


# What it costs


@pytest.fixture
def filled(project: Project) -> Project:
    project.use("owner")
    project.run(
        "insert into parlant_store_session (session_id, namespace, user_id, metadata, state,"
        " next_position, item_count, tokens)"
        f" select 's' || n, '', case when n <= 5 then '{A}' else 'u' || n %% 1000 end,"
        " '{}', '{}', 1, 1, 0 from generate_series(1, 20000) n".replace("%%", "%")
    )
    project.run(
        "insert into parlant_store_session_item (session_key, position, data)"
        " select key, 0, 'x' from parlant_store_session"
    )
    project.run("analyze")
    return project


def plan_of(project: Project, statement: str) -> str:
    lines = project.ask(A, f"explain (analyze, costs off, timing off, summary off) {statement}")
    return "\n".join(line for (line,) in lines)


def test_the_owner_is_asked_once_and_found_by_the_index(filled):
    plan = plan_of(filled, "select * from parlant_store_session")
    assert "InitPlan" in plan
    # Two indexes start with the owner.
    assert re.search("parlant_store_session_(owner|person)", plan)
    assert "Seq Scan" not in plan


def test_the_items_of_a_session_are_found_by_the_index(filled):
    key = key_of(filled, "s3")
    statement = (
        f"select * from parlant_store_session_item where session_key = {key}"
        " order by position desc limit 5"
    )
    plan = plan_of(filled, statement)
    assert "parlant_store_item_position" in plan
    assert "Seq Scan" not in plan
