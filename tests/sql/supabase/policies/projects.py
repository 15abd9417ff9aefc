"""Projects of Supabase whose owner is no superuser, asked as the Data API asks."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from parlant_store.backends.columns import promoted
from parlant_store.content import codec
from parlant_store.sql.supabase.policies import policies_sql
from tests.sql.supabase.databases import Database

PROJECT = "parlant_store_project"
TABLES = (
    "channel_value",
    "checkpoint",
    "checkpoint_write",
    "document",
    "request",
    "session",
    "session_item",
    "thread",
    "thread_message",
)
A, B = str(UUID(int=10)), str(UUID(int=11))
NOW = datetime.now(UTC)
SESSIONS, EVENTS = "parlant_sessions_sessions", "parlant_sessions_events"
USER_COLLECTIONS = ("notes", "memos", "parlant_sessions_notes")
TAGS = "parlant_customers_customer_tag_associations"
"""Where users may read alone."""

Rows = list[tuple[Any, ...]]


class Project:
    """A database as a project of Supabase has it."""

    def __init__(self, server: Database) -> None:
        self.server = server

    def run(self, statement: str) -> Any:
        """What a script finds that runs as Supabase's editor does, as the owner of the tables."""
        with self.server.transaction():
            # Tables can't be altered while checks of their rows are to come, at the commit.
            self.server.execute("set constraints all immediate; set constraints all deferred")
            self.server.execute(f"set local session authorization {PROJECT}")
            cursor = self.server.execute(statement)
            found = cursor.fetchall() if cursor.description else None
            self.server.execute("reset session authorization")
        return found

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
            "failed": None,
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


def begin_request(project: Project, who: Any, request: UUID) -> Any:
    return project.ask(who, "select parlant_store_begin_request(%s)", request)


def delete_session(project: Project, who: Any, session_id: str, items: int | None) -> Any:
    """How many items it had, and whether it is hidden."""
    call = "select * from parlant_store_delete_session('', %s, %s, %s)"
    return project.ask(who, call, session_id, NOW, items)


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
