"""Processes forked from one that has the imports, used as those of ``subprocess``."""

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from signal import SIGKILL, SIGTERM
from subprocess import DEVNULL, PIPE, TimeoutExpired
from threading import Lock, Thread
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "TESTS_PROCESSES"
"""In the environment of these processes: the server's address, for what they start themselves."""
EXECUTABLE, PYTHON = "TESTS_EXECUTABLE", "TESTS_PYTHON"
"""In the environment of some: what sys.executable is in them, and Python's own."""

_starting = Lock()


def server() -> str:
    """The address of the server, which ends with the process that started it."""
    with _starting:
        return os.environ.get(ADDRESS) or _start_server()


@cache
def _start_server() -> str:
    folder = Path(tempfile.mkdtemp(prefix="parlant-store-"))
    address = str(folder / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.processes.server", str(listener.fileno())],
            cwd=ROOT,
            # Parlant makes this folder when it is imported.
            env=os.environ | {"PARLANT_HOME": str(folder / "parlant")},
            pass_fds=(listener.fileno(),),
            stdin=PIPE,
            stdout=DEVNULL,
        )
    # However this process ends, the pipe closes.
    atexit.register(process.communicate)
    return address


class Process:
    """Runs ``python *arguments``: -c, -m or a file, and -W before it.

    Without ``cwd`` it is that of the project, without ``env`` that of this process, as are the
    standard files, of which each may be a file, PIPE or DEVNULL. What goes through pipes is text.
    """

    def __init__(
        self,
        *arguments: str,
        stdin: Any = None,
        stdout: Any = None,
        stderr: Any = None,
        cwd: "str | Path" = ROOT,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.args = arguments
        self.returncode: int | None = None
        environment = dict(os.environ if env is None else env) | {ADDRESS: server()}
        given = {
            "arguments": arguments,
            "folder": str(cwd),
            "environment": environment,
        }
        request = json.dumps(given).encode()
        (stdin, self.stdin), (stdout, self.stdout), (stderr, self.stderr) = (
            opened(given, standard) for standard, given in enumerate((stdin, stdout, stderr))
        )
        self._lock = Lock()
        self._answers = socket.socket(socket.AF_UNIX)
        self._answers.connect(server())
        socket.send_fds(self._answers, [len(request).to_bytes(8)], [stdin, stdout, stderr])
        self._answers.sendall(request)
        for file in (stdin, stdout, stderr):
            os.close(file)
        self._said = b""
        while b"\n" not in self._said:
            self._receive()
        pid, _, self._said = self._said.partition(b"\n")
        self.pid = int(pid)

    def _receive(self) -> None:
        said = self._answers.recv(64)
        if not said:
            raise RuntimeError("the server of processes ended")
        self._said += said

    def poll(self) -> int | None:
        with suppress(TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        end = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = None if end is None else max(0, end - time.monotonic())
            ready = select.select([self._answers], [], [], left)[0]
            if not ready:
                raise TimeoutExpired(self.args, timeout or 0)
            with self._lock:
                if self.returncode is None:
                    self._receive()
                    if self._said.endswith(b"\n"):
                        self.returncode = int(self._said)
                        self._answers.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(SIGTERM)

    def kill(self) -> None:
        self.send_signal(SIGKILL)

    def communicate(
        self, input: str | None = None, timeout: float | None = None
    ) -> tuple[str, str]:
        """Write ``input``, and return what is left of the output and the errors at the end."""
        end = None if timeout is None else time.monotonic() + timeout
        found: dict[Any, str] = {}

        def read(file: IO[str]) -> None:
            with file:
                found[file] = file.read()

        files = [file for file in (self.stdout, self.stderr) if file and not file.closed]
        threads = [Thread(target=read, args=(file,), daemon=True) for file in files]
        for thread in threads:
            thread.start()
        if self.stdin and not self.stdin.closed:
            with suppress(BrokenPipeError), self.stdin:
                self.stdin.write(input or "")
        for thread in threads:
            thread.join(None if end is None else max(0, end - time.monotonic()))
            if thread.is_alive():
                raise TimeoutExpired(self.args, timeout or 0)
        self.wait(None if end is None else max(0, end - time.monotonic()))
        return found.get(self.stdout, ""), found.get(self.stderr, "")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for file in (self.stdout, self.stderr, self.stdin):
            if file:
                with suppress(BrokenPipeError):
                    file.close()
        self.wait()


def forking() -> dict[str, str]:
    """The environment of a process whose sys.executable starts forked processes too."""
    executable = str(Path(__file__).with_name("python"))
    return {ADDRESS: server(), EXECUTABLE: executable, PYTHON: sys.executable}


def opened(given: Any, standard: int) -> tuple[int, IO[str] | None]:
    """The file that the process has, and the other end of a pipe."""
    if given == PIPE:
        reader, writer = os.pipe()
        if standard == 0:
            return reader, os.fdopen(writer, "w")
        return writer, os.fdopen(reader)
    if given == DEVNULL:
        return os.open(os.devnull, os.O_RDWR), None
    if given is None:
        given = standard
    return os.dup(given if isinstance(given, int) else given.fileno()), None


def run(
    *arguments: str, timeout: float | None = None, **options: Any
) -> "subprocess.CompletedProcess[str]":
    """What a process printed that has ended."""
    given = {"stdin": DEVNULL, "stdout": PIPE, "stderr": PIPE}
    with Process(*arguments, **given | options) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(arguments, process.wait(), stdout, stderr)
