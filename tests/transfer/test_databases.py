"""Copies between the test database, on SQLite or PostgreSQL, and a file."""

import pytest

from tests.transfer.contents import everything, fill
from tests.transfer.test_store_copy import copy

pytestmark = pytest.mark.orm


def test_between_the_test_database_and_a_file(source, store):
    fill(store)
    copy(source="default", target="source")
    assert everything(source) == everything(store)
    store.delete_session("s0")
    store.drop_collection("c")
    copy(source="source", target="default")
    assert everything(source) == everything(store)
