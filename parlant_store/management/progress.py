"""The progress of a command, on one line of a terminal."""

from time import monotonic
from typing import Any

MIN_INTERVAL = 0.1
"""The shortest time between two updates of the line, in seconds."""


class Progress:
    """Shows texts on the same line of ``stream``, if that is a terminal."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._is_terminal = bool(stream.isatty())
        self._updated = 0.0

    def show(self, text: str) -> None:
        if self._is_terminal and monotonic() - self._updated >= MIN_INTERVAL:
            self._write(f"\r{text}\x1b[K")
            self._updated = monotonic()

    def clear(self) -> None:
        """Clear the line."""
        if self._is_terminal:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._stream.write(text, ending="")
        self._stream.flush()
