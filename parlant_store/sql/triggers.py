"""The triggers: those that keep the figures of Parlant sessions, and those of computed columns.

The figures of a Parlant session change when its events are written. On PostgreSQL the triggers call
the functions of functions/conversations.sql.
"""

from collections.abc import Collection

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState

from parlant_store.sql import computed_columns
from parlant_store.sql.generated_columns import SQLITE_LENGTH_CLASS, SQLITE_MINUTE
from parlant_store.sql.migration_operations import OutsideModels

_TABLE = "parlant_store_document"

# PostgreSQL parses the conditions for each statement: they are short, and functions check the rest.
_POSTGRESQL = {
    "parlant_store_event_insert": (
        "after insert on {table} for each row when (new.collection like '%events')"
        " execute function {schema}parlant_store_count_event()"
    ),
    "parlant_store_event_update": (
        "after update of collection, session_id, data, failed_calls, updated_at on {table}"
        " for each row when (old.collection like '%events' or new.collection like '%events')"
        " execute function {schema}parlant_store_count_event()"
    ),
    "parlant_store_event_delete": (
        "after delete on {table} for each row when (old.collection like '%events')"
        " execute function {schema}parlant_store_count_event()"
    ),
    "parlant_store_session_insert": (
        "before insert on {table} for each row when (new.collection like '%sessions')"
        " execute function {schema}parlant_store_count_session()"
    ),
    "parlant_store_session_update": (
        "before update of collection, updated_at on {table} for each row"
        " when (old.collection like '%sessions' or new.collection like '%sessions')"
        " execute function {schema}parlant_store_count_session()"
    ),
}


_ALL_POSTGRESQL = {_TABLE: _POSTGRESQL, **computed_columns.POSTGRESQL_TRIGGERS}


def triggers_sql(schema: str | None = None, tables: Collection[str] = _ALL_POSTGRESQL) -> str:
    """Return statements that create the triggers of ``tables``.

    ``schema`` is a quoted identifier.
    """
    prefix = "" if schema is None else f"{schema}."
    return "\n".join(
        f"create or replace trigger {name} "
        f"{definition.format(table=prefix + table, schema=prefix)};"
        for table in _ALL_POSTGRESQL
        if table in tables
        for name, definition in _ALL_POSTGRESQL[table].items()
    )


def drop_triggers_sql(schema: str | None = None, tables: Collection[str] = _ALL_POSTGRESQL) -> str:
    """Return statements that drop the triggers of ``tables``, which may not exist."""
    prefix = "" if schema is None else f"{schema}."
    return "\n".join(
        f"drop trigger if exists {name} on {prefix}{table};"
        for table in tables
        for name in _ALL_POSTGRESQL[table]
    )


_EVENT = "substr({0}.collection, -6) = 'events' AND {0}.session_id IS NOT NULL"
_IS_MESSAGE = "json_extract({0}.data, '$.kind') IS 'message'"
_MESSAGE = f"({_IS_MESSAGE} AND json_extract({{0}}.data, '$.deleted') IS NOT 1)"
_OF_EVENT = (
    "collection = substr({0}.collection, 1, length({0}.collection) - 6) || 'sessions'"
    " AND id = {0}.session_id AND active_minute IS NOT NULL"
)
_NEW_MINUTE = SQLITE_MINUTE.format("new.updated_at")
_OLD_MINUTE = SQLITE_MINUTE.format("old.updated_at")
_CLASS = SQLITE_LENGTH_CLASS.format("item_count")
# SQLite writes the entries of an index if a statement sets its columns, even to the same values:
# most events set item_count only.
_ADD = (
    f"UPDATE {_TABLE} SET item_count = item_count + 1"
    f" WHERE {_MESSAGE.format('new')} AND {_OF_EVENT.format('new')};"
    f" UPDATE {_TABLE} SET active_minute = max(active_minute, {_NEW_MINUTE}),"
    f" length_class = {_CLASS},"
    " failed_calls = COALESCE(failed_calls, 0) + COALESCE(new.failed_calls, 0)"
    f" WHERE {_OF_EVENT.format('new')} AND (new.failed_calls > 0"
    f" OR active_minute < {_NEW_MINUTE} OR length_class <> {_CLASS});"
)
_REMOVE = (
    f"UPDATE {_TABLE} SET item_count = max(item_count - 1, 0)"
    f" WHERE {_MESSAGE.format('old')} AND {_OF_EVENT.format('old')};"
    f" UPDATE {_TABLE} SET length_class = {_CLASS},"
    " failed_calls = max(COALESCE(failed_calls, 0) - COALESCE(old.failed_calls, 0), 0)"
    f" WHERE {_OF_EVENT.format('old')} AND (old.failed_calls > 0 OR length_class <> {_CLASS});"
)
_CHANGED = (
    "(new.collection, new.session_id, new.failed_calls) IS NOT"
    " (old.collection, old.session_id, old.failed_calls)"
    f" OR {_MESSAGE.format('new')} <> {_MESSAGE.format('old')} OR {_NEW_MINUTE} <> {_OLD_MINUTE}"
)
_FIGURES = (
    "SELECT minute, messages, {length_class}, failed FROM ("
    "SELECT max(COALESCE(max({minute}), 0), {session_minute}) AS minute,"
    " COALESCE(sum({message}), 0) AS messages, sum(e.failed_calls) AS failed"
    " FROM {table} e WHERE e.collection ="
    " substr({session}.collection, 1, length({session}.collection) - 8) || 'events'"
    " AND e.session_id = {session}.id)"
)


def _figures(session: str) -> str:
    return _FIGURES.format(
        table=_TABLE,
        session=session,
        minute=SQLITE_MINUTE.format("e.updated_at"),
        session_minute=SQLITE_MINUTE.format(f"{session}.updated_at"),
        message=_MESSAGE.format("e"),
        length_class=SQLITE_LENGTH_CLASS.format("messages"),
    )


_IS_SQLITE_SESSION = "substr({0}.collection, -8) = 'sessions'"
_COLUMNS = "(active_minute, item_count, length_class, failed_calls)"
_COUNT = f"UPDATE {_TABLE} SET {_COLUMNS} = ({_figures('new')})"

_SQLITE = {
    "parlant_store_event_insert": (
        f"AFTER INSERT ON {_TABLE} WHEN {_EVENT.format('new')} BEGIN {_ADD} END"
    ),
    "parlant_store_event_update": (
        f"AFTER UPDATE OF collection, session_id, failed_calls, data, updated_at ON {_TABLE}"
        f" WHEN ({_EVENT.format('new')} OR {_EVENT.format('old')}) AND ({_CHANGED})"
        f" BEGIN {_REMOVE} {_ADD} END"
    ),
    "parlant_store_event_delete": (
        f"AFTER DELETE ON {_TABLE} WHEN {_EVENT.format('old')} BEGIN {_REMOVE} END"
    ),
    "parlant_store_session_insert": (
        f"AFTER INSERT ON {_TABLE} WHEN {_IS_SQLITE_SESSION.format('new')}"
        f" BEGIN {_COUNT} WHERE key = new.key; END"
    ),
    "parlant_store_session_update": (
        f"AFTER UPDATE OF updated_at ON {_TABLE} WHEN {_IS_SQLITE_SESSION.format('new')}"
        f" AND {_NEW_MINUTE} > COALESCE(new.active_minute, 0) BEGIN UPDATE {_TABLE} SET"
        f" active_minute = {_NEW_MINUTE} WHERE key = new.key AND active_minute IS NOT NULL;"
        f" {_COUNT} WHERE key = new.key AND active_minute IS NULL; END"
    ),
    "parlant_store_session_move": (
        f"AFTER UPDATE OF collection ON {_TABLE} WHEN old.collection <> new.collection"
        f" AND ({_IS_SQLITE_SESSION.format('old')} OR {_IS_SQLITE_SESSION.format('new')}) BEGIN"
        f" UPDATE {_TABLE} SET {_COLUMNS} = (NULL, NULL, NULL, NULL)"
        f" WHERE key = new.key; {_COUNT} WHERE key = new.key"
        f" AND {_IS_SQLITE_SESSION.format('new')}; END"
    ),
}
_ALL_SQLITE = {_TABLE: _SQLITE, **computed_columns.SQLITE_TRIGGERS}

COUNT_SESSIONS = {
    "sqlite": (
        f"UPDATE {_TABLE} AS s SET {_COLUMNS} = ({_figures('s')})"
        " WHERE s.active_minute IS NULL AND s.collection IN ("
        "WITH RECURSIVE names (name) AS (SELECT min(collection) FROM parlant_store_document"
        " UNION ALL SELECT (SELECT min(collection) FROM parlant_store_document"
        " WHERE collection > name) FROM names WHERE name IS NOT NULL)"
        " SELECT name FROM names WHERE substr(name, -8) = 'sessions')"
    ),
    "postgresql": "SELECT parlant_store_count_sessions()",
}
"""Statements that set the figures of Parlant sessions that have none."""


def trigger_names(connection: BaseDatabaseWrapper) -> set[str]:
    """Return the names of the triggers that the tables of the database need."""
    tables = _tables(connection)
    triggers = _ALL_POSTGRESQL if connection.vendor == "postgresql" else _ALL_SQLITE
    return {name for table in tables for name in triggers[table]}


def _tables(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the tables that need triggers; in older versions, sessions and threads need none."""
    return [_TABLE, *computed_columns.plain_tables(connection)]


def create_triggers(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers, and set what they would have set in existing rows."""
    tables = _tables(connection)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(triggers_sql(tables=tables))
        elif connection.vendor == "sqlite":
            for table in tables:
                for name, definition in _ALL_SQLITE[table].items():
                    cursor.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {definition}")
        cursor.execute(COUNT_SESSIONS[connection.vendor])
        for table in tables[1:]:
            cursor.execute(computed_columns.fill_sql(connection.vendor, table))


def drop_triggers(connection: BaseDatabaseWrapper) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(drop_triggers_sql(tables=_tables(connection)))
        elif connection.vendor == "sqlite":
            for triggers in _ALL_SQLITE.values():
                for name in triggers:
                    cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


class CreateTriggers(OutsideModels):
    """Create the triggers, and set what they would have set in existing rows.

    The functions of this version must exist. If the script of supabase_sql or supabase_rls was run,
    which also updates them, nothing is done.
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        connection = schema_editor.connection
        if self._is_supported(app_label, connection) and _has_functions(connection):
            create_triggers(connection)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        connection = schema_editor.connection
        if self._is_supported(app_label, connection):
            drop_triggers(connection)

    def describe(self) -> str:
        return "Create the triggers of parlant_store"

    def _is_supported(self, app_label: str, connection: BaseDatabaseWrapper) -> bool:
        return connection.vendor in COUNT_SESSIONS and self.is_allowed(app_label, connection)


def _has_functions(connection: BaseDatabaseWrapper) -> bool:
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regproc('parlant_store_count_event') IS NOT NULL")
        return bool(cursor.fetchone()[0])
