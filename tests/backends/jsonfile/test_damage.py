"""Damaged files, and writes that were cut off."""

import json
import logging
from pathlib import Path

import pytest

from parlant_store.exceptions import BackendError
from tests.backends.jsonfile.folders import cut_off
from tests.contract.values import numbered

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    "tail",
    [
        b"{",
        b'{"item":{"n":4}}',
        b'{"item":{"n":4}}\n',
        b'{"item":{"n":4}}\n{"did":"add","added":1,"rem',
        b'{"item":{"n":4}}\n{"did":"add","added":1,"removed":0,"dropped":0,"after":{"key":1}\n',
        b"\0" * 5_000,
        b"\xff\xfe\n\n",
        b'{"item":{"text":"' + b"x" * 20_000,
    ],
)
def test_a_write_that_was_cut_off_is_set_aside(store, make_store, path, tail, caplog):
    store.add_items("s", numbered(1, 2))
    store.add_items("s", numbered(3))
    cut_off(path, tail)
    for other in (store, make_store()):
        assert other.get_items("s") == numbered(1, 2, 3)
        assert other.get_items("s", limit=1) == numbered(3)
        assert other.get_session("s").item_count == 3
        assert [summary.item_count for summary in other.list_summaries()] == [3]
    with caplog.at_level(logging.WARNING, "parlant_store"):
        store.add_items("s", numbered(4))
    assert f"Moved {len(tail)} bytes of a write that was cut off" in caplog.text
    assert path.with_suffix(".damaged").read_bytes() == tail
    assert store.get_items("s") == numbered(1, 2, 3, 4)
    assert b"\0" not in path.read_bytes()
    store.delete_session("s")
    assert not path.with_suffix(".damaged").exists()


def test_a_write_whose_items_were_not_on_disk_is_set_aside(store, make_store, path):
    store.add_items("s", numbered(1, 2))
    size = path.stat().st_size
    store.add_items("s", numbered(3, 4))
    data = path.read_bytes()
    # After a power failure, a block that was not written is full of zeros.
    path.write_bytes(data[:size] + b"\0" * 20 + data[size + 20 :])
    other = make_store()
    other.add_items("s", numbered(5))
    assert other.get_items("s") == numbered(1, 2, 5)
    assert other.get_session("s").item_count == 3


def damage(path: Path, line: bytes, by: bytes = b"{damaged") -> None:
    data = path.read_bytes()
    assert data.count(line + b"\n") == 1
    path.write_bytes(data.replace(line, by))


def test_damaged_items_are_skipped_and_do_not_count(store, path, caplog):
    store.add_items("s", numbered(*range(6)))
    for number in (2, 4, 5):
        damage(path, b'{"item":{"n":%d}}' % number)
    with caplog.at_level(logging.WARNING, "parlant_store"):
        assert store.get_items("s") == numbered(0, 1, 3)
        assert store.get_items("s", limit=2) == numbered(1, 3)
        assert store.get_items("s", limit=10) == numbered(0, 1, 3)
        assert store.load_snapshot("s").revision.item_count == 6
        assert store.pop_item("s") == {"n": 3}
    assert "damaged" in caplog.text
    assert store.get_items("s") == numbered(0, 1)
    store.add_items("s", numbered(7))
    assert store.get_items("s") == numbered(0, 1, 7)


@pytest.mark.parametrize(
    "by", [b"", b"null", b"[]", b'{"item":5}', b'{"item":1},{"item":2}', b"\xff"]
)
def test_an_item_may_be_damaged_in_any_way(store, path, by):
    store.add_items("s", numbered(1, 2))
    store.add_items("s", numbered(3))
    damage(path, b'{"item":{"n":2}}', by)
    assert store.get_items("s") == numbered(1, 3)
    assert store.get_session("s").item_count == 3
    assert store.search("x") == []
    store.branch("s", "t")
    assert store.get_items("t") == numbered(1, 3)


def test_a_line_that_is_lost_is_a_damaged_item(store, path):
    store.add_items("s", numbered(1, 2))
    store.add_items("s", numbered(3))
    path.write_bytes(path.read_bytes().replace(b'{"item":{"n":2}}\n', b""))
    assert store.get_items("s") == numbered(1, 3)


@pytest.mark.parametrize("number", range(4))
def test_the_damaged_line_of_a_write_harms_no_other(store, path, number):
    since = store.save_snapshot("s", numbered(*range(10)), state={})
    store.pop_item("s")
    store.add_items("s", numbered(10, 11))
    since = store.load_snapshot("s").revision
    store.save_snapshot("s", numbered(12), state={}, since=since, keep=9)
    store.add_items("s", numbered(13))
    expected = numbered(*range(9), 12, 13)
    assert store.get_items("s") == expected
    written = [line for line in path.read_bytes().splitlines() if line.startswith(b'{"did"')]
    damage(path, written[number], b'{"did":')
    assert store.get_items("s") == expected
    assert store.get_items("s", limit=3) == expected[-3:]


def test_lines_may_be_formatted_otherwise(store, path):
    store.add_items("s", numbered(1, 2))
    store.add_items("s", numbered(3), user_id="ada")
    lines = path.read_text().splitlines()
    path.write_text("".join(json.dumps(json.loads(line)) + "\n" for line in lines))
    assert store.get_items("s") == numbered(1, 2, 3)
    assert store.get_session("s").user_id == "ada"
    store.add_items("s", numbered(4))
    assert store.get_items("s") == numbered(1, 2, 3, 4)


def test_an_edited_file_has_its_state_and_metadata(store, path):
    store.set_metadata("s", {"topic": "x"})
    store.save_snapshot("s", numbered(1, 2), state={"a": 1})
    store.add_items("s", numbered(3))
    damage(path, b'{"item":{"n":2}}', b'{"item":{"n":"by hand"}}')
    assert store.get_items("s") == [{"n": 1}, {"n": "by hand"}, {"n": 3}]
    assert store.load_snapshot("s").state == {"a": 1}
    assert store.get_metadata("s") == {"topic": "x"}
    assert store.list_sessions(where={"topic": {"$eq": "x"}}).sessions


@pytest.mark.parametrize(
    "after",
    [
        {"key": "x"},
        {"items": -1},
        {"items": True},
        {"user_id": 5},
        {"created_at": "yesterday"},
        {"updated_at": "2030-01-01T00:00:00"},
        {"expires_at": 5},
        {"metadata_at": None},
        {"unknown": 1},
    ],
)
def test_a_damaged_state_is_that_of_a_write_that_was_cut_off(store, path, after):
    store.add_items("s", numbered(1))
    store.add_items("s", numbered(2))
    *lines, last = path.read_text().splitlines()
    write = json.loads(last)
    write["after"] |= after
    path.write_text("\n".join([*lines, json.dumps(write)]) + "\n")
    for call in (store.list_sessions, store.list_summaries, store.expire):
        call()
    assert store.get_items("s") == numbered(1)
    store.add_items("s", numbered(3))
    assert store.get_items("s") == numbered(1, 3)


@pytest.mark.parametrize("request_", [None, 5, {}, {"id": "x", "at": 5, "answer": None}])
def test_a_damaged_answer_is_none(store, path, request_):
    store.add_items("s", numbered(1, 2))
    store.pop_item("s", request_id="id")
    *lines, last = path.read_text().splitlines()
    write = json.loads(last)
    write["request"] = request_
    path.write_text("\n".join([*lines, json.dumps(write)]) + "\n")
    assert store.pop_item("s", request_id="id") == {"n": 1}


def test_a_damaged_file_harms_no_other(store, path, caplog):
    for name in ("r", "s", "t"):
        store.add_items(name, numbered(1))
    header = path.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(header + b"\0" * 100)
    assert store.get_items("s") == []
    assert not store.exists("s")
    assert [session.session_id for session in store.list_sessions().sessions] == ["r", "t"]
    assert store.expire().sessions == 0
    store.add_items("s", numbered(2))
    assert store.get_items("s") == numbered(2)
    assert path.with_suffix(".damaged").read_bytes() == header + b"\0" * 100


def test_an_empty_file_is_no_session(store, path):
    store.add_items("s", numbered(1))
    path.write_bytes(b"")
    assert not store.exists("s")
    store.add_items("s", numbered(2))
    assert store.get_items("s") == numbered(2)


def test_a_foreign_file_is_left_alone(store, path):
    store.add_items("t", numbered(1))
    path.write_text('{"mine": 1}\n')
    assert not store.exists("s")
    assert len(store.list_sessions().sessions) == 1
    store.expire()
    for write in (
        lambda: store.add_items("s", numbered(1)),
        lambda: store.delete_session("s"),
        lambda: store.branch("t", "s"),
    ):
        with pytest.raises(BackendError, match="is no file of this store"):
            write()
    assert path.read_text() == '{"mine": 1}\n'
