"""Runs ``python ARGUMENTS`` in a process that is forked, as which it behaves.

It is sys.executable in processes with the environment of tests.processes.forking.
"""

import os
import signal
import sys
from contextlib import suppress

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main() -> int:
    if sys.argv[1].startswith("-I"):
        # A supervisor, whose files and process group are its own.
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    sys.path.insert(0, ROOT)
    from tests.processes.client import Process

    process = Process(*sys.argv[1:], cwd=os.getcwd())

    def send(number: int, frame: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, send)
    status = process.wait()
    if status < 0:
        with suppress(OSError):  # SIGKILL has no other
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    sys.exit(main())
