"""Copies between a Supabase project and files of SQLite."""

import pytest

from parlant_store.transfer import Copy, Selection, StoreSource
from tests.transfer.conftest import migrated_file as migrated_file
from tests.transfer.conftest import other as other
from tests.transfer.contents import everything, fill


@pytest.fixture
def store(make_store):
    return make_store()


def copy(source, target):
    return Copy(StoreSource(source), target, Selection()).run()


def test_there_and_back(store, other):
    source, target = other("source"), other("target")
    fill(source)
    assert copy(source, store).difference_count == 0
    assert everything(store) == everything(source)
    assert copy(store, target).difference_count == 0
    assert everything(target) == everything(source)
    assert copy(source, store).written == 0
