"""Files that take their names once they are whole."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from django.core.management.base import CommandError

PRIVATE = 0o600
"""The mode of what only its owner should read."""

USUAL = 0o666
"""The mode of any file, of which the umask takes away."""


@contextmanager
def whole_file(name: str | Path, mode: int) -> Iterator[TextIO]:
    """A file to write; until all is written, what has its name is as it was.

    Raises CommandError where it cannot be written.
    """
    try:
        path = Path(name).resolve()
        unfinished = path.with_name(f".parlant_store.{secrets.token_hex(8)}")
        if not path.parent.is_dir():
            raise NotADirectoryError(f"there is no folder {path.parent}")
        if path.exists() and not path.is_file():
            raise OSError("it is no file")
        descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        try:
            with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as exc:
        raise CommandError(f"{name} cannot be written: {exc.strerror or exc}") from exc
