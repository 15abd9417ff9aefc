"""SQLiteSession and AdvancedSQLiteSession of the OpenAI Agents SDK."""

import sqlite3
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from parlant_store.content.usage import StoredUsage, parse_usage
from parlant_store.exceptions import InvalidInput
from parlant_store.transfer.readers.base import (
    Reader,
    Unreadable,
    parse,
    text_of,
    time_of,
)
from parlant_store.transfer.readers.openai.records import (
    MESSAGES_TABLE,
    SESSIONS_TABLE,
    session_record,
)
from parlant_store.transfer.readers.openai.turn_usage import TurnUsage
from parlant_store.transfer.readers.sqlite_file import open_sqlite, quoted, table_names
from parlant_store.transfer.sources import SourceError
from parlant_store.types import JSONObject, SessionRecord

MAIN = "main"
"""The branch of AdvancedSQLiteSession that a session has at first."""

_USAGE = (
    "requests",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "input_tokens_details",
    "output_tokens_details",
)


class OpenAISQLite(Reader):
    """A file of SQLiteSession.

    The branches of AdvancedSQLiteSession become sessions ``id/branch``, "main" the session itself.
    Their metadata has the usage of each turn as it was stored, as "turn_usage", and the name of the
    branch.
    """

    def __init__(
        self,
        source: str,
        *,
        sessions_table: str = SESSIONS_TABLE,
        messages_table: str = MESSAGES_TABLE,
        namespace: str = "",
    ) -> None:
        super().__init__(namespace=namespace)
        self._source = source
        self._sessions_table = sessions_table
        self._messages_table = messages_table

    def read_sessions(self) -> Iterator[SessionRecord]:
        with open_sqlite(self._source) as connection:
            names = table_names(connection)
            for table in (self._sessions_table, self._messages_table):
                if table not in names:
                    raise SourceError(
                        f"{self._source} has no table {table}; it has "
                        + (", ".join(sorted(names)) or "none")
                    )
            is_advanced = "message_structure" in names
            yield from self._plain(connection, is_advanced)
            if is_advanced:
                yield from self._branches(connection, "turn_usage" in names)

    def _plain(self, connection: sqlite3.Connection, is_advanced: bool) -> Iterator[SessionRecord]:
        """Return sessions without branches."""
        sessions, messages = map(quoted, (self._sessions_table, self._messages_table))
        condition = "TRUE"
        if is_advanced:
            condition = "session_id NOT IN (SELECT session_id FROM message_structure)"
        # Also messages without the row of their session, which the SDK reads.
        rows = connection.execute(
            "SELECT session_id, s.created_at, s.updated_at, m.message_data, m.created_at, m.id"
            f" FROM (SELECT session_id FROM {sessions} UNION SELECT session_id FROM {messages})"
            f" LEFT JOIN {sessions} s USING (session_id) LEFT JOIN {messages} m USING (session_id)"
            f" WHERE {condition} ORDER BY session_id, m.id"
        )
        for raw, group in groupby(rows, key=itemgetter(0)):
            record = self._record(raw, list(group))
            if record is not None:
                yield record

    def _branches(self, connection: sqlite3.Connection, has_usage: bool) -> Iterator[SessionRecord]:
        sessions, messages = map(quoted, (self._sessions_table, self._messages_table))
        rows = connection.execute(
            "SELECT b.session_id, s.created_at, s.updated_at, m.message_data, m.created_at, m.id,"
            " b.branch_id, b.user_turn_number FROM message_structure b"
            f" JOIN {messages} m ON m.id = b.message_id"
            f" LEFT JOIN {sessions} s ON s.session_id = b.session_id"
            " ORDER BY b.session_id, b.branch_id, b.sequence_number"
        )
        for (raw, raw_branch), group in groupby(rows, key=itemgetter(0, 6)):
            usage = self._usage(connection, raw, raw_branch) if has_usage else None
            record = self._branch(raw, raw_branch.decode(errors="replace"), list(group), usage)
            if record is not None:
                yield record

    def _branch(
        self, raw: bytes, branch: str, rows: list[Any], usage: list[JSONObject] | None
    ) -> SessionRecord | None:
        metadata: JSONObject = {"turn_usage": usage} if usage else {}
        if branch != MAIN:
            metadata |= {"branch": branch, "branch_of": raw.decode(errors="replace")}
        suffix = "" if branch == MAIN else f"/{branch}"
        turn_usage = None
        if usage is not None:
            counts = self._counts(raw.decode(errors="replace") + suffix, usage)
            turn_usage = TurnUsage([row[7] for row in rows], counts)
        return self._record(raw, rows, suffix, metadata, turn_usage)

    def _record(
        self,
        raw: object,
        rows: list[Any],
        suffix: str = "",
        metadata: JSONObject | None = None,
        turn_usage: TurnUsage | None = None,
    ) -> SessionRecord | None:
        try:
            session_id = text_of(raw) + suffix
        except Unreadable as exc:
            self.note(f"session {raw!r}", exc)
            return None
        _, created_at, updated_at, *_ = rows[0]
        messages = [(row[3], row[4]) for row in rows if row[5] is not None]
        return session_record(
            self,
            session_id,
            messages,
            created_at=created_at,
            updated_at=updated_at,
            metadata=metadata or {},
            turn_usage=turn_usage,
        )

    def _usage(
        self, connection: sqlite3.Connection, session_id: bytes, branch: bytes
    ) -> list[JSONObject]:
        """Return the usage of each turn of a branch."""
        rows = connection.execute(
            f"SELECT user_turn_number, created_at, {', '.join(_USAGE)} FROM turn_usage"
            " WHERE session_id = CAST(? AS text) AND branch_id = CAST(? AS text)"
            " ORDER BY user_turn_number",
            (session_id, branch),
        )
        return [
            {
                "turn": turn,
                "created_at": None if (time := time_of(created)) is None else time.isoformat(),
                **{name: _value(value) for name, value in zip(_USAGE, values, strict=True)},
            }
            for turn, created, *values in rows
        ]

    def _counts(self, session_id: str, usage: list[JSONObject]) -> dict[object, StoredUsage]:
        """Return the result of ``_usage`` by turn, as stores have it."""
        counts: dict[object, StoredUsage] = {}
        for row in usage:
            known = {name: row[name] for name in _USAGE if row[name] is not None}
            try:
                counts[row["turn"]] = parse_usage(known)
            except InvalidInput as exc:
                self.note(f"usage of turn {row['turn']!r} of session {session_id!r:.200}", exc)
        return counts


def _value(value: object) -> object:
    """Return a column of the usage: a number, or the value of a JSON text."""
    if not isinstance(value, bytes):
        return value
    try:
        return parse(value)
    except Unreadable:
        return value.decode(errors="replace")
