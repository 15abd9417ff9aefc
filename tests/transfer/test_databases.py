"""Copies between the test database, on SQLite or PostgreSQL, and a file."""

import pytest

from tests.transfer.contents import everything, fill
from tests.transfer.test_store_copy import copy
from tests.transfer.threads import all_threads, fill_threads

pytestmark = pytest.mark.orm


def test_between_the_test_database_and_a_file(source, store):
    fill(store)
    fill_threads(store)
    copy(source="default", target="source")
    assert everything(source) == everything(store)
    assert all_threads(source) == all_threads(store)
    store.delete_thread("t0")
    store.delete_session("s0")
    store.drop_collection("c")
    copy(source="source", target="default")
    assert everything(source) == everything(store)
    assert all_threads(source) == all_threads(store)
