"""Threads that are written in several statements."""

from datetime import UTC, datetime

import pytest

from parlant_store.exceptions import BackendError
from parlant_store.models import ChannelValue, Checkpoint, Thread
from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.clock import Clock
from tests.contract.thread_records import thread_record

pytestmark = pytest.mark.orm


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(make_store, clock):
    return make_store(clock=clock)


def leave_staged(store, clock, monkeypatch):
    """Stop a write before its last statement."""

    def stop(write, staged):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("parlant_store.backends.orm.postgresql.thread_records.publication", stop)
        store.write_threads([thread_record(clock())])


def test_a_sweep_leaves_what_another_call_may_be_writing(store, clock, monkeypatch):
    leave_staged(store, clock, monkeypatch)
    assert Thread.objects.get().expires_at == datetime(1970, 1, 1, tzinfo=UTC)
    store.expire()
    assert store.list_threads().threads == ()
    assert Checkpoint.objects.count() == 6
    assert store.write_threads([thread_record(clock())]) == [True]
    clock.pass_(3600)
    assert store.expire().threads == 1
    assert Thread.objects.get().thread_id == "t"


def test_a_thread_of_which_rows_are_missing_is_not_written(store, clock, monkeypatch):
    from parlant_store.backends.orm.postgresql import thread_records

    publication = thread_records.publication

    def delete_a_row(write, staged):
        ChannelValue.objects.first().delete()
        return publication(write, staged)

    monkeypatch.setattr(thread_records, "publication", delete_a_row)
    with pytest.raises(BackendError, match="a sweep has deleted"):
        store.write_threads([thread_record(clock())])
    assert store.list_threads().threads == ()
