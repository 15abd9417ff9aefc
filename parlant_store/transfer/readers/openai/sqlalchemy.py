"""SQLAlchemySession of the OpenAI Agents SDK."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from parlant_store.transfer.readers.base import Reader
from parlant_store.transfer.readers.openai.records import (
    MESSAGES_TABLE,
    SESSIONS_TABLE,
    session_record,
)
from parlant_store.transfer.readers.openai.sqlite import OpenAISQLite
from parlant_store.transfer.sources import SourceError
from parlant_store.types import SessionRecord

SYNC_DRIVERS = {
    "asyncpg": "postgresql+psycopg",
    "psycopg_async": "postgresql+psycopg",
    "psycopg2": "postgresql+psycopg",
    "aiomysql": "mysql+pymysql",
    "asyncmy": "mysql+pymysql",
}
"""What reads the databases of drivers for asyncio, and of the default one of PostgreSQL."""


class OpenAISQLAlchemy(Reader):
    """The database of a SQLAlchemySession, by the URL of its engine."""

    def __init__(
        self,
        source: str,
        *,
        sessions_table: str = SESSIONS_TABLE,
        messages_table: str = MESSAGES_TABLE,
        namespace: str = "",
    ) -> None:
        super().__init__(namespace=namespace)
        try:
            from sqlalchemy.engine import make_url
            from sqlalchemy.exc import ArgumentError
        except ImportError as exc:
            raise SourceError("openai-sqlalchemy needs the package sqlalchemy") from exc
        try:
            self._url = make_url(source)
        except ArgumentError as exc:
            raise SourceError("SOURCE must be the URL of an engine of SQLAlchemy") from exc
        self._names = {"sessions_table": sessions_table, "messages_table": messages_table}

    def read_sessions(self) -> Iterator[SessionRecord]:
        if self._url.get_backend_name() != "sqlite":
            yield from self._read()
            return
        # Opened without writing anything.
        file = OpenAISQLite(self._url.database or "", **self._names, namespace=self.namespace)
        file.notes = self.notes
        yield from file.read_sessions()

    def _read(self) -> Iterator[SessionRecord]:
        from sqlalchemy import create_engine
        from sqlalchemy.exc import SQLAlchemyError

        driver = self._url.get_driver_name()
        url = self._url.set(drivername=SYNC_DRIVERS.get(driver, self._url.drivername))
        engine = create_engine(url)
        options: dict[str, Any] = {"stream_results": True, "yield_per": 500}
        if engine.dialect.name == "postgresql":
            options["postgresql_readonly"] = True
        try:
            with engine.connect().execution_options(**options) as connection:
                rows = connection.execute(_statement(**self._names))
                for session_id, group in groupby(rows, key=itemgetter(0)):
                    yield self._record(session_id, list(group))
        except (SQLAlchemyError, ImportError) as exc:
            raise SourceError(
                f"{self._url.render_as_string(hide_password=True)} cannot be read: {exc}"
            ) from exc
        finally:
            engine.dispose()

    def _record(self, session_id: str, rows: list[Any]) -> SessionRecord:
        _, created_at, updated_at, *_ = rows[0]
        messages = [(row[3], row[4]) for row in rows if row[5] is not None]
        return session_record(
            self, session_id, messages, created_at=created_at, updated_at=updated_at
        )


def _statement(sessions_table: str, messages_table: str) -> Any:
    """Return the sessions with their messages, also those without the row of their session."""
    from sqlalchemy import column, select, table

    sessions = table(sessions_table, *map(column, ("session_id", "created_at", "updated_at")))
    messages = table(
        messages_table, *map(column, ("id", "session_id", "message_data", "created_at"))
    )
    ids = select(sessions.c.session_id).union(select(messages.c.session_id)).subquery()
    return (
        select(
            ids.c.session_id,
            sessions.c.created_at,
            sessions.c.updated_at,
            messages.c.message_data,
            messages.c.created_at,
            messages.c.id,
        )
        .select_from(ids)
        .outerjoin(sessions, sessions.c.session_id == ids.c.session_id)
        .outerjoin(messages, messages.c.session_id == ids.c.session_id)
        .order_by(ids.c.session_id, messages.c.id)
    )
