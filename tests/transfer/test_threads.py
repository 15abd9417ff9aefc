"""manage.py store_copy of threads."""

from contextlib import closing

import pytest
from django.core.management import CommandError

from parlant_store.backends.jsonfile import JsonFileBackend
from parlant_store.exceptions import InvalidItem, NotSupported
from parlant_store.transfer import Copy, Selection, Stopped, StoreSource
from tests.contract.checkpoints import changed, checkpoint, write
from tests.contract.values import numbered
from tests.transfer.contents import DOCUMENTS, SESSIONS, everything, fill
from tests.transfer.test_copying import copy as copied
from tests.transfer.test_store_copy import as_json, copy
from tests.transfer.threads import THREADS, all_threads, fill_threads

pytestmark = [pytest.mark.orm, pytest.mark.any_database]

COUNT = len(THREADS)


def test_threads_are_copied_with_the_rest(source, target):
    fill(source)
    fill_threads(source)
    said = copy()
    assert all_threads(target) == all_threads(source)
    assert everything(target) == everything(source)
    assert (
        "wrote 19 sessions, threads and documents, with 26 items and 30 checkpoints; 0 were" in said
    )
    assert f"the same on both sides: {COUNT} threads, 30 checkpoints" in said
    again = as_json()
    assert (again["written"], again["same"], again["checkpoints"]) == (0, 19, 0)


def test_dry_run_writes_nothing(source, target):
    fill_threads(source)
    target.write_threads(THREADS[:2])
    target.put_checkpoint("t0", checkpoint(1))
    found = as_json("--dry-run")
    assert (found["written"], found["same"], found["skipped"]) == (3, 2, 1)
    assert len(target.list_threads().threads) == 3
    assert "would write 3 sessions, threads and documents" in copy("--dry-run")


@pytest.mark.parametrize(
    ("arguments", "threads"),
    [
        (["--namespace", "space"], ["nasty"]),
        (["--collection", "d"], []),
        (["--namespace", "space", "--collection", "d"], ["nasty"]),
        (["--user", "bob"], ["t0", "t1", "t2"]),
        (["--sessions-only"], []),
        (["--since", "2024-05-07T12:00:00+00:00"], ["t2"]),
        (["--since", "1d"], []),
        (["--since", "3000w"], [record.thread_id for record in THREADS]),
    ],
)
def test_filters(source, target, arguments, threads):
    fill_threads(source)
    copy(*arguments)
    found = [info.thread_id for info in target.list_threads().threads]
    assert sorted(found) == sorted(threads)


def test_conflicts(source, target):
    fill_threads(source)
    target.put_checkpoint("t1", checkpoint(1), user_id="another")
    with pytest.raises(CommandError, match="'target' has the thread 't1' with.*--on-conflict"):
        copy()
    found = as_json("--on-conflict", "skip")
    assert (found["skipped"], found["difference_count"]) == (1, 0)
    assert len(target.list_checkpoints("t1")) == 1
    assert as_json("--on-conflict", "replace")["replaced"] == 1
    assert all_threads(target) == all_threads(source)


def test_what_is_written_meanwhile_is_copied(source, target):
    fill_threads(source)

    def change():
        source.put_checkpoint("t1", checkpoint("0009", {"a": 9}), changed(a=9))
        source.put_writes("t2", "0002", [write("more", 0)])
        source.put_checkpoint("new", checkpoint(1))
        source.delete_thread("nasty", namespace="space")
        source.prune_thread("t0")

    report = copied(source, target, change)
    assert all_threads(target) == all_threads(source)
    assert (report.updated, report.deleted, report.difference_count) == (4, 1, 0)
    assert report.totals["threads"].source == report.totals["threads"].target


def test_threads_that_are_new_meanwhile_are_copied(source, target):
    fill(source, documents=False)
    copied(source, target, lambda: fill_threads(source))
    assert all_threads(target) == all_threads(source)


def test_what_the_target_has_changed_meanwhile_is_a_difference(source, target):
    fill_threads(source)
    report = copied(source, target, lambda: target.put_writes("t1", "0002", [write("more", 0)]))
    assert report.differences == ["thread 't1'"]


def test_what_the_target_refuses_is_a_difference(source, target, monkeypatch):
    fill_threads(source)
    write_threads = target.write_threads

    def refuse(records, **options):
        if any(record.thread_id == "t1" for record in records):
            raise InvalidItem("too large")
        return write_threads(records, **options)

    monkeypatch.setattr(target, "write_threads", refuse)
    report = copied(source, target)
    assert report.differences == ["thread 't1': too large"]
    assert len(all_threads(target)) == COUNT - 1


def test_a_stopped_copy_goes_on(source, target, monkeypatch):
    monkeypatch.setattr("parlant_store.transfer.sources.MAX_THREADS", 2)
    fill_threads(source)
    answers = iter([True])
    with pytest.raises(Stopped, match="run it again"):
        copied(source, target, is_stopped=lambda: next(answers))
    assert len(all_threads(target)) == 2
    report = copied(source, target)
    assert (report.same, report.written) == (2, COUNT - 2)
    assert all_threads(target) == all_threads(source)


def test_a_store_without_threads(source, tmp_path):
    fill(source, documents=False)
    fill_threads(source)
    with closing(JsonFileBackend("files", directory=str(tmp_path / "files"))) as files:
        with pytest.raises(NotSupported, match="there are threads to copy, and the store 'files'"):
            Copy(StoreSource(source), files, Selection()).run()
        assert files.list_sessions().sessions == ()
        report = Copy(StoreSource(source), files, Selection(sessions_only=True)).run()
        assert report.written == len(SESSIONS)
        files.add_items("back", numbered(1))
        assert Copy(StoreSource(files), source, Selection(namespace="")).run().written == 1


def test_documents_of_a_collection_named_as_threads(source, target):
    fill_threads(source)
    source.write_documents("threads", DOCUMENTS)
    assert as_json()["difference_count"] == 0
    assert everything(target) == everything(source)
    assert all_threads(target) == all_threads(source)
