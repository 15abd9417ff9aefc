"""The process that others are forked from.

    python -m tests.processes.server FD

takes from each connection to a listening socket what Python is to run, and the files that are its
standard input, output and errors. It answers with the process's id, and with its exit status when
it has ended. It ends when its own standard input does.
"""

import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from contextlib import suppress
from importlib import import_module, invalidate_caches
from types import ModuleType
from typing import Any

from tests.processes.client import EXECUTABLE
from tests.processes.imports import import_all


def serve(listener: socket.socket) -> Any:
    """Return in each process that is forked: what it is to run."""
    woken, waker = socket.socketpair()
    for each in (woken, waker):
        each.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno())
    ours = selectors.DefaultSelector()
    for file in (listener, woken, sys.stdin):
        ours.register(file, selectors.EVENT_READ)
    running: dict[int, socket.socket] = {}
    while True:
        ready = {key.fileobj for key, _ in ours.select()}
        if woken in ready:
            woken.recv(4096)
            end_all(running)
        if listener in ready:
            connection = listener.accept()[0]
            given, files = receive(connection)
            process = os.fork()
            if process == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                ours.close()
                for each in (listener, woken, waker, connection, *running.values()):
                    each.close()
                for standard, file in enumerate(files):
                    os.dup2(file, standard)
                    os.close(file)
                return given
            for file in files:
                os.close(file)
            running[process] = connection
            send(connection, process)
        elif sys.stdin in ready:
            shutil.rmtree(os.path.dirname(listener.getsockname()), ignore_errors=True)
            os._exit(0)


def receive(connection: socket.socket) -> tuple[Any, list[int]]:
    size, files, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as rest:
        return json.loads(rest.read(int.from_bytes(size))), files


def send(connection: socket.socket, number: int) -> None:
    # Maybe nobody waits for it any more.
    with suppress(OSError):
        connection.sendall(b"%d\n" % number)


def end_all(running: dict[int, socket.socket]) -> None:
    """Say of each process that has ended how it did."""
    while running:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process == 0:
            return
        with running.pop(process) as connection:
            send(connection, os.waitstatus_to_exitcode(status))


def begin(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Run what ``python *arguments`` would, in this process."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None
    sys.executable = environment.get(EXECUTABLE, sys.executable)
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())  # type: ignore[union-attr]
    while arguments[0] == "-W":
        warnings.simplefilter(arguments[1])  # type: ignore[arg-type]
        arguments = arguments[2:]
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    first = {"-c": "", "-m": folder}.get(arguments[0], os.path.dirname(arguments[0]))
    sys.path[:] = [first, *paths, *(path for path in sys.path if path not in GIVEN)]
    invalidate_caches()
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        # A project may have modules of this name.
        del sys.modules[name]
    with suppress(ImportError):
        import_module("sitecustomize")
    if arguments[0] == "-c":
        sys.argv[:] = ["-c", *arguments[2:]]
        module = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(arguments[1], "<string>", "exec"), module.__dict__)
    elif arguments[0] == "-m":
        sys.argv[:] = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = arguments
        runpy.run_path(arguments[0], run_name="__main__")


GIVEN = {"", os.getcwd(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
"""Entries of the path that each process has of its own."""

if __name__ == "__main__":
    # Ctrl-C is for those who started it, and for what it started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_all()
    assert threading.active_count() == 1, threading.enumerate()
    forked = serve(socket.socket(fileno=int(sys.argv[1])))
    # Also if the tests run in the background of a shell, which ignores Ctrl-C there.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begin(**forked)
