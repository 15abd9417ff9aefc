"""Reads that prolong sessions, in a Django database."""

from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from parlant_store.models import Session
from tests.backends.locks import locked
from tests.backends.orm.test_sessions import make_store as make_store
from tests.conftest import VENDOR
from tests.contract.clock import Clock
from tests.contract.refresh import READS, TTL, RefreshContract
from tests.contract.turn_values import turn


class TestOrmRefresh(RefreshContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(make_store, clock):
    """A store with a session that a read prolongs."""
    store = make_store(clock=clock, ttl_seconds=TTL, ttl_refresh="read")
    store.add_items("s", turn("hello"))
    clock.pass_(TTL - 1)
    return store


def left(clock) -> float:
    """The seconds until the session expires."""
    return (Session.objects.get().expires_at - clock()).total_seconds()


@contextmanager
def only_reading():
    """A transaction, or a connection, that cannot write."""
    with connection.cursor() as cursor:
        if VENDOR == "postgresql":
            with transaction.atomic():
                cursor.execute("SET TRANSACTION READ ONLY")
                yield
        else:
            cursor.execute("PRAGMA query_only = 1")
            yield
            cursor.execute("PRAGMA query_only = 0")


@pytest.mark.parametrize("read", ["get_items", "get_items(1)", "load_snapshot", "list_turns"])
def test_what_only_reads_prolongs_nothing(store, clock, read):
    with only_reading():
        assert READS[read](store)
        assert READS[read](store)
    assert left(clock) == 1
    assert READS[read](store)
    assert left(clock) == TTL


@pytest.mark.parametrize("read", READS)
def test_a_locked_session_is_read_at_once_and_not_prolonged(store, clock, read):
    with locked():
        assert READS[read](store)
        assert left(clock) == 1
    assert READS[read](store)
    assert left(clock) == TTL


def test_a_read_is_part_of_the_callers_transaction(store, clock):
    with transaction.atomic():
        assert store.get_items("s")
        assert left(clock) == TTL
        transaction.set_rollback(True)
    assert left(clock) == 1
