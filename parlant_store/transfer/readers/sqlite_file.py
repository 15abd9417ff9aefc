"""Databases of SQLite, opened without writing anything, and without leaving files beside them."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from parlant_store.transfer.sources import SourceError

_WAL_VERSION = b"\x02\x02"
"""Two bytes of the header of a database with a write-ahead log."""


@contextmanager
def open_sqlite(name: str) -> Iterator[sqlite3.Connection]:
    """Open the database; its texts are bytes. Raise SourceError if it cannot be read."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise SourceError(f"there is no file {name}")
    with _readable(path) as uri:
        try:
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                connection.text_factory = bytes
                connection.execute("BEGIN")
                yield connection
        except sqlite3.Error as exc:
            raise SourceError(f"{name} cannot be read as a database of SQLite: {exc}") from exc


def table_names(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    return {name.decode(errors="replace") for (name,) in rows}


def column_names(connection: sqlite3.Connection, table: str) -> set[str]:
    """Return the names of the columns of a table; none if there is no such table."""
    rows = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return {name.decode(errors="replace") for (name,) in rows}


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _readable(path: Path) -> Iterator[str]:
    """Return a URI for reading.

    A reader of a database with a write-ahead log creates files beside it, unless they exist because
    others use it, or unless it may assume that nobody writes. After a crash only the log exists,
    which a copy of both restores.
    """
    log, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    if _has_log(path) and not index.exists():
        if log.exists() and log.stat().st_size:
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder, "copy")
                shutil.copyfile(path, copy)
                shutil.copyfile(log, f"{copy}-wal")
                yield _uri(copy, "mode=rw")
            return
        yield _uri(path, "mode=ro&immutable=1")
        return
    yield _uri(path, "mode=ro")


def _has_log(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(20)[18:20] == _WAL_VERSION


def _uri(path: Path, options: str) -> str:
    return f"file:{quote(str(path.resolve()))}?{options}"
