"""Tables of PostgreSQL, read by SQL or over the REST API of a Supabase project."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import uuid4

from parlant_store.transfer.sources import SourceError

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed
    from supabase import Client

PAGE_SIZE = 500
"""How many rows are read at once."""

TIMEOUT_SECONDS = 60.0
"""How long a request over the REST API may take."""

MAX_NULLS = 100_000
"""Limit on the rows without an id, which are read at once."""

KEY = "SUPABASE_KEY"
"""The variable of the environment with the key of the project."""

Row = dict[str, Any]


class MissingTable(SourceError):
    """The table does not exist."""


class Tables(ABC):
    """The tables of one schema."""

    @abstractmethod
    def rows(self, table: str, *, order: str) -> Iterator[Row]:
        """Return the rows in the order of a column; raise SourceError."""


def tables_of(source: str, schema: str) -> Tables:
    """Return the tables of a URL, as postgresql:// or https://."""
    if source.startswith(("postgresql://", "postgres://")):
        return PostgreSQLTables(source, schema)
    if source.startswith(("https://", "http://")):
        return RestTables(source, schema)
    raise SourceError(
        "SOURCE must be a URL: https:// of a Supabase project, with its key in the environment as "
        f"{KEY}, or postgresql:// of a database"
    )


class PostgreSQLTables(Tables):
    """Tables of a database, in one read-only transaction for each."""

    def __init__(self, url: str, schema: str) -> None:
        self._url = url
        self._schema = schema

    def rows(self, table: str, *, order: str) -> Iterator[Row]:
        psycopg = _psycopg()
        from psycopg import sql

        query = sql.SQL("SELECT * FROM {} ORDER BY {}").format(
            sql.Identifier(self._schema, table),
            sql.SQL(", ").join(map(sql.Identifier, order.split(","))),
        )
        try:
            with self._connected() as connection:
                yield from _fetched(connection, query)
        except psycopg.errors.UndefinedTable as exc:
            raise MissingTable(f"there is no table {self._schema}.{table}") from exc
        except (psycopg.Error, ValueError) as exc:
            raise SourceError(f"the table {table} cannot be read: {exc}") from exc

    @contextmanager
    def snapshot(self) -> "Iterator[Snapshot]":
        """Read several tables as they are at one moment; raise SourceError."""
        psycopg = _psycopg()
        try:
            with self._connected() as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                yield Snapshot(connection, self._schema)
        except psycopg.Error as exc:
            raise SourceError(f"the database cannot be read: {exc}") from exc

    @contextmanager
    def _connected(self) -> "Iterator[Connection[Row]]":
        from psycopg import connect
        from psycopg.rows import dict_row

        with connect(self._url, row_factory=dict_row) as connection:
            connection.read_only = True
            yield connection


class Snapshot:
    """The tables of one schema, in one transaction."""

    def __init__(self, connection: "Connection[Row]", schema: str) -> None:
        self._connection = connection
        self._schema = schema

    def columns(self) -> dict[str, set[str]]:
        """Return the names of the columns of each table."""
        rows = self._connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = %s",
            (self._schema,),
        )
        columns: dict[str, set[str]] = {}
        for row in rows:
            columns.setdefault(row["table_name"], set()).add(row["column_name"])
        return columns

    def rows(self, statement: LiteralString, *tables: str, **params: Any) -> Iterator[Row]:
        """Return the rows of a statement, with each {} for one of the tables."""
        from psycopg import sql

        names = [sql.Identifier(self._schema, table) for table in tables]
        return _fetched(self._connection, sql.SQL(statement).format(*names), params)


def _fetched(
    connection: "Connection[Row]", query: "Composed", params: Mapping[str, Any] | None = None
) -> Iterator[Row]:
    """Return the rows, few of which are in memory at once."""
    with connection.cursor(f"parlant_store_{uuid4().hex}") as cursor:
        cursor.itersize = PAGE_SIZE
        cursor.execute(query, params)
        yield from cursor


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError as exc:
        raise SourceError("postgresql:// needs the package psycopg") from exc
    return psycopg


class RestTables(Tables):
    """Tables of a Supabase project."""

    def __init__(self, url: str, schema: str) -> None:
        self._url = url
        self._schema = schema

    def rows(self, table: str, *, order: str) -> Iterator[Row]:
        try:
            from httpx import HTTPError
            from postgrest.exceptions import APIError
        except ImportError as exc:
            raise SourceError("https:// needs the package supabase") from exc
        try:
            with self._client() as client:
                yield from _pages(client, table, order)
        except APIError as exc:
            if exc.code in ("PGRST205", "42P01"):
                raise MissingTable(f"there is no table {self._schema}.{table}") from exc
            raise SourceError(f"the table {table} cannot be read: {exc.message}") from exc
        except HTTPError as exc:
            raise SourceError(f"{self._url} cannot be reached: {exc}") from exc

    @contextmanager
    def _client(self) -> "Iterator[Client]":
        from httpx import Client as HTTPClient
        from supabase import ClientOptions, SupabaseException, create_client

        key = os.environ.get(KEY, "")
        if not key:
            raise SourceError(f"set {KEY} in the environment to the key of the project")
        with HTTPClient(timeout=TIMEOUT_SECONDS) as http:
            options = ClientOptions(
                schema=self._schema,
                httpx_client=http,
                auto_refresh_token=False,
                persist_session=False,
                postgrest_client_retry=False,
            )
            try:
                client = create_client(self._url, key, options)
            except SupabaseException as exc:
                raise SourceError(f"supabase refuses the URL or the key: {exc}") from None
            yield client


def _pages(client: "Client", table: str, order: str) -> Iterator[Any]:
    """Return the rows page by page, those without a value of ``order`` at last."""
    rows = client.table(table)
    last: Any = None
    while True:
        query = rows.select("*").order(order).limit(PAGE_SIZE)
        query = query.not_.is_(order, "null") if last is None else query.gt(order, last)
        page: list[Any] = query.execute().data
        yield from page
        if not page:
            break
        last = page[-1][order]
    yield from rows.select("*").is_(order, "null").limit(MAX_NULLS).execute().data
