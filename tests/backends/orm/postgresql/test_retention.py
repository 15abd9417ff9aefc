"""Expiry by rules on PostgreSQL waits for nobody, and takes nothing that others hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connection

from parlant_store.models import Document, Session
from parlant_store.types import Retention
from tests.backends.orm.postgresql.test_grouped_calls import _dsn
from tests.backends.orm.test_references import refer
from tests.backends.orm.test_references import unmodelled as unmodelled
from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.clock import Clock
from tests.contract.expired_rows import days, ids_of, parlant_session, sessions_of
from tests.contract.values import numbered


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(make_store, clock):
    store = make_store(clock=clock)
    for name in ("a", "b", "c"):
        store.add_items(name, numbered(1))
        parlant_session(store, clock, name)
    clock.pass_(timedelta(days=1).total_seconds())
    return store


@contextmanager
def holding(row: str) -> Iterator[None]:
    """Somebody else's transaction holds what ``row`` says."""
    with psycopg.connect(_dsn()) as other:
        assert other.execute(f"SELECT FROM {row} FOR UPDATE").fetchall()
        yield
        other.rollback()


def swept(store, **narrowed: str) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout TO '60s'")
        found = list(store.expire_batches(rule=Retention(idle=days(1), **narrowed)))
        cursor.execute("RESET lock_timeout")
    return sum(batch.sessions for batch in found), sum(batch.documents for batch in found)


def test_a_session_that_somebody_holds_stays(store):
    with holding("parlant_store_session WHERE session_id = 'b'"):
        assert swept(store, namespace="") == (2, 0)
        assert sessions_of(store) == ["b"]
    assert swept(store, namespace="") == (1, 0)


@pytest.mark.parametrize("id_", ["b", "b-1"])
def test_a_session_of_parlant_of_which_somebody_holds_a_document_stays(store, id_):
    with holding(f"parlant_store_document WHERE id = '{id_}'"):
        assert swept(store, collection="p_sessions") == (0, 6)
        assert ids_of(store, "p_sessions") == ["b"]
        assert ids_of(store, "p_events") == ["b-0", "b-1"]
    assert swept(store) == (3, 3)


def test_the_job_leaves_what_another_table_refers_to(store, unmodelled):
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    Session.objects.update(expires_at=long_ago)
    Document.objects.update(expires_at=long_ago)
    refer("b")
    with connection.cursor() as cursor:
        cursor.execute("SELECT parlant_store_sweep(now(), 10)")
        assert [row.session_id for row in Session.objects.all()] == ["b"]
        cursor.execute("SELECT parlant_store_sweep(now(), 1000)")
        cursor.execute("DELETE FROM unmodelled")
        assert Document.objects.count() == 0
        cursor.execute("SELECT parlant_store_sweep(now(), 10)")
    assert Session.objects.count() == 0
