"""Tables that are empty again after each test."""

from contextlib import suppress
from functools import cache
from typing import Any

import psycopg
from django.core.management.color import no_style
from django.db import connection
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

CLEANER = "cleaner"
"""The application_name of the connection that empties tables."""

KEPT = {"django_content_type", "auth_permission"}
"""Tables that tests leave as migrations left them."""

FEW = "reltuples < 0 AND pg_relation_size(oid) < 10 * 8192 AND " + (
    "coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0) = 0"
)
"""A table that was never analyzed is planned as if it had ten pages: what is deleted from fewer
changes no plan."""


def empty_all_tables() -> None:
    if connection.vendor == "postgresql":
        tables = set(connection.introspection.django_table_names()) - KEPT
        try:
            _empty_on_postgresql(cleaner(), sorted(tables))
        except psycopg.OperationalError:
            # A test may end all connections of the server.
            close_cleaner()
            _empty_on_postgresql(cleaner(), sorted(tables))
    else:
        tables = set(connection.introspection.django_table_names(only_existing=True)) - KEPT
        empty_on_sqlite(sorted(tables))
        connection.close()


def empty_on_sqlite(tables: list[str]) -> None:
    """Delete all rows, and what ANALYZE said of them: plans shall not depend on other tests."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS sqlite_stat1")
        cursor.execute("DROP TABLE IF EXISTS sqlite_stat4")
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables))


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
