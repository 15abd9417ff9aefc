"""Listings by activity, which read the files that were changed last."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.backends.jsonfile.folders import session_files
from tests.contract.clock import Clock
from tests.contract.listings import activity, by_activity, fill
from tests.contract.values import numbered

pytestmark = pytest.mark.any_database

LIMIT = 5


@pytest.fixture
def clock():
    """A time before that of the machine, as that of every write is."""
    clock = Clock()
    clock.time = datetime(2024, 5, 1, tzinfo=UTC)
    return clock


@pytest.fixture
def fresh_store(make_store, clock):
    """Makes a store that has read no file yet."""
    return lambda **options: make_store(clock=clock, **options)


@pytest.fixture
def opened(monkeypatch):
    """Returns the files of sessions that are opened meanwhile."""
    system_open = os.open

    @contextmanager
    def count() -> Iterator[list[str]]:
        paths: list[str] = []

        def open_file(path, *args, **options):
            if str(path).endswith(".jsonl"):
                paths.append(path)
            return system_open(path, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", open_file)
            yield paths

    return count


@pytest.fixture
def write(make_store, clock):
    """Writes sessions, of which each tenth is ada's."""

    def run(count: int) -> None:
        store = make_store(clock=clock, fsync=False)
        for number in range(count):
            clock.pass_(3.001)
            owner = None if number % 10 else "ada"
            for namespace in ("", "n"):
                store.add_items(f"s{number}", numbered(1), user_id=owner, namespace=namespace)
                store.set_metadata(f"s{number}", {"n": number}, namespace=namespace)

    return run


def test_a_page_opens_no_more_files_than_it_has(write, fresh_store, opened):
    counts = []
    for number in (110, 160):
        write(number)
        counts.append([])
        for filters in ({}, {"namespace": "n"}, {"user_id": "ada", "namespace": "n"}):
            store = fresh_store()
            with opened() as paths:
                page = store.list_sessions(order="activity", limit=LIMIT, **filters)
            counts[-1].append(len(paths))
            with opened() as paths:
                page = store.list_sessions(
                    order="activity", limit=LIMIT, cursor=page.next_cursor, **filters
                )
            assert len(page.sessions) == LIMIT
            counts[-1].append(len(paths))
    few, many = counts
    assert few == many
    # The end of each file and its metadata, of one more session than in the page, and one of the
    # same time.
    assert max(few[:4]) <= 2 * (LIMIT + 1) + 1


def test_what_was_written_since_is_read_and_no_more(write, fresh_store, clock, opened):
    write(30)
    store = fresh_store()
    with opened() as paths:
        since = clock() - timedelta(seconds=8)
        page = store.list_sessions(order="activity", namespace="", updated_since=since)
    assert [session.session_id for session in page.sessions] == ["s29", "s28", "s27"]
    assert len(paths) == 2 * 3


def without_times(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=shutil.copyfile)


def with_times(source: Path, target: Path) -> None:
    shutil.copytree(source, target)


def with_whole_seconds(source: Path, target: Path) -> None:
    """Copy as tar does."""
    shutil.copytree(source, target)
    for path in session_files(target):
        seconds = int(path.stat().st_mtime)
        os.utime(path, (seconds, seconds))


@pytest.mark.parametrize("copy", [without_times, with_times, with_whole_seconds])
def test_copies_of_the_directory(
    copy: Callable[[Path, Path], None], make_store, clock, directory, tmp_path
):
    store = make_store(clock=clock)
    fill(store, clock)
    expected = sorted(store.list_sessions().sessions, key=activity, reverse=True)
    copy(directory, tmp_path / "copy")
    for limit in (1, 4, 100):
        copied = make_store(clock=clock, directory=tmp_path / "copy")
        assert by_activity(copied, limit=limit) == expected
        assert by_activity(store, limit=limit) == expected


def test_times_that_the_file_system_refuses(make_store, clock, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError("not the owner")

    monkeypatch.setattr(os, "utime", refuse)
    store = make_store(clock=clock)
    for name in ("b", "a", "c"):
        clock.pass_(5)
        store.add_items(name, numbered(1))
    assert [session.session_id for session in by_activity(store, limit=1)] == ["c", "a", "b"]


def test_a_file_has_the_time_of_the_last_write(make_store, clock, path):
    store = make_store(clock=clock)
    writes = (
        lambda: store.add_items("s", numbered(1)),
        lambda: store.set_metadata("s", {"text": "x" * 100_000}),
        lambda: store.replace_items("s", numbered(2)),
        lambda: store.set_metadata("s", {}),
    )
    for write in writes:
        clock.pass_(1.000123)
        write()
        microseconds = (clock() - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        assert path.stat().st_mtime_ns == microseconds * 1_000
    written = path.stat().st_mtime_ns
    clock.pass_(5)
    store.set_expiry("s", clock() + timedelta(days=1))
    assert path.stat().st_mtime_ns == written
    assert store.get_items("s") == numbered(2)
