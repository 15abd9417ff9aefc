"""A project of Supabase with the data of two users, and those who attack what is B's."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any
from uuid import UUID

import httpx
import jwt
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.sql.supabase.script import supabase_sql
from parlant_store.types import ChannelValue, Checkpoint, MessageChanges, TaskWrite, TypedBytes
from tests.empty_tables import django_dsn
from tests.servers.supabase import Stack, roles_sql, supabase
from tests.sql.supabase.databases import connected, new_database

A, B = str(UUID(int=10)), str(UUID(int=11))
SESSIONS, EVENTS = "parlant_sessions_sessions", "parlant_sessions_events"
OWN = "a-notes"
USER_COLLECTIONS = ("notes", "b-notes", OWN)
VALUES, AGENTS = "parlant_context_variables_values", "parlant_agents_agents"
MARK = "B-SECRET-"
"""What every text of B's has that no attacker knows; "b-..." are names that all know."""

B_KEY, A_KEY = 1, 7
"""The keys of "b-session", which is that of an item and of "b-note" too, and of "a-session"."""

A_THREAD = 8
"""The key of "a-thread"; that of "b-thread" and of its rows is B_KEY."""

B_REQUEST = str(UUID(int=99))
LIMIT = 60
"""Seconds that an answer may take."""

TABLES = (
    "document",
    "request",
    "session",
    "session_item",
    "thread",
    "checkpoint",
    "channel_value",
    "checkpoint_write",
    "thread_message",
)

_OF_OTHERS = (
    "thread_key not in (select key from parlant_store_thread where user_id = {a})"
    " or thread_key is null"
)

# Whatever is not wholly A's: in an own session, or in a collection where users may write.
_OTHERS = {
    "session": "user_id is distinct from {a}",
    "session_item": "session_key not in (select key from parlant_store_session where user_id = {a})"
    " or session_key is null",
    "request": "user_id is distinct from {a}",
    "thread": "user_id is distinct from {a}",
    **dict.fromkeys(
        ("checkpoint", "channel_value", "checkpoint_write", "thread_message"), _OF_OTHERS
    ),
    "document": "not coalesce(case when session_id is null then customer_id = {a} else"
    " coalesce(customer_id, {a}) = {a} and session_id in (select id from parlant_store_document"
    f" where collection = '{SESSIONS}' and customer_id = {{a}}) end, false)"
    " or collection like 'parlant\\_agents\\_%'",
}

_CATALOG = """
select concat(relkind, oid::regclass, relacl::text, relrowsecurity) from pg_class
    where relnamespace not in ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)
union all select concat(proname, proacl::text, md5(prosrc)) from pg_proc
    where pronamespace <> 'pg_catalog'::regnamespace
union all select concat(policyname, tablename, qual, with_check) from pg_policies
union all select concat(rolname, rolsuper, rolbypassrls) from pg_roles
union all select nspname from pg_namespace where nspname !~ '^pg_(toast_)?temp'
order by 1
"""


class Target:
    """The project. What a test does to its rows is undone by ``reset``."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.server = psycopg.connect(stack.dsn, autocommit=True)
        self.http = httpx.Client(base_url=f"{stack.url}/rest/v1/", timeout=LIMIT)
        self.stores: list[SupabaseBackend] = []
        self.a = self.attacker(stack.user_token(A))
        self.service = Attacker(self.http, {"apikey": stack.service_key})

    def close(self) -> None:
        self.http.close()
        self.server.close()
        for store in self.stores:
            store.close()

    def attacker(self, token: str | None = None, *, key: str | None = None) -> "Attacker":
        headers = {"apikey": key or self.stack.publishable_key}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return Attacker(self.http, headers)

    def store(self, token: str | None = None, **options: Any) -> SupabaseBackend:
        """A store of the user whose token is given; without one, the service's."""
        key = self.stack.service_key if token is None else self.stack.publishable_key
        given = {"alias": "test", "key": key, "access_token": token, "timeout": 2 * LIMIT}
        self.stores.append(SupabaseBackend(url=self.stack.url, **given | options))
        return self.stores[-1]

    @cached_property
    def store_of_a(self) -> SupabaseBackend:
        return self.store(self.stack.user_token(A))

    @cached_property
    def store_of_the_service(self) -> SupabaseBackend:
        return self.store()

    def rows(self, condition: dict[str, str] | None = None) -> dict[str, list[str]]:
        """The rows of each table, whole, as text; those that meet its ``condition``."""
        found = {}
        for table in TABLES:
            where = (condition or {}).get(table, "true").format(a=f"'{A}'")
            rows = self.server.execute(
                f"select t::text from parlant_store_{table} t where {where} order by 1"
            )
            found[table] = [text for (text,) in rows]
        return found

    def others(self) -> dict[str, list[str]]:
        """Every row that is not A's alone."""
        return self.rows(_OTHERS)

    def catalog(self) -> list[str]:
        """What there is besides rows: tables, functions, policies, roles and grants."""
        return [text for (text,) in self.server.execute(_CATALOG)]

    def functions(self) -> dict[str, dict[str, str]]:
        """The app's functions, each with the types of its parameters."""
        found = self.server.execute(
            "select proname, array(select array[name, format_type(type, null)]"
            " from unnest(proargnames, proargtypes::oid[]) as a (name, type)"
            " where type is not null and name <> '')"
            " from pg_proc where pronamespace = 'public'::regnamespace"
            " and starts_with(proname, 'parlant_store_')"
        )
        return {name.removeprefix("parlant_store_"): dict(arguments) for name, arguments in found}

    def seed(self) -> None:
        """What B, the service and A have, of which ``reset`` makes copies."""
        seed(self)
        # Nobody's schema: the tables in it are for this connection alone.
        self.server.execute("create schema kept")
        for table in TABLES:
            self.server.execute(f"create table kept.{table} as table parlant_store_{table}")

    def reset(self) -> None:
        statements = [f"delete from parlant_store_{table};" for table in TABLES]
        statements += [
            f"insert into parlant_store_{table} ({names}) select {names} from kept.{table};"
            for table, names in self._columns().items()
        ]
        # In this order no item is without its session at the end.
        self.server.execute("begin;" + "".join(statements) + "commit;")

    def _columns(self) -> dict[str, str]:
        """The columns of each table, without generated ones."""
        rows = self.server.execute(
            "select relname, string_agg(quote_ident(attname), ', ' order by attnum)"
            " from pg_attribute join pg_class c on c.oid = attrelid"
            " where attnum > 0 and not attisdropped and attgenerated = ''"
            " and c.oid = any (%s::regclass[]) group by relname",
            [[f"parlant_store_{table}" for table in TABLES]],
        )
        columns = {name.removeprefix("parlant_store_"): names for name, names in rows}
        return {table: columns[table] for table in TABLES}


@dataclass(frozen=True)
class Attacker:
    """Somebody who sends what a browser could; no answer may have anything of B's in it."""

    http: httpx.Client
    headers: dict[str, str]

    def send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        content = body if body is None or isinstance(body, str) else json.dumps(body)
        given = {"Prefer": "return=representation,count=exact"}
        if content is not None:
            given["Content-Type"] = "application/json"
        answer = self.http.request(
            method, path, content=content, headers=self.headers | given | (headers or {})
        )
        assert MARK not in f"{answer.text} {answer.headers}", (method, path, body)
        assert code_of(answer) != "XX000", answer.text
        return answer

    def call(self, function: str, arguments: Any) -> httpx.Response:
        return self.send("POST", f"rpc/parlant_store_{function}", arguments)


def code_of(answer: httpx.Response) -> str | None:
    """The code of what was refused; None when nothing was."""
    if answer.status_code < 400:
        return None
    try:
        return str(answer.json().get("code"))
    except ValueError:
        return str(answer.status_code)


def seed(target: Target) -> None:
    b = target.store(target.stack.user_token(B))
    service = target.store()
    items = [{"role": "user", "content": f"{MARK}item hush {n}"} for n in range(3)]
    b.add_items("b-session", items)
    b.set_metadata("b-session", {"note": f"{MARK}metadata"})
    b.save_snapshot("b-snapshot", items, state={"note": f"{MARK}state"}, namespace="b-space")
    b.add_items(f"{MARK}session", items, namespace=f"{MARK}namespace")
    b.add_items("b-expired", items)
    b.insert_one("b-notes", {"id": "b-note", "customer_id": B, "text": f"{MARK}note", "offset": 7})
    b.insert_one("b-notes", {"id": "b-old", "customer_id": B, "text": f"{MARK}old"})
    b.insert_one("notes", {"id": f"{MARK}id", "customer_id": B, "version": f"{MARK}version"})
    b.insert_one(SESSIONS, {"id": "b-talk", "customer_id": B, "title": f"{MARK}title"})
    b.insert_one(
        EVENTS, {"id": "b-event", "session_id": "b-talk", "offset": 0, "data": f"{MARK}event"}
    )
    service.insert_one(EVENTS, {"id": "b-answer", "session_id": "b-talk", "data": f"{MARK}answer"})
    service.insert_one(
        VALUES, {"id": "b-value", "variable_id": "v", "key": B, "data": f"{MARK}value"}
    )
    service.insert_one(AGENTS, {"id": "agent", "description": f"{MARK}agent"})
    service.insert_one("parlant_agents_metadata", {"id": "m", "version": f"{MARK}1"})
    service.add_items("nobodys", items)
    arguments = {"p_namespace": "", "p_session_id": "b-session", "p_now": "2030-01-01"}
    once = target.http.post(
        "rpc/parlant_store_once",
        headers=target.attacker(target.stack.user_token(B)).headers,
        json={"p_request": B_REQUEST, "p_function": "pop_item", "p_arguments": arguments},
    )
    assert MARK in once.text
    seed_threads(target, b, service)
    past = "set expires_at = now() - interval '1 day'"
    target.server.execute(f"update parlant_store_thread {past} where thread_id = 'b-old-thread'")
    target.server.execute(f"update parlant_store_session {past} where session_id = 'b-expired'")
    target.server.execute(f"update parlant_store_document {past} where id = 'b-old'")
    a = target.store(target.stack.user_token(A))
    a.add_items("a-session", [{"role": "user", "content": "plain words"}])
    put_thread(a, "a-thread", "plain")
    a.insert_one("notes", {"id": "a-note", "customer_id": A, "text": "plain"})
    a.insert_one(SESSIONS, {"id": "a-talk", "customer_id": A})
    a.insert_one(EVENTS, {"id": "a-event", "session_id": "a-talk", "offset": 0})
    found = target.server.execute(
        "select array(select key from parlant_store_session where session_id ~ '^[ab]-session$'"
        " order by key), (select key from parlant_store_document where id = 'b-note'),"
        " array(select key from parlant_store_thread where thread_id ~ '^[ab]-thread$'"
        " order by key)"
    )
    assert found.fetchone() == ([B_KEY, A_KEY], B_KEY, [B_KEY, A_THREAD])


def seed_threads(target: Target, b: SupabaseBackend, service: SupabaseBackend) -> None:
    for store, thread_id in ((b, "b-thread"), (b, "b-old-thread"), (service, "no-thread")):
        put_thread(store, thread_id, MARK)


def put_thread(store: SupabaseBackend, thread_id: str, text: str) -> None:
    """Store two checkpoints with a message, the value of a channel, and a write at the end."""
    value = TypedBytes("bytes", text.encode())
    changes = MessageChanges(added=[{"type": "human", "content": f"{text}secret"}])
    for number, parent_id in ((1, None), (2, "1")):
        checkpoint = Checkpoint(
            checkpoint_id=str(number),
            parent_id=parent_id,
            value=value,
            versions={"c": 1},
            metadata={"run_id": "b-run", "note": text},
        )
        changed = ChannelValue(channel="c", version=1, value=value)
        store.put_checkpoint(thread_id, checkpoint, [changed], messages=changes)
    write = TaskWrite(task_id=f"{text}task", idx=0, channel="c", value=value)
    store.put_writes(thread_id, "2", [write])


def unsigned(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, None, algorithm="none")


@contextmanager
def attacked(**options: Any) -> Iterator[Target]:
    """A project of its own on the test server, made by what manage.py supabase_sql prints."""
    given = {"policy": "owner", "user_collections": USER_COLLECTIONS} | options
    with new_database("template1") as name:
        with connected(name) as made:
            made.execute(roles_sql())
            made.execute(supabase_sql(**given))
        with supabase(make_conninfo(django_dsn(), dbname=name)) as stack:
            target = Target(stack)
            try:
                target.seed()
                yield target
            finally:
                target.close()


@cache
def shared(session_end: ExitStack) -> Target:
    return session_end.enter_context(attacked())


@pytest.fixture(scope="session")
def project(session_end: ExitStack) -> Target:
    """One for all tests that take it: each begins with the rows that ``reset`` brings back."""
    return shared(session_end)


@pytest.fixture
def target(project: Target) -> Iterator[Target]:
    """Nothing but A's rows may be other than they were after the test."""
    project.reset()
    others, catalog = project.others(), project.catalog()
    yield project
    assert project.others() == others
    assert project.catalog() == catalog


@pytest.fixture
def served(project: Target) -> Target:
    """The project for what the service does, which may be anything."""
    project.reset()
    return project
