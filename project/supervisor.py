"""Programs that end with the process that started them, however that process ends.

Each runs below a supervisor, a small process of its own that reads a pipe from the process that
started it. The pipe closes when that process ends, by SIGKILL too; the supervisor then stops the
program.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any

GRACE_SECONDS = 30
"""How long a program may take to stop before it is killed."""

KEEP_FOLDER = b"k"
"""Written to the pipe before it is closed."""


class Supervised(subprocess.Popen[Any]):
    """A program that runs until it ends, ``stop`` is called, or this process has ended.

    ``stop_signal``: what the program is stopped with. ``folder``: removed after the program.
    ``user``: whose program it is. ``is_foreground``: whether Ctrl-C in the terminal reaches it.
    ``grace_seconds``: when it is killed, if it has not stopped. Other options are those of
    ``subprocess.Popen``.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        folder: Path | None = None,
        user: str | None = None,
        is_foreground: bool = False,
        grace_seconds: float = GRACE_SECONDS,
        **options: Any,
    ) -> None:
        ours, self._pipe = os.pipe()
        place = "foreground" if is_foreground else "background"
        given = [ours, grace_seconds, stop_signal.name, folder or "", user or "", place, *command]
        try:
            super().__init__(
                # Without site-packages it starts in a fraction of the time.
                [sys.executable, "-I", "-S", __file__, *map(str, given)],
                pass_fds=(ours,),
                start_new_session=not is_foreground,
                **options,
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(ours)

    def stop(self, *, keep_folder: bool = False) -> int:
        """Stop the program and wait for its end; the exit status."""
        if self._pipe >= 0:
            if keep_folder:
                with suppress(BrokenPipeError):
                    os.write(self._pipe, KEEP_FOLDER)
            os.close(self._pipe)
            self._pipe = -1
        return self.wait()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        super().__exit__(exc_type, value, traceback)


def supervise(
    pipe: int, grace: float, stop_signal: str, folder: str, user: str, place: str, *command: str
) -> int:
    """Run ``command`` until it ends or the pipe closes; its exit status as shells say it."""
    is_foreground = place == "foreground"
    written = b""

    def send(number: int) -> None:
        with suppress(ProcessLookupError):
            (os.kill if is_foreground else os.killpg)(process.pid, number)

    def stop() -> None:
        send(signal.Signals[stop_signal])
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            send(signal.SIGKILL)

    def wait_for_end_of_pipe() -> None:
        nonlocal written
        written = os.read(pipe, 1)
        stop()

    def handle(number: int, frame: object) -> None:
        # From a terminal the program has this signal already.
        if not (is_foreground and number == signal.SIGINT):
            Thread(target=stop, daemon=True).start()

    # Before the program starts, which inherits what is ignored: in the background nothing.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if not (is_foreground and signal.getsignal(number) == signal.SIG_IGN):
            signal.signal(number, handle)
    process = subprocess.Popen(  # noqa: S603  (this project's own commands)
        command, user=user or None, start_new_session=not is_foreground
    )
    Thread(target=wait_for_end_of_pipe, daemon=True).start()
    status = process.wait()
    if not is_foreground:
        send(signal.SIGKILL)  # what the program has left in its group
    if folder and written != KEEP_FOLDER:
        shutil.rmtree(folder, ignore_errors=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    pipe, grace, *given = sys.argv[1:]
    sys.exit(supervise(int(pipe), float(grace), *given))
