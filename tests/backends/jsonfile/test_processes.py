"""Several processes in one directory, and processes that are killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from parlant_store.exceptions import StoreUnavailable
from tests.backends.jsonfile.worker import WRITES
from tests.contract.processes import check_popped_once, check_whole_batches, finish
from tests.contract.values import numbered
from tests.processes import Process

pytestmark = pytest.mark.any_database


def start(directory, *command: str, prefix: tuple[str, ...] = ()):
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    worker = ["-m", "tests.backends.jsonfile.worker", str(directory), *command]
    if not prefix:
        return Process(*worker, stdout=subprocess.PIPE, env=environment)
    worker = [*prefix, sys.executable, *worker]
    return subprocess.Popen(worker, stdout=subprocess.PIPE, env=environment, text=True)


def test_two_processes_add_whole_batches(store, directory):
    finish(start(directory, "add", "one"), start(directory, "add", "two"))
    check_whole_batches(store)


def test_two_processes_pop_each_item_once(store, directory):
    store.add_items("s", numbered(*range(100)))
    check_popped_once(finish(start(directory, "pop"), start(directory, "pop")), 100)


def test_writers_that_are_killed_leave_whole_writes(directory):
    (said,) = finish(start(directory, "kill"))
    found = json.loads(said)
    assert found["writes"] >= WRITES
    assert found["kills"] >= 10


def test_a_killed_process_holds_no_lock(make_store, directory):
    store = make_store(timeout=0.1)
    with start(directory, "hold") as process:
        assert process.stdout.readline() == '"held"\n'
        with pytest.raises(StoreUnavailable, match="another writer has locked"):
            store.add_items("s", numbered(1))
        assert store.get_items("s") == []
        process.send_signal(signal.SIGKILL)
        process.wait()
    make_store(timeout=60).add_items("s", numbered(2))
    assert store.get_items("s") == numbered(2)


def test_a_call_that_waits_for_a_lock_can_be_stopped(store, directory):
    with start(directory, "hold") as process:
        assert process.stdout.readline() == '"held"\n'
        call = store.submit(lambda: store.add_items("s", numbered(1)))
        while not call.running():
            time.sleep(0.001)
        call.stop()
        with pytest.raises(StoreUnavailable, match="stopped: cancelled"):
            call.result(120)
        process.kill()
    store.add_items("s", numbered(2))
    assert store.get_items("s") == numbered(2)


def test_a_child_process_has_no_lock_of_its_parent(directory):
    (said,) = finish(start(directory, "fork"))
    assert json.loads(said) == {"while locked": "StoreUnavailable", "items": numbered(1, 2)}


def test_no_file_may_be_larger(directory):
    (said,) = finish(start(directory, "small"))
    found = json.loads(said)
    assert found["written"] > 1
    assert found["whole"]
    assert found["goes_on"]
    assert found["error"].startswith("StoreUnavailable")


NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
"""What a command begins with whose mounts nobody else sees."""


def has_mounts() -> bool:
    """Whether a process here may mount a file system of its own."""
    if shutil.which("unshare") is None:
        return False
    command = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not has_mounts(), reason="no file system can be mounted here")
def test_a_full_disk(directory):
    (said,) = finish(start(directory, "full", prefix=NAMESPACE))
    found = json.loads(said)
    assert found["written"] > 1
    assert "No space left on device" in found["error"]
    assert found["whole"]
    assert found["goes_on"]
    assert found["files"] == ["s.jsonl"]
    assert found["read_only"].keys() == {"add", "pop", "new", "replace", "delete"}
    assert "Read-only file system" in found["read_only"]["add"]


def test_folders_and_files_that_may_only_be_read():
    # Another user has to reach it: root may read and write anything.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        (said,) = finish(start(Path(folder, "sessions"), "read-only"))
    found = json.loads(said)
    assert found["folders"].keys() == {"new", "delete"}
    assert found["files"].keys() == {"add", "pop", "new", "replace", "delete"}
