"""The store in a directory of files."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from parlant_store.backends.base import check_seconds
from parlant_store.backends.jsonfile.expiry import JsonFileExpiry
from parlant_store.backends.jsonfile.files.directory import Directory
from parlant_store.backends.jsonfile.files.session_files import SessionFiles
from parlant_store.backends.jsonfile.history import JsonFileHistory
from parlant_store.backends.jsonfile.records import JsonFileRecords
from parlant_store.backends.jsonfile.search import JsonFileSearch

TIMEOUT = 30.0
"""The default of the option ``timeout``."""

OTHERS = 0o077
"""The permissions of users other than the owner."""


class JsonFileBackend(JsonFileHistory, JsonFileRecords, JsonFileSearch, JsonFileExpiry):
    """Sessions in a directory: a folder for each namespace, a file of JSON lines for each session.

    A write appends to the file, under a lock of the operating system, and is done when it is on
    disk. Documents are not supported.
    """

    supports_documents = False

    def __init__(
        self,
        alias: str,
        *,
        directory: str | os.PathLike[str] | None = None,
        fsync: bool = True,
        timeout: float = TIMEOUT,
        **options: Any,
    ) -> None:
        """
        directory: the path of the directory, which is created if there is none.
        fsync: whether a write waits until it is on disk. Without it, a crash of the machine may
            undo writes.
        timeout: how many seconds a write waits for another one of the same session.

        Raise ImproperlyConfigured if an option is wrong.
        """
        super().__init__(alias, **options)
        seconds = check_seconds(timeout, "timeout", alias)
        error = _option_error(directory, fsync, seconds)
        if error is not None:
            raise ImproperlyConfigured(f"the store {alias!r} {error}")
        path = Path(os.path.abspath(os.fspath(directory)))  # type: ignore[arg-type]
        self.directory = path
        self.files = SessionFiles(Directory(path, fsync=fsync), seconds or TIMEOUT)

    def check(self) -> list[CheckMessage]:
        path, where = self.directory, f"the directory {str(self.directory)!r}"
        if not path.exists():
            return []
        if not path.is_dir():
            return [
                Error(
                    f"{where} of the store {self.alias!r} is no directory.", id="parlant_store.E006"
                )
            ]
        if path.stat().st_mode & OTHERS:
            return [
                Warning(
                    f"{where} of the store {self.alias!r} is open to other users, who see the "
                    "ids of sessions in the names of its files.",
                    hint=f"Run chmod 700 {path}",
                    id="parlant_store.W021",
                )
            ]
        return []


def _option_error(directory: object, fsync: object, timeout: float | None) -> str | None:
    """Return the end of an error message about the store, or None."""
    if not isinstance(directory, (str, os.PathLike)) or not os.fspath(directory):
        return f"needs a directory, the path of its files, not {directory!r}"
    if "\0" in str(os.fspath(directory)):
        return "has a directory with a NUL character"
    if not isinstance(fsync, bool):
        return f"has fsync {fsync!r}; it must be True or False"
    if timeout is None:
        return "has timeout None; it must be a number of seconds above 0"
    if os.open not in os.supports_dir_fd or not hasattr(os, "O_NOFOLLOW"):
        return "needs Linux, macOS or another POSIX system"
    if find_spec("portalocker") is None:
        return "needs the package portalocker: pip install 'django-parlant-store[files]'"
    return None
