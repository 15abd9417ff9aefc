"""Tests in a project with many tables that refer to those of the stores."""

from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from pytest_django.plugin import DjangoDbBlocker

from tests.conftest import VENDOR
from tests.empty_tables import NOT_EMPTIED, empty_on_sqlite


@pytest.fixture(scope="session")
def emptied(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> list[str]:
    """The names of the tables that tests fill."""
    with django_db_blocker.unblock():
        return sorted(
            set(connection.introspection.django_table_names(only_existing=True)) - NOT_EMPTIED
        )


@pytest.fixture
def transactional_db(emptied: list[str], django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """As elsewhere, but on PostgreSQL the few rows are deleted, on the same connection.

    To truncate a table is to make new files for each of the many that refer to it, and a new
    connection reads the catalog of all of them.
    """
    with django_db_blocker.unblock():
        yield
        if VENDOR != "postgresql":
            empty_on_sqlite(emptied)
            return
        statements = [f"DELETE FROM {connection.ops.quote_name(table)}" for table in emptied]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("; ".join(statements))
