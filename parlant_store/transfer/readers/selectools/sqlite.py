"""SQLiteSessionStore of selectools."""

from collections.abc import Iterator

from parlant_store.transfer.readers.base import (
    Reader,
    Unreadable,
    parse_object,
    text_of,
)
from parlant_store.transfer.readers.selectools.memories import memory_record, split_key
from parlant_store.transfer.readers.sqlite_file import open_sqlite, table_names
from parlant_store.transfer.sources import SourceError
from parlant_store.types import SessionRecord


class SelectoolsSQLite(Reader):
    """A file of SQLiteSessionStore."""

    def __init__(self, source: str, *, namespace: str = "") -> None:
        super().__init__(namespace=namespace)
        self._source = source

    def read_sessions(self) -> Iterator[SessionRecord]:
        with open_sqlite(self._source) as connection:
            if "sessions" not in table_names(connection):
                raise SourceError(f"{self._source} has no table sessions")
            rows = connection.execute(
                "SELECT session_id, memory_json, created_at, updated_at FROM sessions"
                " ORDER BY session_id"
            )
            for raw, text, created_at, updated_at in rows:
                try:
                    namespace, session_id = split_key(text_of(raw))
                    memory = parse_object(text, strict=False)
                except Unreadable as exc:
                    self.note(f"session {raw.decode(errors='replace')!r:.200}", exc)
                    continue
                yield memory_record(
                    self,
                    session_id,
                    namespace,
                    memory,
                    created_at=created_at,
                    updated_at=updated_at,
                )
