"""Servers end with the process that started them, however that process ends."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from project.supervisor import Supervised

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_SECONDS = 120
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL]

SERVER = """
from tests.servers.postgresql import postgresql
with postgresql() as server:
    print(server.folder, flush=True)
    input()
"""
PROGRAM = """
import sys, tempfile
from pathlib import Path
from project.supervisor import Supervised
folder = Path(tempfile.mkdtemp())
child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1); input()'])"
with Supervised([sys.executable, "-c", child], folder=folder):
    print(folder, flush=True)
    input()
"""


@contextmanager
def started(*command: str) -> Iterator["subprocess.Popen[str]"]:
    """A process whose standard input stays open."""
    options = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    # A child inherits ignored signals, as shells and nohup set them for the background.
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    }
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, text=True, **options
    ) as process:
        for number, handler in before.items():
            signal.signal(number, handler)
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def programs(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Whatever it and its descendants have started."""
    return psutil.Process(process.pid).children(recursive=True)


def commands(running: list[psutil.Process]) -> str:
    """Their command lines; of one that is over, nothing.

    Between its fork and its exec a process has its parent's: wait for the one that you expect.
    """
    found = []
    for each in running:
        with suppress(psutil.Error):
            found.append(" ".join(each.cmdline()))
    return "\n".join(found)


def is_over(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def check_they_end(running: list[psutil.Process]) -> None:
    wait_for(lambda: all(map(is_over, running)))


@pytest.mark.parametrize("number", SIGNALS)
def test_postgresql_ends_and_its_data_are_gone(number):
    with started("-c", SERVER) as process:
        folder = Path(process.stdout.readline().strip())
        assert Path(folder, "data", "PG_VERSION").exists()
        wait_for(lambda: "postgres" in commands(programs(process)))
        running = programs(process)
        process.send_signal(number)
        process.wait(TIMEOUT_SECONDS)
        check_they_end(running)
        wait_for(lambda: not folder.exists())


def test_postgresql_is_killed_while_it_starts():
    with started("-c", SERVER) as process:
        wait_for(lambda: "initdb" in commands(programs(process)))
        running = programs(process)
        folders = set(re.findall(r"/\S*parlant-store-\w+", commands(running)))
        assert len(folders) == 1
        process.kill()
        check_they_end(running)
        wait_for(lambda: not Path(*folders).exists())


@pytest.mark.parametrize("number", SIGNALS)
def test_a_program_ends_with_what_it_has_started(number):
    with started("-c", PROGRAM) as process:
        folder = Path(process.stdout.readline().strip())
        wait_for(lambda: len(programs(process)) == 3)
        running = programs(process)
        process.send_signal(number)
        process.wait(TIMEOUT_SECONDS)
        check_they_end(running)
        wait_for(lambda: not folder.exists())


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_on_a_server_ends_with_it(number):
    command = [sys.executable, "-c", "print('begun', flush=True); input()"]
    with started("-m", "tests.servers.postgresql", *command) as process:
        assert process.stdout.readline() == "begun\n"
        running = programs(process)
        process.send_signal(number)
        process.wait(TIMEOUT_SECONDS)
        check_they_end(running)


def test_the_exit_status_is_the_commands():
    for code, status in (("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)):
        with Supervised([sys.executable, "-c", code]) as process:
            assert process.wait() == status


def test_the_command_is_killed_when_it_does_not_stop():
    code = "import signal; signal.signal(15, signal.SIG_IGN); print('begun', flush=True); input()"
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code]
    with Supervised(command, grace_seconds=0.1, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        assert process.stop() == 128 + signal.SIGKILL


def test_a_folder_is_kept_for_another_start(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    process = Supervised(["/bin/cat"], folder=folder, stdin=subprocess.PIPE)
    process.stop(keep_folder=True)
    process.stdin.close()
    assert folder.exists()
    with Supervised(["/bin/cat"], folder=folder, stdin=subprocess.PIPE):
        pass
    assert not folder.exists()
