"""How far a command is, on one line of a terminal."""

from time import monotonic
from typing import Any

EVERY = 0.1
"""Seconds between two changes of the line, at least."""


class Progress:
    """Shows texts on the same line of ``stream``, if a person watches that."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._is_watched = bool(stream.isatty())
        self._last = 0.0

    def show(self, text: str) -> None:
        if self._is_watched and monotonic() - self._last >= EVERY:
            self._write(f"\r{text}\x1b[K")
            self._last = monotonic()

    def clear(self) -> None:
        """Take the line away."""
        if self._is_watched:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._stream.write(text, ending="")
        self._stream.flush()
