"""The table agent_sessions of custom sessions on PostgreSQL: a row for each message."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from parlant_store.transfer.readers.base import Reader, time_of
from parlant_store.transfer.readers.openai.records import SESSIONS_TABLE
from parlant_store.transfer.readers.tables import PostgreSQLTables, Row, tables_of
from parlant_store.transfer.sources import SourceError
from parlant_store.types import SessionRecord


class PostgresSession(Reader):
    """A table with the columns id, session_id, role, content and created_at."""

    def __init__(
        self,
        source: str,
        *,
        table: str = SESSIONS_TABLE,
        schema: str = "public",
        namespace: str = "",
    ) -> None:
        super().__init__(namespace=namespace)
        self._tables = tables_of(source, schema)
        if not isinstance(self._tables, PostgreSQLTables):
            raise SourceError("SOURCE must be the URL of a database, as postgresql://")
        self._table = table

    def read_sessions(self) -> Iterator[SessionRecord]:
        rows = self._tables.rows(self._table, order="session_id,id")
        for session_id, group in groupby(rows, key=itemgetter("session_id")):
            if session_id is None:
                self.note(f"{sum(1 for _ in group)} rows of {self._table}", "without a session_id")
                continue
            yield self._record(session_id, list(group))

    def _record(self, session_id: str, rows: list[Row]) -> SessionRecord:
        messages = [row for row in rows if self._is_message(row)]
        times = [time for row in messages if (time := time_of(row["created_at"])) is not None]
        is_known = len(times) == len(messages)
        return SessionRecord(
            namespace=self.namespace,
            session_id=session_id,
            items=[{"role": row["role"], "content": row["content"]} for row in messages],
            item_times=times if is_known else None,
            created_at=min(times, default=None),
            updated_at=max(times, default=None),
        )

    def _is_message(self, row: Row) -> bool:
        if isinstance(row["role"], str) and isinstance(row["content"], str):
            return True
        self.note(f"row {row['id']} of session {row['session_id']!r:.200}", "no role or content")
        return False
