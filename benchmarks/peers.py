"""The sessions that the OpenAI Agents SDK brings, with the settings of a database that ours has.

On SQLite the SDK's classes set journal_mode=WAL and leave ``synchronous`` at SQLite's default,
FULL; they have no option for it. These set it on each of their connections.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiosqlite
from agents.extensions.memory import AsyncSQLiteSession, SQLAlchemySession
from agents.memory import SQLiteSession
from django.db import connections
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.workloads import Side
from parlant_store import stores

ANSWERS = {"NORMAL": 1, "FULL": 2}
"""What ``PRAGMA synchronous`` answers for each."""

Pragmas = tuple[str, int]
"""What a connection answers to PRAGMA journal_mode and PRAGMA synchronous."""


def ours(alias: str) -> Side:
    from parlant_store.adapters.openai_agents import Session

    return Side(f"ours {alias}", lambda session_id: Session(session_id, store=alias))


@dataclass
class SQLitePeers:
    """The SDK's sessions in files of ``folder``, with one value of ``synchronous``."""

    folder: Path
    synchronous: str
    _shared: dict[tuple[str, str], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._file_class = _file_session(self.synchronous)
        self._async_class = _async_session(self.synchronous)
        self.engine = create_async_engine(f"sqlite+aiosqlite:///{self.path('alchemy')}")
        # Before SQLAlchemySession's own listener, which sets journal_mode and a timeout.
        event.listen(self.engine.sync_engine, "connect", self._on_connect)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}-{self.synchronous.lower()}.sqlite3"

    def _on_connect(self, connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA synchronous={self.synchronous}")
        cursor.close()

    def new_file_session(self, session_id: str) -> Any:
        return self._file_class(session_id, self.path("file"))

    def file_session(self, session_id: str) -> Any:
        return self._share("file", session_id, self.new_file_session)

    def async_session(self, session_id: str) -> Any:
        return self._share(
            "async", session_id, lambda name: self._async_class(name, self.path("async"))
        )

    def alchemy_session(self, session_id: str) -> Any:
        return self._share("alchemy", session_id, lambda name: alchemy_session(name, self.engine))

    def _share(self, kind: str, session_id: str, make: Callable[[str], Any]) -> Any:
        """The one object that all tasks use for a session, with its connections."""
        key = (kind, session_id)
        if key not in self._shared:
            self._shared[key] = make(session_id)
        return self._shared[key]

    async def verify(self, alias: str) -> None:
        """Raise AssertionError unless they and our store ``alias`` have the same durability."""
        wanted = ("wal", ANSWERS[self.synchronous])
        found = {
            f"the store {alias!r}": await our_pragmas(alias),
            "SQLiteSession": await self._file_pragmas(),
            "AsyncSQLiteSession": await self._async_pragmas(),
            "SQLAlchemySession": await self._alchemy_pragmas(),
        }
        for who, pragmas in found.items():
            assert pragmas == wanted, f"{who} has {pragmas}, where {wanted} is compared"

    async def _file_pragmas(self) -> Pragmas:
        session = self.file_session("pragmas")
        await session.get_items(1)

        def read() -> Pragmas:
            execute = session._get_connection().execute
            return _pragmas(lambda sql: execute(sql).fetchone()[0])

        return await asyncio.to_thread(read)

    async def _async_pragmas(self) -> Pragmas:
        session = self.async_session("pragmas")
        await session.get_items(1)
        answers = {}
        for pragma in ("journal_mode", "synchronous"):
            async with session._connection.execute(f"PRAGMA {pragma}") as cursor:
                answers[pragma] = (await cursor.fetchone())[0]
        return answers["journal_mode"], answers["synchronous"]

    async def _alchemy_pragmas(self) -> Pragmas:
        await self.alchemy_session("pragmas").get_items(1)
        async with self.engine.connect() as connection:
            mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar()
            value = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar()
        assert isinstance(mode, str)
        assert isinstance(value, int)
        return mode, value

    async def close(self) -> None:
        for session in self._shared.values():
            if isinstance(session, AsyncSQLiteSession):
                await session.close()
            elif isinstance(session, SQLiteSession):
                session.close()
        self._shared.clear()
        await self.engine.dispose()


def _file_session(synchronous: str) -> type[SQLiteSession]:
    class DurableSQLiteSession(SQLiteSession):
        @staticmethod
        def _configure_connection(conn: Any) -> None:
            SQLiteSession._configure_connection(conn)
            conn.execute(f"PRAGMA synchronous={synchronous}")

    return DurableSQLiteSession


def _async_session(synchronous: str) -> type[AsyncSQLiteSession]:
    class DurableAsyncSQLiteSession(AsyncSQLiteSession):
        @staticmethod
        async def _configure_connection(conn: aiosqlite.Connection) -> None:
            await AsyncSQLiteSession._configure_connection(conn)
            await (await conn.execute(f"PRAGMA synchronous={synchronous}")).close()

    return DurableAsyncSQLiteSession


def alchemy_session(session_id: str, engine: AsyncEngine) -> Any:
    return SQLAlchemySession(session_id, engine=engine, create_tables=True)


async def our_pragmas(alias: str) -> Pragmas:
    """What the connection answers that the store's own thread has."""
    store: Any = stores[alias]

    def read() -> Pragmas:
        with connections[store.using].cursor() as cursor:
            return _pragmas(lambda sql: cursor.execute(sql).fetchone()[0])

    return await asyncio.wrap_future(store.submit(read))


def _pragmas(ask: Callable[[str], Any]) -> Pragmas:
    return ask("PRAGMA journal_mode"), ask("PRAGMA synchronous")


def direct_engine(url: str) -> AsyncEngine:
    """SQLAlchemy's engine as its documentation makes one."""
    return create_async_engine(url)


def pooler_engine(url: str) -> AsyncEngine:
    """What asyncpg needs behind a pooler in transaction mode: no statement has a name."""
    return create_async_engine(
        url,
        connect_args={
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,
        },
    )


def pool_engine(url: str, size: int) -> AsyncEngine:
    """An engine with a pool of ``size`` connections and none beside them."""
    return create_async_engine(url, pool_size=size, max_overflow=0)


async def with_engine(
    engine: AsyncEngine, name: str, rows: Callable[[Side], Awaitable[None]]
) -> None:
    """Run ``rows`` with sessions on ``engine``, and let its connections go."""
    shared: dict[str, Any] = {}

    def make(session_id: str) -> Any:
        if session_id not in shared:
            shared[session_id] = alchemy_session(session_id, engine)
        return shared[session_id]

    try:
        await rows(Side(name, make))
    finally:
        await engine.dispose()
