"""Turns, usage and branches in files: what is read and written, and files of earlier versions."""

import json
import re
from pathlib import Path

import pytest

from parlant_store.exceptions import InvalidInput
from parlant_store.types import Usage
from tests.contract.earlier_sessions import EarlierSessionContract, fill
from tests.contract.turn_values import turn, usage
from tests.contract.values import IDS, numbered

pytestmark = pytest.mark.any_database


def bytes_read() -> int:
    return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])


@pytest.fixture
def old(make_store, path):
    """A store with a session as versions without turns have written it."""
    store = make_store()
    fill(store)
    text = path.read_text("utf-8")
    assert '"next_turn":' in text
    path.write_text(re.sub(r',"next_turn":\d+', "", text), "utf-8")
    return make_store()


class TestEarlierSessions(EarlierSessionContract):
    pass


def test_the_latest_turns_are_read_from_the_end(store):
    store.add_items("s", [item for number in range(5_000) for item in turn(str(number))])
    store.add_usage("s", usage(5), turn=4_999)
    before = bytes_read()
    turns = store.list_turns("s", newest_first=True, limit=3)
    assert [turn.number for turn in turns] == [5_000, 4_999, 4_998]
    assert turns[1].usage is not None
    assert store.get_usage("s") is not None
    assert bytes_read() - before < 40_000


def test_the_end_is_deleted_by_one_line(store, path):
    store.add_items("s", [item for number in range(2_000) for item in turn(str(number))])
    before, inode = path.read_bytes(), path.stat().st_ino
    read = bytes_read()
    assert store.truncate("s", before_turn=1_999) == 4
    store.replace_tail("s", store.list_turns("s", newest_first=True)[0].position, turn("new"))
    store.add_usage("s", usage(5))
    assert bytes_read() - read < 200_000
    after = path.read_bytes()
    assert path.stat().st_ino == inode
    assert after.startswith(before)
    assert len(after[len(before) :].splitlines()) == 1 + 3 + 1


def rewritten(store, path):
    """Rewrite the file, as a write does when much of it is of no use."""
    inode = path.stat().st_ino
    for number in range(1_000):
        store.set_metadata("s", {"text": str(number) * 100})
        if path.stat().st_ino != inode:
            return
    raise AssertionError("the file was not rewritten")


def test_a_file_that_is_rewritten_has_the_same_turns(store, path):
    store.add_items("s", [*numbered(1, 2), *turn("one"), *turn("two", 3), *turn("three")])
    for number in range(4):
        store.add_usage("s", usage(10 + number), turn=number)
    store.add_usage("s", usage(5), turn=2)
    store.truncate("s", before_turn=3)
    store.pop_item("s")
    store.add_items("s", [*numbered(7), *turn("new"), *turn("newer")])
    store.add_usage("s", usage(7), turn=4)
    store.pop_item("s")
    turns = store.list_turns("s")
    assert [turn.number for turn in turns] == [0, 1, 2, 3, 4]
    assert turns[3].usage is None
    assert turns[2].usage.input_tokens == 17
    usages, total = store.get_usage("s", by="turn"), store.get_usage("s")
    for _ in range(2):
        rewritten(store, path)
        assert store.list_turns("s") == turns
        assert store.list_turns("s", newest_first=True) == turns[::-1]
        assert (store.get_usage("s", by="turn"), store.get_usage("s")) == (usages, total)
    store.branch("s", "b")
    assert store.list_turns("b") == turns
    last = turns[-1].position
    assert store.truncate("s", after_position=last - 1) == 1
    assert store.list_turns("s") == turns[:-1]
    assert store.get_usage("s", by="turn") == {n: used for n, used in usages.items() if n < 4}
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["turn"] for line in lines if set(line) == {"turn", "usage"}] == [1, 2, 4]
    assert sum("position" in line for line in lines) == 2


def test_a_position_of_deleted_items_is_the_end_of_those_before(store):
    store.add_items("s", [*turn("one", 2), *turn("two", 2), *turn("three", 2)])
    last = store.load_snapshot("s").revision.next_position - 1
    store.truncate("s", before_turn=2)
    store.add_items("s", [*turn("new", 5), *turn("newer", 5)])
    assert store.list_turns("s")[1].position == last + 1
    assert store.truncate("s", after_position=last) == 12
    assert store.get_items("s") == turn("one", 2)


def test_usage_of_a_deleted_turn_is_not_that_of_its_successor(store):
    store.add_items("s", [*turn("one"), *turn("two")])
    store.add_usage("s", usage(5), turn=2)
    store.truncate("s", before_turn=2)
    store.add_items("s", turn("other"))
    assert store.get_usage("s", by="turn") == {}
    store.add_usage("s", usage(3), turn=1)
    store.replace_tail("s", store.list_turns("s")[0].position, turn("new"))
    assert store.list_turns("s")[0].usage is None
    assert store.get_usage("s") is None


def test_any_name_of_a_detail(store, path):
    details = {name: number for number, name in enumerate([*IDS, 'a"b\\"', "\0", "}", '"'], 1)}
    store.add_items("s", turn("one"))
    for _ in range(2):
        store.add_usage("s", {"output_tokens_details": details})
    twice = Usage(output_tokens_details={name: 2 * count for name, count in details.items()})
    assert store.get_usage("s", by="turn") == {1: twice}
    rewritten(store, path)
    assert store.get_usage("s", by="turn") == {1: twice}


def test_damaged_usage_is_unknown(store, path):
    store.add_items("s", [*turn("one"), *turn("two")])
    store.add_usage("s", usage(5), turn=1)
    text = path.read_text("utf-8")
    damaged = text.replace('"turn":1,"usage":{', '"turn":1,"usage":{"a":"b",', 1)
    path.write_text(damaged.replace('"usage":{"requests":1', '"usage":{"requests":-1'), "utf-8")
    assert store.get_usage("s", by="turn")[1].total_tokens == 6
    assert store.get_usage("s").total_tokens == 6
    with pytest.raises(InvalidInput):
        store.truncate("s", before_turn=3)
    store.truncate("s", before_turn=1)
    assert store.get_session("s").tokens is None
