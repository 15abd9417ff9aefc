"""Copies between a Supabase project and other stores."""

from contextlib import closing
from itertools import pairwise

import pytest

from parlant_store.backends.jsonfile import JsonFileBackend
from parlant_store.backends.redis import RedisBackend
from parlant_store.transfer import Copy, Selection, StoreSource
from tests.transfer.conftest import migrated_file as migrated_file
from tests.transfer.conftest import other as other
from tests.transfer.contents import converse, everything, fill
from tests.transfer.threads import all_threads, fill_threads
from tests.transfer.valkey import valkey_url as valkey_url


@pytest.fixture
def store(make_store):
    return make_store()


def copy(source, target):
    return Copy(StoreSource(source), target, Selection()).run()


def test_there_and_back(store, other):
    source, target = other("source"), other("target")
    fill(source)
    fill_threads(source)
    assert copy(source, store).difference_count == 0
    assert everything(store) == everything(source)
    assert all_threads(store) == all_threads(source)
    assert copy(store, target).difference_count == 0
    assert everything(target) == everything(source)
    assert all_threads(target) == all_threads(source)
    assert copy(source, store).written == 0


@pytest.mark.parametrize("order", [1, -1])
def test_through_redis_and_files(store, other, valkey_url, tmp_path, order):
    source, target = other("source"), other("target")
    fill(source, documents=False)
    converse(source)
    with (
        closing(JsonFileBackend("files", directory=str(tmp_path / "files"))) as files,
        closing(RedisBackend("redis", url=valkey_url)) as redis,
    ):
        media = [source, *[redis, files, store][::order], target]
        for first, second in pairwise(media):
            report = copy(first, second)
            assert report.difference_count == 0, (second, report.differences)
            assert everything(second) == everything(first)
            assert (again := copy(first, second)).written == 0, again
    assert everything(target) == everything(source)
