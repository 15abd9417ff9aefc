"""Copies while others write, and copies that are stopped."""

import signal
import subprocess
import sys
import threading

import pytest
from django.db import connections

from parlant_store.exceptions import InvalidItem
from parlant_store.transfer import Conflict, Copy, Selection, Stopped, StoreSource
from parlant_store.types import SessionRecord, Usage
from tests.contract.values import numbered
from tests.transfer.contents import SESSIONS, everything, fill

pytestmark = [pytest.mark.orm, pytest.mark.any_database]


class Meanwhile:
    """Calls functions one after another, each at the end of a batch."""

    def __init__(self, *calls):
        self.calls = list(calls)

    def __call__(self, text):
        if self.calls:
            self.calls.pop(0)()


def copy(source, target, *meanwhile, **options):
    selection = options.pop("selection", Selection())
    return Copy(StoreSource(source), target, selection, show=Meanwhile(*meanwhile), **options).run()


def test_what_is_written_meanwhile_is_copied(source, target):
    fill(source)

    def write():
        source.add_items("s1", numbered(4))
        source.add_items("new", numbered(1))
        source.set_metadata("s2", {"a": 1})
        source.delete_session("s3")
        source.insert_one("c", {"id": "new"})
        source.insert_one("e", {"id": "of a new collection"})

    report = copy(source, target, write)
    assert everything(target) == everything(source)
    assert (report.updated, report.deleted, report.difference_count) == (3, 1, 0)
    assert {kind: totals.records for kind, totals in report.totals.items()} == {
        "sessions": 8,
        "c": 5,
        "d": 1,
        "e": 1,
    }
    assert all(totals.source == totals.target for totals in report.totals.values())


def test_documents_that_change_meanwhile(source, target):
    fill(source)

    def write():
        source.update_one("c", {"id": {"$eq": "a"}}, {"changed": 1})
        source.delete_one("c", {"id": {"$eq": "b" * 4096}})
        source.insert_one("c", {"no": "id"})

    report = copy(source, target, lambda: None, write)
    assert everything(target) == everything(source)
    assert report.difference_count == 0


def test_writes_in_each_round_are_copied(source, target):
    fill(source)
    report = copy(source, target, *[lambda: source.add_items("s1", numbered(4))] * 3)
    assert target.get_items("s1") == source.get_items("s1")
    assert (report.updated, report.difference_count) == (3, 0)


def test_a_source_that_never_rests_is_a_difference(source, target):
    fill(source, documents=False)
    report = copy(source, target, *[lambda: source.add_items("s1", numbered(4))] * 99)
    assert report.differences == ["session 's1'"]
    assert report.totals["sessions"].source != report.totals["sessions"].target


def test_what_the_target_has_changed_meanwhile_is_a_difference(source, target):
    fill(source, documents=False)

    def write():
        target.add_items("s1", numbered(4))
        target.delete_session("s2")

    report = copy(source, target, write)
    assert report.differences == ["session 's1'", "session 's2'"]
    assert len(target.get_items("s1")) == 4


def test_usage_and_branches_of_meanwhile_are_copied(source, target):
    fill(source, documents=False)

    def write():
        source.add_usage("s1", 5, turn=2)
        source.add_usage("s2", 5, turn=3, replace=True)
        source.branch("s2", "new", before_turn=5)

    report = copy(source, target, write)
    assert everything(target) == everything(source)
    assert (report.updated, report.difference_count) == (3, 0)
    assert target.get_usage("s1", by="turn") == {2: Usage(total_tokens=5)}


def test_another_usage_or_parent_is_another_content(source, target):
    fill(source, documents=False)
    copy(source, target)
    target.add_usage("s1", 5)
    source.branch("s2", "copy")
    target.branch("s3", "copy")
    with pytest.raises(Conflict, match="with another content"):
        copy(source, target)
    report = copy(source, target, on_conflict="skip")
    assert (report.skipped, report.difference_count) == (2, 0)
    assert target.get_session("copy").parent_id == "s3"
    assert copy(source, target, on_conflict="replace").replaced == 2
    assert everything(target) == everything(source)


def test_a_store_that_keeps_no_history(source, target, monkeypatch):
    fill(source, documents=False)
    monkeypatch.setattr(type(source), "keeps_history", False)
    copy(source, target)
    target.add_usage("s1", 5)
    assert copy(source, target).same == len(SESSIONS)
    assert target.get_usage("s1").total_tokens == 5


def test_what_both_sides_have_changed_meanwhile_is_a_conflict(source, target):
    fill(source, documents=False)

    def write():
        for store in (source, target):
            store.add_items("s1", [{"of": store.alias}])

    with pytest.raises(Conflict, match="'s1'"):
        copy(source, target, write)
    assert target.get_items("s1")[-1] == {"of": "target"}
    assert copy(source, target, on_conflict="skip").skipped == 1
    assert copy(source, target, on_conflict="replace").replaced == 1
    assert everything(target) == everything(source)


def test_what_was_deleted_at_the_source_before_is_left(source, target):
    fill(source)
    copy(source, target)
    source.delete_session("s1")
    assert copy(source, target).deleted == 0
    assert target.exists("s1")


def test_a_stopped_copy_goes_on(source, target, monkeypatch):
    monkeypatch.setattr("parlant_store.transfer.sources.PAGE_SIZE", 2)
    fill(source)
    answers = iter([False, True])
    with pytest.raises(Stopped, match="run it again"):
        copy(source, target, is_stopped=lambda: next(answers))
    assert len(target.list_sessions().sessions) == 4
    report = copy(source, target)
    assert (report.same, report.written) == (4, 9)
    assert everything(target) == everything(source)


def test_a_session_of_its_own_that_is_too_large_for_a_batch(source, target, monkeypatch):
    monkeypatch.setattr(type(source), "max_record_items", 5)
    fill(source)
    sizes = []
    write = target.write_sessions

    def counted(records, **options):
        sizes.append(sum(len(record.items) for record in records))
        return write(records, **options)

    monkeypatch.setattr(target, "write_sessions", counted)
    copy(source, target)
    assert max(sizes) == 10
    assert len(sizes) > 4
    assert everything(target) == everything(source)


def test_what_the_target_refuses_is_a_difference(source, target, monkeypatch):
    fill(source, documents=False)
    write = target.write_sessions

    def refuse(records, **options):
        if any(record.session_id == "s1" for record in records):
            raise InvalidItem("too large")
        return write(records, **options)

    monkeypatch.setattr(target, "write_sessions", refuse)
    report = copy(source, target)
    assert report.differences == ["session 's1': too large"]
    assert len(target.list_sessions().sessions) == len(SESSIONS) - 1


def test_a_store_that_keeps_no_times(source, target, monkeypatch):
    fill(source, documents=False)
    monkeypatch.setattr(type(source), "keeps_times", False)
    monkeypatch.setattr(type(source), "keeps_item_times", False)
    assert copy(source, target).difference_count == 0
    target.delete_session("s1")
    target.add_items("s1", SESSIONS[-4].items, user_id="bob")
    assert copy(source, target).same == len(SESSIONS)


def test_many_writers_at_once(source, target):
    """Each session of the target is one that the source had, and at the end the last one."""
    fill(source)
    stop = threading.Event()

    def write():
        number = 0
        while not stop.is_set() and number < 300:
            source.add_items(f"w{number % 7}", numbered(number))
            number += 1
        connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            copy(source, target, on_conflict="replace")
    finally:
        stop.set()
        writer.join()
    copy(source, target, on_conflict="replace")
    assert everything(target) == everything(source)


SCRIPT = """
import sys
import django
from django.conf import settings
databases = {{
    name: {{"ENGINE": "django.db.backends.sqlite3", "NAME": path}}
    for name, path in [("default", {source!r}), ("target", {target!r})]
}}
settings.configure(
    DATABASES=databases, INSTALLED_APPS=["parlant_store"], USE_TZ=True,
    PARLANT_STORES={{
        name: {{"BACKEND": "parlant_store.backends.orm.OrmBackend", "OPTIONS": {{"using": name}}}}
        for name in databases
    }},
)
django.setup()
from django.core.management import execute_from_command_line
from parlant_store.management.progress import Progress
from parlant_store.transfer import sources

batches = 0

def wait(progress, text):
    global batches
    batches += 1
    if batches % 50 == 0:
        print(batches, flush=True)
        sys.stdin.readline()

Progress.show = wait
sources.PAGE_SIZE = 1
execute_from_command_line(["manage.py", "store_copy", "default", "target"])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_ended_leaves_whole_sessions(source, target, tmp_path, number):
    """Wherever it was ended, the next run copies the rest."""
    count = 300
    source.write_sessions(
        [SessionRecord(session_id=f"s{n:04}", items=numbered(*range(3))) for n in range(count)]
    )
    paths = {name: str(tmp_path / f"{name}.sqlite3") for name in ("source", "target")}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    command = [sys.executable, "-c", SCRIPT.format(**paths)]
    with subprocess.Popen(command, **pipes, text=True) as process:
        assert process.stdout.readline() == "50\n"
        if number == signal.SIGKILL:
            # It writes the next ones meanwhile.
            process.stdin.write("\n")
            process.stdin.flush()
        process.send_signal(number)
        _, stderr = process.communicate("\n", timeout=300)
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert "stopped: run it again to copy the rest" in stderr
    names = [info.session_id for info in target.list_sessions(limit=count).sessions]
    assert 50 <= len(names) <= 101
    assert all(target.get_items(name) == numbered(0, 1, 2) for name in names)
    report = copy(source, target)
    assert (report.same + report.written, report.same) == (count, len(names))
    assert everything(target) == everything(source)
