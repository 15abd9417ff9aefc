"""Who may do what under each policy, asked of PostgreSQL as the Data API asks."""

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import sql
from psycopg.errors import InsufficientPrivilege, NoDataFound
from psycopg.types.json import Jsonb

from parlant_store.backends.columns import full_names, promoted
from parlant_store.backends.contract.validation import SessionName
from parlant_store.content import codec
from parlant_store.sql.functions import functions_sql
from parlant_store.sql.supabase.access import POLICIES
from parlant_store.sql.supabase.django_tables import lock_django_sql
from parlant_store.sql.supabase.policies import SERVICE_ONLY, document_policies_sql, policies_sql
from parlant_store.sql.supabase.schema import identifier, tables_sql
from tests.servers.supabase import ROLES, roles_sql
from tests.sql.supabase.databases import aliased, connected, new_database
from tests.sql.supabase.linter import RULES, UNAVOIDABLE, Finding, findings

PROJECT = "parlant_store_project"
TABLES = ("document", "request", "session", "session_item")
ODD = 'Ten\'ant "x" 100% $$ {schema} \\'
A, B = str(UUID(int=10)), str(UUID(int=11))
NOW = datetime.now(UTC)
SESSIONS, EVENTS = "parlant_sessions_sessions", "parlant_sessions_events"
USER_COLLECTIONS = ("notes", "memos", "parlant_sessions_notes")
TAGS = "parlant_customers_customer_tag_associations"
"""Where users may read alone."""

OPTIONS: dict[str, Any] = {
    "owner_claim": "app_metadata.org",
    "table_prefixes": ("parlant_", "it's ", ""),
    "user_collections": ("notes", "it's % {x} $$"),
    "readable_collections": (TAGS, "sessions_events_failed_migrations"),
    "anonymous": "deny",
}

Rows = list[tuple[Any, ...]]


class Project:
    """A database as a project of Supabase has it."""

    def __init__(self, name: str) -> None:
        self.owner = connected(name, user=PROJECT)
        self.server = connected(name)

    def close(self) -> None:
        self.owner.close()
        self.server.close()

    def run(self, statement: str) -> None:
        """Runs a script as Django and Supabase's editor do, as the owner of the tables."""
        self.owner.execute(statement)

    def use(self, policy: str, **options: Any) -> None:
        self.run(policies_sql(schema="public", policy=policy, **options))

    @contextmanager
    def role(self, role: str, claims: dict[str, Any]) -> Iterator[psycopg.Cursor[Any]]:
        """A transaction as PostgREST opens it for a token of these claims."""
        with self.server.transaction(), self.server.cursor() as cursor:
            cursor.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
            given = json.dumps(claims | {"role": role})
            cursor.execute("select set_config('request.jwt.claims', %s, true)", [given])
            yield cursor
            # The transaction may be a part of another.
            cursor.execute("reset role")
            cursor.execute("set local request.jwt.claims to ''")

    def ask(self, who: str | dict[str, Any] | None, statement: str, *params: Any) -> Any:
        """The rows of a statement, or how many it changed; ``who`` is a user, a role or claims."""
        claims = who if isinstance(who, dict) else {"sub": who}
        role = "authenticated"
        if who in ("anon", "service_role"):
            role, claims = str(who), {}
        with self.role(role, claims) as cursor:
            cursor.execute(statement, params or None)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    def call(self, who: Any, function: str, /, **arguments: Any) -> Any:
        """What one of the app's functions returns."""
        named = ", ".join(f"p_{name} => %s" for name in arguments)
        statement = f"select parlant_store_{function}({named})"
        ((answer,),) = self.ask(who, statement, *map(parameter, arguments.values()))
        return answer

    def add(self, who: Any, session_id: str, *items: str, **given: Any) -> int:
        size = len(items)
        arguments = {
            "namespace": "",
            "session_id": session_id,
            "names": None,
            "user_id": None,
            "data": list(items),
            "roles": [None] * size,
            "texts": [*items],
            "terms": [f"'{item}'" for item in items],
            "tokens": [None] * size,
            "total": 0,
            "now": NOW,
            "expires_at": None,
            "replace": False,
        }
        values = [parameter(value) for value in (arguments | given).values()]
        statement = f"select parlant_store_add_items({', '.join(['%s'] * len(values))})"
        ((answer,),) = self.ask(who, statement, *values)
        return answer  # type: ignore[no-any-return]

    def insert(
        self,
        who: Any,
        collection: str,
        document: dict[str, Any],
        columns: dict[str, Any] | None = None,
    ) -> bool:
        return self.call(  # type: ignore[no-any-return]
            who,
            "insert_one",
            collection=codec.to_column(collection),
            document=codec.encode_document(document, "document"),
            columns=promoted(document) if columns is None else columns,
            now=NOW,
        )

    def rows(self, who: Any, table: str) -> int:
        ((number,),) = self.ask(who, f"select count(*) from parlant_store_{table}")
        return int(number)


def parameter(value: Any) -> Any:
    """A text for objects, which is taken as json and as jsonb."""
    return json.dumps(value) if isinstance(value, dict) else value


@pytest.fixture(scope="module")
def template(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """A project made before 2026, whose tables are Django's and are granted to everybody.

    As on Supabase, their owner is no superuser.
    """
    with connected(connection.settings_dict["NAME"]) as server:
        server.execute(f"create role {PROJECT} login bypassrls password '{PROJECT}'")
        try:
            with new_database("template1", owner=PROJECT) as name:
                with connected(name) as made:
                    made.execute(roles_sql())
                    made.execute(f"grant usage on schema auth to {PROJECT}")
                    for kind in ("tables", "sequences", "functions"):
                        made.execute(
                            f"alter default privileges for role {PROJECT} in schema public"
                            f" grant all on {kind} to {ROLES}"
                        )
                with aliased(name, USER=PROJECT, PASSWORD=PROJECT), django_db_blocker.unblock():
                    call_command("migrate", database=name, verbosity=0)
                yield name
        finally:
            server.execute(f"drop role {PROJECT}")


@contextmanager
def new_project(template: str) -> Iterator[Project]:
    with new_database(template, owner=PROJECT) as name, closing(Project(name)) as made:
        yield made


@pytest.fixture
def project(template: str) -> Iterator[Project]:
    with new_project(template) as made:
        yield made


@pytest.fixture(scope="module")
def owned_database(template: str) -> Iterator[Project]:
    """The policy "owner", with what A, B and the service have."""
    with new_project(template) as made:
        made.use("owner", user_collections=USER_COLLECTIONS, readable_collections=[TAGS])
        for user, letter in ((A, "a"), (B, "b")):
            made.add(user, f"of-{letter}", "one", "two")
            made.insert(user, SESSIONS, {"id": f"talk-{letter}", "customer_id": user})
            made.insert(user, EVENTS, {"id": f"event-{letter}", "session_id": f"talk-{letter}"})
            made.insert(user, "notes", {"id": f"note-{letter}", "customer_id": user})
            begin_request(made, user, uuid4())
        made.add("service_role", "of-nobody", "one")
        made.insert("service_role", "parlant_agents_metadata", {"id": "m", "version": "1"})
        made.insert("service_role", "parlant_agents_agents", {"id": "agent"})
        yield made


def begin_request(project: Project, who: Any, request: UUID) -> Any:
    return project.ask(who, "select parlant_store_begin_request(%s)", request)


def delete_session(project: Project, who: Any, session_id: str, items: int | None) -> Any:
    """How many items it had, and whether it is hidden."""
    call = "select * from parlant_store_delete_session('', %s, %s, %s)"
    return project.ask(who, call, session_id, NOW, items)


@pytest.fixture
def owned(owned_database: Project) -> Iterator[Project]:
    """What a test does to it is undone."""
    with owned_database.server.transaction(force_rollback=True):
        yield owned_database


# The linter

READ_BY_USERS = [
    Finding("0027", f"public.parlant_store_{table}")
    for table in ("document", "session", "session_item")
]
"""What users read by its name, each what is theirs: pg_graphql shows them that it is there."""


@pytest.mark.parametrize("policy", POLICIES)
def test_the_linter_finds_nothing(project, policy):
    project.use(policy)
    project.run(lock_django_sql("public"))
    found = findings(project.server.cursor())
    tables = [f"public.parlant_store_{table}" for table in TABLES]
    expected: dict[str, list[Finding]] = {
        "service": [],
        "owner": READ_BY_USERS,
        "open": sorted(
            [Finding("0024", f"parlant_store_open on {table}") for table in tables]
            + [Finding(rule, table) for rule in ("0026", "0027") for table in tables]
        ),
    }
    assert found == expected[policy]


@pytest.mark.parametrize("claim", ["email", "app_metadata.org", 'it\'s "x" \\ {schema} $$'])
def test_the_linter_finds_nothing_with_a_claim(project, claim):
    project.use("owner", owner_claim=claim)
    project.run(lock_django_sql("public"))
    assert findings(project.server.cursor()) == READ_BY_USERS


def test_the_linter_finds_nothing_with_every_option(project):
    project.use("owner", **OPTIONS)
    project.run(lock_django_sql("public"))
    assert findings(project.server.cursor()) == READ_BY_USERS


@pytest.mark.parametrize("policy", POLICIES)
def test_a_schema_of_any_name(project, policy):
    project.use("service")
    project.run(lock_django_sql("public"))
    project.run(f"create schema {identifier(ODD)}")
    project.run(tables_sql(ODD))
    project.run(functions_sql(identifier(ODD)))
    for _ in range(2):
        project.run(policies_sql(schema=ODD, policy=policy))
    found = findings(project.server.cursor(), exposed_schemas=(ODD,))
    assert {finding.rule for finding in found} <= UNAVOIDABLE[policy]


def test_two_schemas_have_policies_of_their_own(project):
    for schema in (ODD, "x" * 63):
        project.run(f"create schema {identifier(schema)}")
        project.run(tables_sql(schema))
        project.run(functions_sql(identifier(schema)))
        project.run(policies_sql(schema=schema, policy="owner"))
        begin = f"select {identifier(schema).replace('%', '%%')}.parlant_store_begin_request(%s)"
        assert project.ask(A, begin, uuid4()) == [(None,)]
        select = f"select user_id from {identifier(schema)}.parlant_store_request"
        assert project.ask("service_role", select) == [(A,)]
    project.run(policies_sql(schema=ODD, policy="service"))
    assert project.ask(A, begin, uuid4()) == [(None,)]


MISTAKES = {
    "0001": "create table bad (id int primary key, other int references bad)",
    "0003": "create table bad (id uuid); create policy p on bad using (id = auth.uid())",
    "0004": "create table bad (id int)",
    "0006": "create table bad (id int); create policy p on bad using (id = 1);"
    " create policy q on bad for delete to anon using (id = 2)",
    "0007": "create table bad (id int); create policy p on bad using (id = 1)",
    "0008": "create table bad (id int); alter table bad enable row level security",
    "0009": "create table bad (id int); create index one on bad (id); create index two on bad (id)",
    "0010": "create view bad as select 1 as one",
    "0011": "create function bad() returns int language sql as 'select 1'",
    "0013": "create table bad (id int)",
    "0014": "update pg_extension set extnamespace = 'public'::regnamespace",
    "0015": "create table bad (id text); create policy p on bad using"
    " (id = (select auth.jwt()) -> 'user_metadata' ->> 'id')",
    "0023": "create table bad (id int, session_id text); grant select on bad to anon",
    "0024": "create table bad (id int); alter table bad enable row level security;"
    " create policy p on bad for insert to authenticated with check (true)",
    "0026": "create view bad as select 1 as one; grant select (one) on bad to anon",
    "0027": "create table bad (id int); grant select (id) on bad to authenticated",
    "0028": "create function bad() returns int language sql security definer as 'select 1'",
    "0029": "create function bad() returns int language sql security definer as 'select 1'",
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_its_mistake(owned, rule):
    owned.server.execute(MISTAKES[rule])
    found = findings(owned.server.cursor())
    names = [finding.object for finding in found if finding.rule == rule]
    assert [name for name in names if re.search("bad|plpgsql|one, two", name)]


# Running it again, and changing one's mind

STATE = {
    "relations": "select oid::regclass::text, relacl::text, relrowsecurity from pg_class"
    " where relnamespace = 'public'::regnamespace",
    "columns": "select attrelid::regclass::text, attname, attacl::text from pg_attribute"
    " where attacl is not null and attrelid > 16384",
    "functions": "select p.oid::regprocedure::text, proacl::text, prosrc from pg_proc p"
    " join pg_namespace n on n.oid = pronamespace where nspname ~ '^(public|parlant)'",
    "policies": "select schemaname, tablename, policyname, roles::text, cmd, qual, with_check"
    " from pg_policies",
    "triggers": "select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal",
    "schemas": "select nspname from pg_namespace where nspname not like 'pg\\_%'",
}


def state(project: Project) -> dict[str, list[str]]:
    return {
        name: sorted(map(repr, project.server.execute(query).fetchall()))
        for name, query in STATE.items()
    }


@pytest.mark.parametrize("policy", POLICIES)
def test_running_it_again_changes_nothing(project, policy):
    project.use(policy)
    project.run(lock_django_sql("public"))
    before = state(project)
    project.use(policy)
    project.run(lock_django_sql("public"))
    assert state(project) == before


def test_a_policy_leaves_nothing_of_the_one_before(project):
    fresh: dict[str, Any] = {}
    for policy in (*POLICIES, "service", "open", "owner", "service"):
        project.use(policy)
        now = state(project)
        assert now == fresh.setdefault(policy, now)
    project.use("owner", **OPTIONS)
    project.use("owner")
    assert state(project) == fresh["owner"]


def test_the_same_arguments_give_the_same_text():
    texts = {policies_sql(schema=ODD, policy="owner", owner_claim="email") for _ in range(3)}
    assert len(texts) == 1


def test_a_partition_has_the_policies_of_the_table(project):
    project.run("create table public.part (like parlant_store_document including all)")
    for policy in ("owner", "open", "service"):
        project.use(policy)
        options = {"schema": "public", "policy": policy}
        project.run(document_policies_sql(table="part", **options))
        project.run(lock_django_sql("public"))
        found = {finding.rule for finding in findings(project.server.cursor())}
        assert found == UNAVOIDABLE[policy]
        of_both = project.server.execute(
            "select array_agg(row(policyname, roles, qual, with_check)::text order by policyname)"
            " from pg_policies where tablename in ('part', 'parlant_store_document')"
            " group by tablename"
        ).fetchall()
        texts = {repr(rows).replace("parlant_store_document", "part") for rows in of_both}
        assert len(texts) == 1
        for role in ("anon", A, "service_role"):
            with pytest.raises(InsufficientPrivilege):
                project.ask(role, "select from part")


# The policy "service", and anon

FUNCTIONS = (
    "select oid, proname from pg_proc"
    " where pronamespace = 'public'::regnamespace and starts_with(proname, 'parlant_store_')"
)


def callable_by(project: Project, role: str) -> set[str]:
    found = project.server.execute(
        f"select proname from ({FUNCTIONS}) f where has_function_privilege(%s, oid, 'execute')",
        [role],
    )
    return {name for (name,) in found}


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
            "update {} set created_at = now()" if table != "document" else "update {} set id = ''",
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


# The policy "owner": what a user may do


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
    assert (
        owned.call(A, "branch", source="of-a", target="copy", names=None, expires_at=None, **at)
        == 2
    )
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


# The policy "owner": what a user may not do


def test_a_user_sees_nothing_of_others(owned):
    for table, own in {"document": 3, "session": 1, "session_item": 2}.items():
        assert owned.rows(A, table) == own
    embedded = (
        "select i.data from parlant_store_session s join parlant_store_session_item i on true"
    )
    assert owned.ask(A, f"{embedded} where s.user_id = %s", B) == []
    filtered = "select id from parlant_store_document where customer_id = %s or id is not null"
    assert {id_ for (id_,) in owned.ask(A, filtered, B)} == {"talk-a", "event-a", "note-a"}


def test_a_user_changes_nothing_of_others(owned):
    before = everything(owned)
    for statement in (
        "update parlant_store_session set user_id = %(a)s where user_id is distinct from %(a)s",
        "delete from parlant_store_session where user_id is distinct from %(a)s",
        "update parlant_store_session_item set data = 'x' where session_key in"
        " (select key from parlant_store_session where user_id = %(b)s)",
        "update parlant_store_document set expires_at = now() where id like '%%-b'",
        "delete from parlant_store_document where id like '%%-b' or customer_id is null"
        " and session_id is null",
    ):
        with owned.role("authenticated", {"sub": A}) as cursor:
            cursor.execute(statement, {"a": A, "b": B})
            assert cursor.rowcount == 0
    assert everything(owned) == before


def everything(project: Project) -> dict[str, Rows]:
    return {
        table: project.server.execute(
            f"select t::text from parlant_store_{table} t order by 1"
        ).fetchall()
        for table in TABLES
    }


def key_of(project: Project, session_id: str) -> int:
    ((key,),) = project.server.execute(
        "select key from parlant_store_session where session_id = %s", [session_id]
    )
    return int(key)


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
    branch = {"namespace": "", "names": None, "now": NOW} | no_end
    assert owned.call(A, "branch", source=session_id, target="copy", **branch) is None
    with pytest.raises((InsufficientPrivilege, psycopg.errors.UniqueViolation)):
        owned.call(A, "branch", source="of-a", target=session_id, **branch)
    assert everything(owned) == before


def test_the_functions_find_nothing_of_others(owned):
    found = owned.call(A, "search", query="'two'", namespace=None, limit=9, texts=9, now=NOW)
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


@pytest.mark.parametrize(
    "claim", ["user_metadata", "user_metadata.org", "x.user_metadata", "", "a..b", ".a", "a\n"]
)
def test_a_claim_that_cannot_name_the_owner(claim):
    with pytest.raises(ValueError, match="The claim"):
        policies_sql(schema="public", policy="owner", owner_claim=claim)


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"user_collections": ["notes_failed_migrations"]}, "could not be migrated"),
        ({"user_collections": ["parlant_agents_metadata"]}, "the version of"),
        ({"user_collections": ["parlant_store.collections.metadata"]}, "the version of"),
        ({"user_collections": ["parlant_sessions"]}, "--table-prefix"),
        ({"user_collections": [""]}, "must not be empty"),
        ({"user_collections": ["a\nb"]}, "cannot be printed"),
        ({"readable_collections": ["x" * 513]}, "512 bytes"),
        ({"table_prefixes": ["x" * 500]}, "512 bytes"),
        ({"table_prefixes": []}, "no prefix"),
        ({"anonymous": "maybe"}, "allow, deny"),
        ({"policy": "service", "anonymous": "deny"}, "needs the policy owner"),
        ({"policy": "service", "user_collections": ["notes"]}, "need the policy owner"),
        ({"policy": "open", "readable_collections": ["notes"]}, "need the policy owner"),
    ],
)
def test_options_that_open_what_must_be_closed(options, message):
    with pytest.raises(ValueError, match=message):
        policies_sql(**{"schema": "public", "policy": "owner"} | options)


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
    assert project.owner.execute("select name from auth_group").fetchall() == [("x",)]
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
    assert "parlant_store_session_owner" in plan
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


# The command


def printed(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("supabase_rls", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("policy", POLICIES)
def test_the_command_prints_it(project, policy):
    out, err = printed("--policy", policy, "--lock-django")
    assert bool(err) is (policy == "open")
    assert policies_sql(schema="public", policy=policy) in out
    project.run(out)
    found = {finding.rule for finding in findings(project.server.cursor())}
    assert found == UNAVOIDABLE[policy]


def test_the_command_has_all_options(tmp_path):
    options = ["--schema", ODD, "--policy", "owner", "--owner-claim", "email"]
    options += ["--sessions-collection", "talks"]
    given = {"schema": ODD, "policy": "owner", "owner_claim": "email"}
    expected = policies_sql(**given, sessions_collection="talks")
    assert expected in printed(*options)[0]
    options[-2:] = ["--table-prefix", "a_, b_", "--user-collections", "notes,memos"]
    options += ["--readable-collections", TAGS, "--anonymous", "deny"]
    given |= {"user_collections": ["notes", "memos"], "readable_collections": [TAGS]}
    expected = policies_sql(**given, table_prefixes=["a_", "b_"], anonymous="deny")
    out, err = printed(*options, "--output", str(tmp_path / "x.sql"))
    assert (out, err) == (f"{tmp_path / 'x.sql'}\n", "")
    assert expected in (tmp_path / "x.sql").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--policy", "owner", "--owner-claim", "user_metadata.org"),
        ("--policy", "owner", "--owner-claim", ""),
        ("--policy", "service", "--owner-claim", "email"),
        ("--policy", "everybody"),
        ("--policy", "owner", "--sessions-collection", ""),
        ("--policy", "owner", "--user-collections", "notes,"),
        ("--policy", "owner", "--user-collections", "notes_failed_migrations"),
        ("--policy", "owner", "--anonymous", "no"),
        ("--policy", "service", "--anonymous", "deny"),
    ],
    ids=repr,
)
def test_the_command_refuses(arguments):
    with pytest.raises(CommandError):
        printed(*arguments)
