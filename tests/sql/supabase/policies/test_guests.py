"""Whom each policy lets in: the service, anon, and who signed in anonymously."""

from uuid import uuid4

import pytest
from psycopg.errors import InsufficientPrivilege

from parlant_store.sql.supabase.django_tables import lock_django_sql
from tests.servers.supabase import ROLES
from tests.sql.supabase.policies.projects import (
    EVENTS,
    FUNCTIONS,
    NOW,
    SESSIONS,
    TABLES,
    A,
    B,
    begin_request,
    callable_by,
    everything,
)


@pytest.mark.parametrize(
    ("policy", "role"), [("service", A), ("service", "anon"), ("owner", "anon")]
)
def test_who_is_not_let_in_may_do_nothing(project, policy, role):
    project.use(policy)
    project.add("service_role", "s", "one")
    for table in TABLES:
        for statement in (
            "select from {}",
            "insert into {} default values",
            "update {} set id = null" if table == "request" else "update {} set key = null",
            "delete from {}",
            "truncate {}",
        ):
            with pytest.raises(InsufficientPrivilege):
                project.ask(role, statement.format(f"parlant_store_{table}"))
    assert callable_by(project, "anon" if role == "anon" else "authenticated") == set()
    sequences = project.server.execute(
        "select relname from pg_class where case when starts_with(relname, 'parlant')"
        " and relkind = 'S' then has_sequence_privilege('anon', oid, 'usage, select, update')"
        " or has_sequence_privilege('authenticated', oid, 'usage, select, update') end"
    )
    assert sequences.fetchall() == []


def test_the_service_role_does_everything(project):
    project.use("service")
    assert project.add("service_role", "s", "one", user_id=B) == 1
    assert project.insert("service_role", "c", {"id": "d", "customer_id": B})
    assert project.ask("service_role", "select user_id from parlant_store_session") == [(B,)]
    every = {name for _, name in project.server.execute(FUNCTIONS)}
    assert callable_by(project, "service_role") == every
    assert project.ask("service_role", "delete from parlant_store_document") == 1


def test_a_database_that_grants_nothing_by_itself(project):
    for kind in ("tables", "sequences", "functions"):
        project.run(
            f"revoke all on all {kind} in schema public from public, {ROLES};"
            f"alter default privileges in schema public revoke all on {kind} from {ROLES}"
        )
    project.use("owner")
    assert project.add(A, "s", "one") == 1
    assert project.add("service_role", "s", "two") == 2
    assert project.call(A, "pop_item", namespace="", session_id="s", now=NOW, expires_at=None)


# Who signed in anonymously

ANONYMOUS = {"sub": A, "is_anonymous": True}


@pytest.mark.parametrize("claim", [None, "email"])
def test_anonymous_users_are_users_like_others_or_nobody(project, claim):
    users = {"anonymous": ANONYMOUS, "known": {"sub": A, "is_anonymous": False}, "old": {"sub": A}}
    users = {name: claims | {"email": A} for name, claims in users.items()}
    project.use("owner", owner_claim=claim, anonymous="allow")
    for name, claims in users.items():
        project.add(claims, name, "one")
        project.insert(claims, SESSIONS, {"id": name, "customer_id": A})
        project.insert(claims, EVENTS, {"id": name, "session_id": name})
        begin_request(project, claims, uuid4())
    kept = {"session": 3, "session_item": 3, "document": 6}
    project.use("owner", owner_claim=claim, anonymous="deny")
    before = everything(project)
    for table, number in kept.items():
        assert project.rows(users["known"], table) == project.rows(users["old"], table) == number
        assert project.rows(users["anonymous"], table) == 0
        assert project.ask(users["anonymous"], f"delete from parlant_store_{table}") == 0
    for refused in (
        lambda who: project.add(who, "new", "one"),
        lambda who: project.add(who, "known", "two"),
        lambda who: project.insert(who, SESSIONS, {"id": "n", "customer_id": A}),
        lambda who: project.insert(who, EVENTS, {"id": "n", "session_id": "known"}),
        lambda who: begin_request(project, who, uuid4()),
    ):
        for claims in (users["anonymous"], users["anonymous"] | {"is_anonymous": "yes"}):
            with pytest.raises(InsufficientPrivilege):
                refused(claims)
    assert everything(project) == before
    assert project.add(users["known"], "new", "one") == 1


# The policy "open"


def test_open_lets_everybody_in(project):
    project.use("open")
    assert project.add("anon", "s", "one") == 1
    assert project.add(A, "s", "two") == 2
    assert project.insert("anon", "c", {"id": "d"})
    assert project.ask(A, "delete from parlant_store_document") == 1
    for role in ("anon", "authenticated"):
        assert "parlant_store_ensure_index" not in callable_by(project, role)


def test_open_marks_the_values_of_checkpoints(project):
    """Servers must not read the bytes of everybody as those of servers."""
    project.use("open")
    write = (
        "insert into parlant_store_channel_value"
        " (thread_key, checkpoint_ns, channel, version, type, value)"
        " values (1, '', %s, '1', 'pickle', '') returning type"
    )
    for role, type_ in (
        ("anon", "user:pickle"),
        (A, "user:pickle"),
        ("service_role", "pickle"),
    ):
        assert project.ask(role, write, role) == [(type_,)]
    change = "update parlant_store_channel_value set type = 'pickle' returning type"
    assert project.ask("anon", change) == [("user:pickle",)] * 3
    assert project.ask("service_role", change) == [("pickle",)] * 3
    project.use("service")
    assert (
        project.server.execute(
            "select from pg_trigger where tgname = 'parlant_store_mark'"
        ).fetchall()
        == []
    )


# Django's own tables


def test_locked_tables_are_djangos_alone(project):
    project.use("service")
    assert project.ask("anon", "select count(*) from auth_user") == [(0,)]
    project.run(lock_django_sql("public"))
    names = project.server.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace"
        " and relkind = 'r' and relname not like 'parlant%'"
    ).fetchall()
    assert ("auth_user",) in names
    for (name,) in names:
        for who in ("anon", A):
            with pytest.raises(InsufficientPrivilege):
                project.ask(who, f"select from {name}")
        project.run(f"select from {name}")
    project.run("insert into auth_group (name) values ('x')")
    assert project.run("select name from auth_group") == [("x",)]
    left = project.server.execute(
        "select relname from pg_class where case when relkind = 'S' then"
        " has_sequence_privilege('anon', oid, 'usage, select, update') end"
    )
    assert left.fetchall() == []


def test_locking_passes_over_what_is_not_there(project):
    project.run("drop table django_admin_log; create schema empty")
    project.run(lock_django_sql("public"))
    project.run(lock_django_sql("empty"))
    project.run(lock_django_sql("nowhere"))
