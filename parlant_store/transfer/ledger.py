"""What a copy has done, in a temporary database: millions of records need no memory."""

import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import NamedTuple


class Entry(NamedTuple):
    """A record of the source, and what the target has of it."""

    name: str
    """It identifies the record, as JSON text."""

    source: bytes
    """The checksum of the record in the source."""

    target: bytes | None
    """The checksum of the record that was read from the target; None: it was not read since."""

    is_written: bool
    """Whether this copy has written it."""

    items: int = 0
    """The number of items of a session, or of checkpoints of a thread."""


class Totals(NamedTuple):
    """All entries of a kind."""

    records: int
    items: int
    source: str
    """The checksum of all records in the source."""

    target: str
    """That of the same records in the target."""


class Ledger:
    """The entries of each kind, which is "sessions", "threads" or the name of a collection."""

    def __init__(self) -> None:
        # An empty name: a temporary file that SQLite deletes.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute(
            "CREATE TABLE entry (kind TEXT, name TEXT, source BLOB, target BLOB, written INT,"
            " items INT, round INT, PRIMARY KEY (kind, name)) WITHOUT ROWID"
        )

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def get(self, kind: str, name: str) -> Entry | None:
        rows = self._database.execute(
            "SELECT name, source, target, written, items FROM entry WHERE kind = ? AND name = ?",
            (kind, name),
        )
        return next((Entry(*row) for row in rows), None)

    def put(self, kind: str, round_: int, entries: Iterable[Entry]) -> None:
        """Add or replace entries that were seen in this round."""
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " source = excluded.source, target = excluded.target,"
            " written = max(written, excluded.written), items = excluded.items,"
            " round = excluded.round",
            ((kind, *entry, round_) for entry in entries),
        )
        self._database.execute("COMMIT")

    def remove(self, kind: str, name: str) -> None:
        self._database.execute("DELETE FROM entry WHERE kind = ? AND name = ?", (kind, name))

    def written_before(self, kind: str, round_: int) -> list[Entry]:
        """Return what this copy has written, and the source did not have in this round."""
        rows = self._database.execute(
            "SELECT name, source, target, written, items FROM entry"
            " WHERE kind = ? AND written AND round < ?",
            (kind, round_),
        )
        return [Entry(*row) for row in rows]

    def kinds(self) -> list[str]:
        return [kind for (kind,) in self._database.execute("SELECT DISTINCT kind FROM entry")]

    def totals(self, kind: str) -> Totals:
        source, target = sha256(), sha256()
        records = items = 0
        for entry in self._entries(kind):
            records += 1
            items += entry.items
            source.update(entry.source)
            target.update(entry.target or b"")
        return Totals(records, items, source.hexdigest(), target.hexdigest())

    def differences(self, kind: str) -> list[str]:
        """Return the names of the records that are not the same on both sides."""
        return [entry.name for entry in self._entries(kind) if entry.source != entry.target]

    def _entries(self, kind: str) -> Iterator[Entry]:
        rows = self._database.execute(
            "SELECT name, source, target, written, items FROM entry WHERE kind = ? ORDER BY name",
            (kind,),
        )
        return (Entry(*row) for row in rows)
