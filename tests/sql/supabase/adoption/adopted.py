"""A project with tables that are there before the store, and what becomes of them."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.empty_tables import django_dsn
from tests.servers.supabase import Stack, supabase
from tests.servers.supabase_fixtures import client as client
from tests.servers.supabase_fixtures import stores_on
from tests.sql.supabase.adoption.old_tables import (
    SELECTOOLS_SQL,
    tables_sql,
)
from tests.sql.supabase.databases import Database, sql_for

USER = str(UUID(int=10))
PARTITIONS = "parlant_store_collections"


@pytest.fixture
def stack(database: Database) -> Iterator[Stack]:
    """A project with the old tables, which are empty."""
    database.execute(tables_sql())
    database.execute(SELECTOOLS_SQL)
    with supabase(make_conninfo(django_dsn(), dbname=database.info.dbname)) as stack:
        yield stack


@pytest.fixture
def adopt(database: Database, stack: Stack) -> Callable[..., list[str]]:
    """Runs what the command emits; the notices."""

    def run(*arguments: str) -> list[str]:
        said = adopted(database, "--adopt", *arguments)
        stack.reload()
        return said

    return run


def adopted(database: Database, *arguments: str) -> list[str]:
    said: list[str] = []

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        said.append(notice.message_primary or "")

    database.add_notice_handler(hear)
    try:
        database.execute(sql_for(*arguments))
    finally:
        database.remove_notice_handler(hear)
    return said


@pytest.fixture
def store(stack: Stack) -> Iterator[Any]:
    with stores_on(stack) as make:
        yield make()


def rows_of(database: Database, table: str) -> list[Any]:
    return database.execute(f"select * from {table}").fetchall()


def documents(database: Database, collection: str) -> list[Any]:
    found = database.execute(
        "select data from parlant_store_document where collection = %s order by key", [collection]
    )
    return [data for (data,) in found.fetchall()]
