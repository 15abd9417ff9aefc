"""Statements that read and write whole sessions and documents."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import (
    columns,
    decode_items,
    decode_state,
    name_of,
    owner_of,
    parent_of,
)
from parlant_store.backends.contract.operations import (
    ReadDocuments,
    WriteDocuments,
    WriteSessions,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.sessions import LIVE, Time, aware
from parlant_store.backends.orm.database.statements import Row, fetch
from parlant_store.backends.record_history import history_of
from parlant_store.content import codec
from parlant_store.types import DocumentRecord, SessionRecord

# The first row of each session is that of the session, the others are its items.
_READ = f"""
WITH name (namespace, session_id) AS ({{names}}),
session AS (
    SELECT s.* FROM name JOIN parlant_store_session s
        ON s.namespace = name.namespace AND s.session_id = name.session_id
    WHERE {LIVE}
)
SELECT key, -1 AS place, namespace, session_id, full_names, user_id, CAST(metadata AS text),
    CAST(state AS text), {{created_at}}, {{updated_at}}, {{expires_at}}, CAST(usage AS text),
    next_turn, parent_id, parent_name, parent_position FROM session
UNION ALL
SELECT i.session_key, i.position, i.data, NULL, NULL, NULL, NULL, NULL, {{item_time}}, NULL, NULL,
    CAST(i.usage AS text), NULL, NULL, NULL, NULL
FROM {{items}} WHERE i.session_key = session.key
ORDER BY 1, 2
"""


class Records(ABC):
    """Whole sessions and documents, for one kind of database."""

    names: str
    """A statement that returns the names of sessions in its parameters."""

    items: str
    """A join of ``session`` with its items as i, by their index and never by all of them."""

    time = "{}"
    """How a time is read."""

    ids: str
    """A condition that the id is one of those in its parameter."""

    def read_sessions(
        self, connection: BaseDatabaseWrapper, names: list[SessionName], time: Time
    ) -> list[SessionRecord]:
        params = (*self.name_params([columns(name) for name in names]), time.now)
        times = {
            name: self.time.format(name) for name in ("created_at", "updated_at", "expires_at")
        }
        item_time = self.time.format("i.created_at")
        sql = _READ.format(names=self.names, items=self.items, item_time=item_time, **times)
        rows = fetch(connection, sql, params, prepare=None, binary=True)
        sessions = groupby(rows, key=itemgetter(0))
        return [_session(connection, next(group), list(group)) for _, group in sessions]

    def read_documents(
        self, connection: BaseDatabaseWrapper, read: ReadDocuments, time: Time
    ) -> list[DocumentRecord]:
        if read.ids is None:
            condition, params = "key > %s", [read.after]
        else:
            condition, params = self.ids, self.id_params(list(map(codec.to_column, read.ids)))
        sql = (
            "SELECT key, data, updated_at, expires_at FROM parlant_store_document"
            f" WHERE collection = %s AND {condition} AND {LIVE} ORDER BY key LIMIT %s"
        )
        all_params = (codec.to_column(read.collection), *params, time.now, read.limit)
        rows = fetch(connection, sql, all_params, prepare=None)
        return list(_documents(connection, rows))

    @abstractmethod
    def name_params(self, names: list[tuple[str, str]]) -> tuple[Any, ...]:
        """Return the parameters of ``names``."""

    @abstractmethod
    def id_params(self, ids: list[str]) -> list[Any]:
        """Return the parameters of ``ids``."""

    @abstractmethod
    def write_sessions(
        self, connection: BaseDatabaseWrapper, operation: WriteSessions, time: Time
    ) -> list[bool]: ...

    @abstractmethod
    def write_documents(
        self, connection: BaseDatabaseWrapper, operation: WriteDocuments, time: Time
    ) -> list[bool]: ...


def _session(connection: BaseDatabaseWrapper, row: Row, item_rows: list[Row]) -> SessionRecord:
    _, _, namespace, session_id, full, user_id, metadata, state, *others = row
    name = name_of(namespace, session_id, full)
    created_at, updated_at, expires_at = (_time(connection, time) for time in others[:3])
    usage, last_turn, parent_id, parent_name, parent_position = others[3:]
    items = decode_items([item[2] for item in item_rows], name)
    texts = [row[8] for item, row in zip(items, item_rows, strict=True) if item is not None]
    # Items that were written together have the same time.
    known = {text: _time(connection, text) for text in set(texts)}
    item_times = [known[text] for text in texts]
    readable = [item for item in items if item is not None]
    return SessionRecord(
        namespace=name.namespace,
        session_id=name.session_id,
        user_id=owner_of(user_id, full),
        items=readable,
        item_times=item_times,
        state=decode_state(state, name),
        metadata=codec.decode_document(metadata),
        created_at=created_at,
        updated_at=updated_at,
        expires_at=expires_at,
        history=history_of(
            items,
            [item_row[11] for item_row in item_rows],
            last_turn=last_turn,
            usage=usage,
            parent_id=parent_of(parent_id, parent_name),
            parent_position=parent_position,
        ),
        damaged_items=len(items) - len(readable),
    )


def _documents(connection: BaseDatabaseWrapper, rows: list[Row]) -> Iterator[DocumentRecord]:
    documents = codec.decode_documents([row[1] for row in rows])
    for (key, _, updated_at, expires_at), document in zip(rows, documents, strict=True):
        yield DocumentRecord(
            document=document,
            updated_at=aware(connection, updated_at),
            expires_at=aware(connection, expires_at),
            key=key,
        )


def _time(connection: BaseDatabaseWrapper, time: Any) -> Any:
    return aware(connection, datetime.fromisoformat(time) if isinstance(time, str) else time)
