"""A file that replaces another one once it is complete."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from django.core.management.base import CommandError

PRIVATE_MODE = 0o600
"""The mode of a file that only its owner may read."""

DEFAULT_MODE = 0o666
"""The mode of any other file, before the umask."""


@contextmanager
def atomic_file(name: str | Path, mode: int) -> Iterator[TextIO]:
    """Open a temporary file that replaces ``name`` at the end.

    After an error, ``name`` is unchanged. Raises CommandError if it cannot be written.
    """
    try:
        path = Path(name).resolve()
        temporary = path.with_name(f".parlant_store.{secrets.token_hex(8)}")
        if not path.parent.is_dir():
            raise NotADirectoryError(f"there is no folder {path.parent}")
        if path.exists() and not path.is_file():
            raise OSError("it is no file")
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        try:
            with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
                yield file
                file.flush()
                os.fsync(descriptor)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as exc:
        raise CommandError(f"{name} cannot be written: {exc.strerror or exc}") from exc
