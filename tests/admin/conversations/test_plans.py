"""How databases find the rows of the list of conversations: by indexes."""

import re

import pytest
from django.db import connection, transaction

from parlant_store import stores
from parlant_store.admin.conversations.search import words
from tests.admin.conversations.large_lists import LISTS, fill, statements
from tests.admin.conversations.large_lists import small_bounds as small_bounds
from tests.admin.pages import superuser
from tests.conftest import emptied_at_the_end

TABLES = (
    "parlant_store_session|parlant_store_session_item|parlant_store_document|parlant_store_thread"
    "|parlant_store_checkpoint|parlant_store_channel_value|parlant_store_checkpoint_write"
)


@pytest.fixture(scope="module")
def transactional_db(django_db_setup, django_db_blocker):
    """Tables with many rows, which the tests only read."""
    with emptied_at_the_end(django_db_blocker):
        fill(stores["default"], "all", 1_500)
        yield


@pytest.fixture(scope="module")
def client(transactional_db):
    return superuser()


@pytest.mark.parametrize("params", LISTS, ids=str)
def test_no_statement_scans_a_table(client, small_bounds, params):
    for sql in statements(client, params):
        if not re.search(TABLES, sql) or sql.startswith(("SELECT set_config", "SAVEPOINT")):
            continue
        assert not scanned(sql), sql


def scanned(sql):
    """The lines of the plan that read a whole table."""
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with transaction.atomic(), connection.cursor() as cursor:
        if "tsquery AND" in sql:
            # As the search itself does before this statement.
            cursor.execute(words._BY_INDEX)
        cursor.execute(explain + sql)
        lines = [str(row[-1]) for row in cursor.fetchall()]
    if connection.vendor == "sqlite" and "ORDER BY key DESC LIMIT" in sql:
        # The rows themselves are in the order of their keys.
        ordered = "SCAN parlant_store_session", "SCAN parlant_store_thread"
        lines = [line for line in lines if not line.startswith(ordered)]
    pattern = rf"SCAN (\w+ )?({TABLES})\b(?! USING)|Seq Scan on ({TABLES})\b"
    return [line for line in lines if re.search(pattern, line)]
