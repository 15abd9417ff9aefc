"""What makes a store's calls wait: a lock in the database that another connection holds."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection

from parlant_store.backends.threads import async_calls
from parlant_store.backends.threads import calls as store_calls
from tests.conftest import VENDOR
from tests.management.processes import database_url

TIMEOUT_SECONDS = 120
PATIENCE = 900
"""More seconds than any test waits."""


def connect() -> Any:
    """A connection to the tests' database, beside Django's."""
    if VENDOR == "postgresql":
        return psycopg.connect(database_url(), autocommit=True)
    name = connection.settings_dict["NAME"]
    return sqlite3.connect(name, isolation_level=None, timeout=0, check_same_thread=False)


@contextmanager
def locked(session_id: str = "s") -> Iterator[None]:
    """Keep writers of the session waiting; on SQLite, all writers."""
    other = connect()
    try:
        if VENDOR == "postgresql":
            other.execute("BEGIN")
            sql = "SELECT 1 FROM parlant_store_session WHERE session_id = %s FOR UPDATE"
            assert other.execute(sql, [session_id]).fetchall()
        else:
            other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    finally:
        other.close()


def waiting(application: str = "") -> int:
    """How many statements, maybe of one application, wait for a lock at the server.

    SQLite has none.
    """
    if VENDOR != "postgresql":
        return 0
    other = connect()
    try:
        sql = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            " AND %(name)s IN ('', application_name)"
        )
        return int(other.execute(sql, {"name": application}).fetchone()[0])
    finally:
        other.close()


def interrupt_until_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no caller of a stopped call go before its thread has seen it, as on an idle machine."""
    monkeypatch.setattr(store_calls, "FORCE_AFTER", 100_000)
    monkeypatch.setattr(store_calls, "LEAVE_AFTER", 100_000)
    monkeypatch.setattr(async_calls, "SETTLE_SECONDS", TIMEOUT_SECONDS)


def eventually(condition: Callable[[], Any], seconds: float = TIMEOUT_SECONDS) -> None:
    """Return when ``condition()`` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)
