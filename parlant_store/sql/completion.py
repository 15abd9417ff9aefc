"""The functions and the search index, which the tables need in addition.

Migrations create them. If they are missing or of another version, because a project disables
migrations, was upgraded or has dropped something, ``manage.py migrate`` creates them at its end.
"""

from typing import Any, NamedTuple

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState

from parlant_store.sql.closing import CLOSE, Open, find_open
from parlant_store.sql.functions import UNCHECKED, functions_sql, names, signatures, version
from parlant_store.sql.migration_operations import OutsideModels
from parlant_store.sql.search_index import (
    SQLITE_DOCUMENT_PARTS,
    SQLITE_MESSAGE_PARTS,
    SQLITE_PARTS,
    complete_index,
)
from parlant_store.sql.triggers import create_triggers, drop_triggers, trigger_names

TABLES = (
    "parlant_store_document",
    "parlant_store_session",
    "parlant_store_session_item",
    "parlant_store_request",
    "parlant_store_thread",
    "parlant_store_checkpoint",
    "parlant_store_channel_value",
    "parlant_store_checkpoint_write",
    "parlant_store_thread_message",
)

_POSTGRESQL = """
SELECT
    ARRAY(SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL),
    ARRAY(SELECT proname::text FROM pg_proc
        WHERE proname LIKE 'parlant\\_store\\_%%' AND pg_function_is_visible(oid)),
    coalesce((SELECT prosrc FROM pg_proc
        WHERE proname = 'parlant_store_version' AND pg_function_is_visible(oid)), ''),
    (SELECT count(DISTINCT i.indrelid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_am ON pg_am.oid = c.relam WHERE i.indrelid IN (
            to_regclass('parlant_store_session_item'), to_regclass('parlant_store_document'),
            to_regclass('parlant_store_checkpoint'), to_regclass('parlant_store_thread_message')
        ) AND amname IN ('gin')) = 4,
    ARRAY(SELECT tgname::text FROM pg_trigger WHERE tgrelid IN (
        to_regclass('parlant_store_document'), to_regclass('parlant_store_session'),
        to_regclass('parlant_store_thread'))),
    EXISTS (SELECT FROM pg_policy WHERE polrelid = to_regclass('parlant_store_session')
        AND polname = 'parlant_store_service'),
    ARRAY(SELECT DISTINCT setting FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace
        CROSS JOIN unnest(proconfig) AS setting
        WHERE proname LIKE 'parlant\\_store\\_%%' AND pg_function_is_visible(p.oid)
            AND setting LIKE 'search\\_path=%%'
            AND NOT starts_with(setting, 'search_path=' || quote_ident(nspname) || ','))
"""
_SQLITE = "SELECT name FROM sqlite_master WHERE name LIKE 'parlant\\_store\\_%' ESCAPE '\\'"


class State(NamedTuple):
    """What is missing or wrong in a database."""

    tables: list[str]
    """Missing tables."""

    functions: list[str]
    """Missing functions."""

    is_outdated: bool
    """Whether the functions are of another version."""

    has_index: bool
    """Whether the search indexes exist."""

    has_triggers: bool
    """Whether the triggers exist."""

    is_secured: bool
    """Whether the script of supabase_sql or supabase_rls was run, which also updates functions."""

    strays: list[str]
    """Settings of functions that make them use the tables of another schema."""

    open: list[Open]
    """What the public roles of Supabase may use, although no script of the policies allows it."""

    @property
    def is_complete(self) -> bool:
        """Whether the tables, the functions and the index are complete."""
        wrong = self.functions or self.is_outdated or self.strays
        return self.has_index and self.has_triggers and not (self.tables or wrong)


def state_of(connection: BaseDatabaseWrapper) -> State:
    """Return the state of the database."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_POSTGRESQL, [list(TABLES)])
            tables, existing, source, has_index, triggers, is_secured, strays = cursor.fetchone()
        functions = sorted(names().difference(existing))
        is_outdated = f"'{version()}'" not in source
        open_ = find_open(connection)
        has_triggers = trigger_names(connection).issubset(triggers)
        return State(
            tables, functions, is_outdated, has_index, has_triggers, is_secured, strays, open_
        )
    with connection.cursor() as cursor:
        cursor.execute(_SQLITE)
        existing = {name for (name,) in cursor.fetchall()}
    tables = [name for name in TABLES if name not in existing]
    has_index = existing.issuperset((*SQLITE_PARTS, *SQLITE_DOCUMENT_PARTS, *SQLITE_MESSAGE_PARTS))
    has_triggers = existing.issuperset(trigger_names(connection))
    return State(tables, [], False, has_index, has_triggers, False, [], [])


def complete(connection: BaseDatabaseWrapper) -> bool:
    """Create missing functions and the index, and close them; return whether this was needed."""
    state = state_of(connection)
    if not state.tables and not _has_columns(connection):
        return False
    is_complete = state.is_complete or bool(state.tables) or state.is_secured
    is_closed = not any(each.is_own for each in state.open)
    if is_complete and is_closed:
        return False
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if not is_complete and not state.has_index:
            complete_index(connection)
        if not is_complete and (state.functions or state.is_outdated or state.strays):
            _make_functions(connection)
        if not is_complete:
            create_triggers(connection)
        if connection.vendor == "postgresql":
            cursor.execute(CLOSE)
    return True


def _has_columns(connection: BaseDatabaseWrapper) -> bool:
    """Whether the tables have the columns of this version, and not only of an older one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM parlant_store_session LIMIT 0")
        return "next_turn" in {column[0] for column in cursor.description}


def _make_functions(connection: BaseDatabaseWrapper) -> None:
    """Create the functions, after dropping old ones, whose parameters may differ."""
    old = signatures(connection)
    drop_triggers(connection)
    with connection.cursor() as cursor:
        for signature in old:
            cursor.execute(f"DROP FUNCTION {signature}")
        cursor.execute(f"{UNCHECKED}; {functions_sql()}")


def complete_after_migrate(
    *, using: str, verbosity: int = 1, stdout: Any = None, **kwargs: Any
) -> None:
    """Receive post_migrate; ``flush`` also sends it, but without a plan."""
    connection = connections[using]
    if "plan" not in kwargs or connection.vendor not in ("postgresql", "sqlite"):
        return
    if not router.allow_migrate(using, "parlant_store") or not complete(connection):
        return
    if verbosity >= 1 and stdout is not None:
        stdout.write("  Created the functions and the search index of parlant_store.\n")


class UpdateFunctions(OutsideModels):
    """Create the functions of this version; only on PostgreSQL.

    If the script of supabase_sql or supabase_rls was run, it also updates the functions.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        connection = schema_editor.connection
        if connection.vendor != "postgresql" or not self.is_allowed(app_label, connection):
            return
        if not state_of(connection).is_secured:
            _make_functions(connection)
        # In the transaction that creates the tables, so that they are never open.
        schema_editor.execute(CLOSE, params=None)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        """Do nothing: the migration before has the functions too."""

    def describe(self) -> str:
        return "Update the functions of parlant_store on PostgreSQL"
