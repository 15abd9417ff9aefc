"""Reads that prolong sessions on SQLite: the lock of writes is taken where one is due alone."""

import sqlite3

import pytest
from django.db import connection

from tests.backends.locks import locked
from tests.backends.orm.sqlite.test_costs import statements_of
from tests.backends.orm.test_refresh import clock as clock
from tests.backends.orm.test_refresh import left
from tests.backends.orm.test_refresh import store as store
from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.refresh import READS, TTL

SYNCHRONOUS = [name for name in READS if not name.startswith("a")]


@pytest.mark.parametrize("read", SYNCHRONOUS)
def test_a_read_writes_once_a_minute(store, clock, read):
    due, write, _ = statements_of(lambda: READS[read](store))
    assert (due.split()[0], write.split()[0]) == ("SELECT", "UPDATE")
    clock.pass_(59)
    assert len(statements_of(lambda: READS[read](store))) == 2
    clock.pass_(1)
    READS[read](store)
    assert left(clock) == TTL


def test_no_session_is_scanned_for(store):
    statement, *_ = statements_of(lambda: store.get_items("s"))
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + statement.replace("%", "%%"), ())
        assert not any(row[3].startswith("SCAN parlant") for row in cursor.fetchall())


def test_the_busy_timeout_stays_as_it_was(store):
    connection.connection.execute("PRAGMA busy_timeout = 1234")
    with locked():
        store.get_items("s")
    store.get_items("s")
    assert connection.connection.execute("PRAGMA busy_timeout").fetchall() == [(1234,)]


def test_a_file_that_is_opened_for_reading(store, clock):
    name = connection.settings_dict["NAME"]
    connection.close()
    connection.connection = sqlite3.connect(f"file:{name}?mode=ro", uri=True)
    try:
        assert store.get_items("s")
        assert left(clock) == 1
    finally:
        connection.close()
