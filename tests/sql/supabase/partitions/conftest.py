"""A project with partitions, over the real PostgREST."""

from collections.abc import Iterator

import pytest
from psycopg.conninfo import make_conninfo

from tests.contract.stores import MakeStore
from tests.empty_tables import django_dsn
from tests.servers.supabase import Stack, supabase
from tests.servers.supabase_fixtures import stores_on
from tests.sql.supabase.databases import Database, connected, new_database, sql_for
from tests.sql.supabase.partitions.partitioned import NAMED, TABLES, database_of


@pytest.fixture(scope="package")
def running(project: str) -> Iterator[Stack]:
    with new_database(project) as name, connected(name) as database:
        database.execute(sql_for(collections=",".join(NAMED), policy="owner"))
        with supabase(make_conninfo(django_dsn(), dbname=name)) as stack:
            yield stack


@pytest.fixture(scope="package")
def cleaner(running: Stack) -> Iterator[Database]:
    with connected(database_of(running)) as database:
        yield database


@pytest.fixture
def stack(running: Stack, cleaner: Database) -> Iterator[Stack]:
    """With empty tables, and without the indexes that a test makes."""
    yield running
    for table in TABLES:
        cleaner.execute(f"delete from parlant_store_{table}")
    for (index,) in cleaner.execute(
        "select oid::regclass from pg_class where relkind = 'I'"
        " and relname ~ '^parlant_store_doc_[ux]_'"
    ).fetchall():
        cleaner.execute(f"drop index {index}")


@pytest.fixture
def sql(stack: Stack) -> Iterator[Database]:
    with connected(database_of(stack)) as database:
        yield database


@pytest.fixture
def make_store(stack: Stack) -> Iterator[MakeStore]:
    with stores_on(stack) as make:
        yield make
