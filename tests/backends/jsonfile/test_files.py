"""What is written to files, and read from them."""

import json
import os
import stat
import tracemalloc
from datetime import timedelta

import jq
import pytest

from parlant_store.backends.jsonfile.files import locked_session
from parlant_store.types import SessionRecord
from tests.backends.jsonfile.folders import cut_off, session_files
from tests.contract.threads import in_threads
from tests.contract.values import NASTY, numbered

pytestmark = pytest.mark.any_database


@pytest.fixture
def open_umask():
    umask = os.umask(0)
    yield
    os.umask(umask)


@pytest.mark.usefixtures("open_umask")
def test_files_are_for_their_owner_alone(store, directory):
    store.add_items("s", numbered(1), namespace="n")
    store.add_items("s", numbered(2), namespace="n")
    for path in (directory, *directory.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_lines_are_json_that_people_can_read(store, path):
    store.add_items("s", [{"role": "user", "content": "Où?"}, *NASTY])
    store.set_metadata("s", {"topic": "Wetter"})
    lines = path.read_text("utf-8").splitlines()
    objects = [json.loads(line) for line in lines]
    assert lines[0] == '{"format":1,"namespace":"","session_id":"s"}'
    assert lines[1] == '{"item":{"role":"user","content":"Où?"}}'
    assert [line["item"] for line in objects if "item" in line][1:] == NASTY
    assert objects[-1]["metadata"] == {"topic": "Wetter"}
    assert objects[-1]["after"]["items"] == 1 + len(NASTY)


def test_jq_reads_a_file(store, path):
    store.add_items("s", [{"role": "user", "content": "Hello"}, {"role": "assistant"}])
    store.save_snapshot("s", [{"role": "user", "content": "Bye \0"}], state={"a": "\0"})
    store.pop_item("s")
    store.add_items("s", [{"role": "user", "content": "Hello again"}])
    program = jq.compile('select(.item.role == "user") | .item.content')
    assert program.input_text(path.read_text("utf-8")).all()[-1] == "Hello again"


def test_adding_to_a_long_session_writes_the_new_lines(store, path):
    store.add_items("s", numbered(*range(10_000)))
    before, inode = path.read_bytes(), path.stat().st_ino
    store.add_items("s", numbered(1, 2))
    after = path.read_bytes()
    assert after.startswith(before)
    assert len(after) - len(before) < 500
    assert path.stat().st_ino == inode


def test_a_turn_of_a_long_snapshot_writes_the_new_lines(store, path):
    since = store.save_snapshot("s", numbered(*range(10_000)), state={"a": 1})
    size = path.stat().st_size
    for number in range(10):
        since = store.save_snapshot(
            "s", numbered(1, 2), state={"a": number}, since=since, drop=2, keep=9_998
        )
    assert path.stat().st_size - size < 5_000
    assert len(store.get_items("s")) == 10_000


def test_the_latest_items_are_read_from_the_end(store):
    store.add_items("s", [{"n": n, "text": "x" * 500} for n in range(10_000)])
    tracemalloc.start()
    try:
        assert [item["n"] for item in store.get_items("s", limit=2)] == [9_998, 9_999]
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_file_does_not_grow_with_what_is_removed(store, path):
    since = store.save_snapshot("s", numbered(*range(50)), state={"text": "x" * 20_000})
    for number in range(300):
        since = store.save_snapshot(
            "s", numbered(number), state={"text": "x" * 20_000}, since=since, drop=1, keep=49
        )
        store.add_items("s", [{"text": "y" * 5_000}])
        store.pop_item("s")
        since = store.load_snapshot("s").revision
        assert path.stat().st_size < 2 * 25_000 + 2**16 + 30_000
    assert store.get_items("s") == numbered(*range(250, 300))
    assert store.load_snapshot("s").state == {"text": "x" * 20_000}


def test_a_file_with_many_answers_is_rewritten_now_and_then(make_store, clock, path):
    store = make_store(clock=clock, fsync=False)
    inodes, sizes = set(), []
    for number in range(200):
        store.set_metadata("s", {"text": "x" * 2_000}, request_id=str(number))
        inodes.add(path.stat().st_ino)
        clock.pass_(60)
        sizes.append(path.stat().st_size)
    assert len(inodes) < 20
    assert max(sizes) < 1_000_000


def test_metadata_and_state_stay_when_a_file_is_rewritten(store, path):
    store.set_metadata("s", {"text": "m" * 1_000})
    store.save_snapshot("s", [], state={"text": "\0" * 1_000})
    inode = path.stat().st_ino
    for number in range(2_000):
        store.add_items("s", numbered(number))
        store.pop_item("s")
        if path.stat().st_ino != inode:
            break
    assert path.stat().st_ino != inode
    assert store.get_metadata("s") == {"text": "m" * 1_000}
    assert store.load_snapshot("s").state == {"text": "\0" * 1_000}


def test_cleared_and_deleted_texts_are_not_in_files(store, directory, path):
    def is_there() -> bool:
        return any(b"secret" in file.read_bytes() for file in session_files(directory))

    for remove in (
        lambda: store.clear("s"),
        lambda: store.replace_items("s", numbered(1)),
        lambda: store.save_snapshot("s", [], state={}),
        lambda: store.delete_session("s"),
    ):
        store.add_items("s", [{"content": "secret"}])
        cut_off(path, b'{"item":{"content":"secret"')
        store.add_items("s", [{"content": "secret"}])
        assert is_there()
        remove()
        assert not is_there()
    assert session_files(directory) == []


def test_readers_see_whole_writes_while_files_are_rewritten(store, monkeypatch, caplog):
    monkeypatch.setattr(locked_session, "MAX_DEAD", 1_000)

    def work(number: int) -> None:
        for count in range(60):
            batch = [{"by": number, "count": count, "n": n} for n in range(3)]
            if number % 2:
                read()
            elif count % 9 == 8:
                store.clear("s")
            elif count % 5 == 4:
                store.replace_items("s", batch)
            elif count % 13 == 12:
                store.delete_session("s")
            else:
                store.add_items("s", batch)

    def read() -> None:
        for items in (store.get_items("s"), store.get_items("s", limit=3)):
            batches = [items[start : start + 3] for start in range(0, len(items), 3)]
            for batch in batches:
                assert [item["n"] for item in batch] == [0, 1, 2]
                assert len({(item["by"], item["count"]) for item in batch}) == 1
        snapshot = store.load_snapshot("s")
        assert snapshot is None or len(snapshot.items) == snapshot.revision.item_count

    in_threads(work, 6)
    assert not caplog.records


def test_items_keep_their_times_when_a_file_is_rewritten(make_store, clock, path):
    store = make_store(clock=clock)
    began = clock()
    store.add_items("s", numbered(1))
    clock.pass_(5)
    inode = path.stat().st_ino
    for _ in range(40):
        store.add_items("s", [{"text": "x" * 5_000}])
        store.pop_item("s")
    assert path.stat().st_ino != inode
    clock.pass_(5)
    store.add_items("s", numbered(2))
    (found,) = store.read_sessions([("", "s")])
    assert (found.items, found.item_times) == (numbered(1, 2), [began, clock()])


def test_an_item_of_another_time_has_it_in_its_line(make_store, clock, path):
    store = make_store(clock=clock)
    times = [clock() - timedelta(days=days) for days in (2, 1)]
    record = SessionRecord(session_id="s", items=NASTY[:2], item_times=times, updated_at=times[1])
    store.write_sessions([record])
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line.get("at") for line in lines] == [None, times[0].isoformat(), None, None]
    assert store.get_items("s") == NASTY[:2]
