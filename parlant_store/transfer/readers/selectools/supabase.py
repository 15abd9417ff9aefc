"""SupabaseSessionStore of selectools."""

from collections.abc import Iterator

from parlant_store.transfer.readers.base import Reader
from parlant_store.transfer.readers.selectools.memories import memory_record, split_key
from parlant_store.transfer.readers.tables import tables_of
from parlant_store.types import SessionRecord


class SelectoolsSupabase(Reader):
    """The table of SupabaseSessionStore, in a Supabase project or a database."""

    def __init__(
        self,
        source: str,
        *,
        table: str = "selectools_sessions",
        schema: str = "public",
        namespace: str = "",
    ) -> None:
        super().__init__(namespace=namespace)
        self._tables = tables_of(source, schema)
        self._table = table

    def read_sessions(self) -> Iterator[SessionRecord]:
        for row in self._tables.rows(self._table, order="session_id"):
            memory = row["memory_json"]
            if not isinstance(memory, dict):
                self.note(f"session {row['session_id']!r:.200}", "its memory is no JSON object")
                continue
            namespace, session_id = split_key(row["session_id"])
            yield memory_record(
                self,
                session_id,
                namespace,
                memory,
                created_at=row["created_at"],
                updated_at=row["updated_at"],
            )
