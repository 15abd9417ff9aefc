"""Files that hold what only their owner should read."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from django.core.management.base import CommandError


@contextmanager
def private_file(name: str) -> Iterator[TextIO]:
    """A file to write, of mode 0600, which takes its name once all is written.

    Raises CommandError where it cannot be written.
    """
    path = Path(name).resolve()
    unfinished = path.with_name(f".parlant_store.{secrets.token_hex(8)}")
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is no file")
        descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
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
