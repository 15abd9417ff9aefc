"""Tables that are empty again after each test."""

import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

CLEANER = "cleaner"
"""The application_name of the connection that empties tables."""

NOT_EMPTIED = {"django_content_type", "auth_permission"}
"""Tables that tests leave as migrations left them."""

FEW = "reltuples < 0 AND pg_relation_size(oid) < 10 * 8192 AND " + (
    "coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0) = 0"
)
"""A table that was never analyzed is planned as if it had ten pages: what is deleted from fewer
changes no plan."""

_sqlite_cleaners: dict[str, sqlite3.Connection] = {}


def empty_all_tables(alias: str = DEFAULT_DB_ALIAS) -> None:
    tables = set(connections[alias].introspection.django_table_names()) - NOT_EMPTIED
    if connections[alias].vendor == "postgresql":
        try:
            _empty_on_postgresql(cleaner(), sorted(tables))
        except psycopg.OperationalError:
            # A test may end all connections of the server.
            close_cleaner()
            _empty_on_postgresql(cleaner(), sorted(tables))
    else:
        empty_on_sqlite(tables, alias)


def empty_on_sqlite(tables: Iterable[str], alias: str = DEFAULT_DB_ALIAS) -> None:
    """Delete all rows, and what ANALYZE said of them: plans shall not depend on other tests."""
    file = sqlite_cleaner(alias)
    existing = {name for (name,) in file.execute("SELECT name FROM sqlite_schema")}
    filled = " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})"
        for table in sorted(existing.intersection(tables))
    )
    statements = [
        *(f"DELETE FROM {table}" for (table,) in file.execute(filled).fetchall()),
        *(f"DROP TABLE {table}" for table in ("sqlite_stat1", "sqlite_stat4") if table in existing),
    ]
    if statements:
        file.executescript("; ".join(["BEGIN IMMEDIATE", *statements, "COMMIT"]))


def sqlite_cleaner(alias: str) -> sqlite3.Connection:
    """A connection for all tests: the last that is closed would write and remove the file's log."""
    if alias not in _sqlite_cleaners:
        _sqlite_cleaners[alias] = sqlite3.connect(
            connections[alias].settings_dict["NAME"],
            timeout=60,
            isolation_level=None,
            check_same_thread=False,
        )
    return _sqlite_cleaners[alias]


def django_dsn() -> str:
    """The test database for libpq; Django's own parameters are left out."""
    given = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port", "sslmode")
    return make_conninfo(**{name: given[name] for name in names if given.get(name)})


@cache
def cleaner() -> "psycopg.Connection[Any]":
    """A connection for all tests: a new one would first read the catalog."""
    return psycopg.connect(
        django_dsn(), autocommit=True, prepare_threshold=None, application_name=CLEANER
    )


def close_cleaner() -> None:
    if cleaner.cache_info().currsize:
        with suppress(psycopg.OperationalError):
            cleaner().close()
        cleaner.cache_clear()
    while _sqlite_cleaners:
        _sqlite_cleaners.popitem()[1].close()


def _empty_on_postgresql(server: "psycopg.Connection[Any]", tables: list[str]) -> None:
    """Delete few rows, and truncate the tables with more, or that were analyzed.

    TRUNCATE makes new files for a table and for each of its indexes, which takes most of the time
    of a short test.
    """
    found = server.execute(
        f"SELECT relname, {FEW} FROM pg_class WHERE relname = ANY (%s) AND relkind = 'r'"
        " AND pg_table_is_visible(oid) AND (pg_relation_size(oid) > 0 OR reltuples >= 0)",
        [tables],
    ).fetchall()
    few = [Identifier(name) for name, is_few in found if is_few]
    others = [Identifier(name) for name, is_few in found if not is_few]
    if few:
        # As TRUNCATE, this waits for who still writes, and neither triggers nor the order of the
        # tables matter.
        statements = [
            SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(SQL(", ").join(few)),
            SQL("SET LOCAL session_replication_role = replica"),
            *(SQL("DELETE FROM {}").format(table) for table in few),
        ]
        with server.transaction():
            server.execute(SQL("; ").join(statements))
    if others:
        names = SQL(", ").join(others)
        server.execute(
            "WITH emptied AS (SELECT unnest(%s::regclass[]) AS oid)"
            " DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM emptied"
            " UNION SELECT indexrelid FROM pg_index JOIN emptied ON indrelid = oid)",
            [[table.as_string(server) for table in others]],
        )
        # Tables that refer to these come along, which PostgreSQL asks for even if they are empty.
        server.execute(SQL("TRUNCATE {} CASCADE").format(names))
