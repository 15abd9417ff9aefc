"""Reads that prolong sessions in files: a line of a write, at most once a minute."""

import json
import resource

import pytest

from parlant_store.backends.contract.validation import SessionName
from tests.contract.refresh import READS, TTL
from tests.contract.turn_values import turn

pytestmark = pytest.mark.any_database


@pytest.fixture
def store(make_store, clock):
    """A store with a session that a read prolongs."""
    store = make_store(clock=clock, ttl_seconds=TTL, ttl_refresh="read", timeout=3_600)
    store.add_items("s", turn("hello"))
    clock.pass_(TTL - 1)
    return store


def left(store, clock) -> float:
    """The seconds until the session expires."""
    return (store.get_session("s").expires_at - clock()).total_seconds()


@pytest.mark.parametrize("read", READS)
def test_a_read_writes_a_line_once_a_minute(store, clock, path, read):
    before = path.read_bytes()
    READS[read](store)
    (line,) = path.read_bytes().removeprefix(before).splitlines()
    assert json.loads(line)["did"] == "refresh"
    clock.pass_(59)
    before = path.stat()
    READS[read](store)
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    clock.pass_(1)
    READS[read](store)
    assert left(store, clock) == TTL


def test_the_items_have_the_times_of_their_writes(store, clock):
    before = store.get_timed_items("s")
    store.get_items("s")
    assert store.get_timed_items("s") == before


@pytest.mark.parametrize("read", READS)
def test_a_read_waits_for_no_writer(make_store, store, clock, read):
    other = make_store(clock=clock)
    with other.files.locked(SessionName("", "s")):
        assert READS[read](store)
        assert left(store, clock) == 1
    assert READS[read](store)
    assert left(store, clock) == TTL


def test_a_file_that_cannot_grow(store, clock, path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        assert store.get_items("s") == turn("hello")
        assert left(store, clock) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.get_items("s") == turn("hello")
    assert left(store, clock) == TTL


def test_many_reads_do_not_let_the_file_grow(store, clock, path):
    for _ in range(500):
        assert store.get_items("s") == turn("hello")
        clock.pass_(60)
    assert path.stat().st_size < 100_000
