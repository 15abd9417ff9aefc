"""Options of the store, its checks, and what passes with time."""

import os

import pytest
from django.core.exceptions import ImproperlyConfigured

from parlant_store.backends.jsonfile import JsonFileBackend
from parlant_store.exceptions import BackendError, NotSupported
from tests.backends.jsonfile.folders import session_files
from tests.contract.values import numbered

pytestmark = pytest.mark.any_database


def test_answers_are_stored_for_an_hour(make_store, clock, directory):
    store = make_store(clock=clock)
    store.add_items("s", numbered(1, 2, 3))
    assert store.pop_item("s", request_id="id") == {"n": 3}
    clock.pass_(59 * 60)
    assert store.pop_item("s", request_id="id") == {"n": 3}
    clock.pass_(60)
    assert store.pop_item("s", request_id="id") == {"n": 2}
    store.delete_session("s", request_id="delete")
    assert session_files(directory) != []
    store.expire()
    assert store.pop_item("s", request_id="id") == {"n": 2}
    assert store.delete_session("s", request_id="delete")
    assert store.list_sessions().sessions == ()
    clock.pass_(60 * 60)
    assert store.expire().sessions == 0
    assert session_files(directory) == []


def test_the_answer_to_one_of_many_requests_is_found(make_store, directory):
    store = make_store(fsync=False)
    store.add_items("s", numbered(*range(1_000)))
    popped = {str(n): store.pop_item("s", request_id=str(n)) for n in range(500)}
    for other in (store, make_store()):
        for n in (0, 250, 499):
            assert other.pop_item("s", request_id=str(n)) == popped[str(n)]
    other.pop_item("s", request_id="other")
    assert store.pop_item("s", request_id="other") == {"n": 499}
    assert store.get_session("s").item_count == 499


def test_answers_stay_when_a_file_is_rewritten(make_store, clock, path):
    store = make_store(clock=clock)
    store.add_items("s", numbered(*range(5)))
    for number in range(5):
        store.pop_item("s", request_id=f"pop {number}")
    for write in (
        lambda: store.clear("s"),
        lambda: store.save_snapshot("s", numbered(7), state={}),
        lambda: store.delete_session("s"),
        lambda: store.add_items("s", numbered(8)),
        lambda: store.branch("s", "s"),
        lambda: store.replace_items("s", numbered(9)),
    ):
        write()
        popped = [store.pop_item("s", request_id=f"pop {number}") for number in range(5)]
        assert popped == numbered(4, 3, 2, 1, 0)


def test_the_sweep_removes_what_killed_processes_left(store, directory):
    store.add_items("s", numbered(1), namespace="n")
    store.delete_session("s", namespace="n")
    store.add_items("t", numbered(1))
    old, new = directory / "=default" / ".tmp-old", directory / "=default" / ".tmp-new"
    for path in (old, new):
        path.write_text("x")
    os.utime(old, (0, 0))
    store.expire()
    assert not (directory / "n").exists()
    assert (old.exists(), new.exists()) == (False, True)
    store.add_items("s", numbered(1), namespace="n")
    assert store.exists("s", namespace="n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs a directory"),
        ({"directory": ""}, "needs a directory"),
        ({"directory": 5}, "needs a directory"),
        ({"directory": "a\0b"}, "NUL"),
        ({"directory": "d", "fsync": 1}, "fsync"),
        ({"directory": "d", "timeout": 0}, "timeout"),
        ({"directory": "d", "timeout": None}, "timeout"),
        ({"directory": "d", "ttl_seconds": 0}, "ttl_seconds"),
    ],
)
def test_a_wrong_option_is_refused(options, said):
    with pytest.raises(ImproperlyConfigured, match=said):
        JsonFileBackend("test", **options)


def test_checks(make_store, directory):
    store = make_store()
    assert store.check() == []
    directory.mkdir()
    directory.chmod(0o755)
    assert [message.id for message in store.check()] == ["parlant_store.W021"]
    directory.chmod(0o700)
    assert store.check() == []
    directory.rmdir()
    directory.write_text("x")
    assert [message.id for message in store.check()] == ["parlant_store.E006"]
    with pytest.raises(BackendError):
        store.add_items("s", numbered(1))


def test_documents_are_not_supported(store):
    with pytest.raises(NotSupported):
        store.find("c")
    with pytest.raises(NotSupported):
        store.insert_one("c", {"id": "a"})


def test_without_fsync_all_is_the_same(make_store):
    store = make_store(fsync=False)
    store.add_items("s", numbered(1))
    store.add_items("s", numbered(2))
    assert store.get_items("s") == numbered(1, 2)


def test_it_stores_no_checkpoints(make_store):
    store = make_store()
    for call in (lambda: store.get_checkpoint("t"), store.list_threads):
        with pytest.raises(NotSupported, match="they need a store in a database of the project"):
            call()
    assert [*store.list_expired()] == []
