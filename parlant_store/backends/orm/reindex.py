"""Computes the columns of stored rows again, of rows that an older version has written.

A step reads rows in the order of their keys, and changes those whose columns differ.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import NOT_SEARCHED, searched_columns
from parlant_store.backends.orm.database.statements import Row, fetch
from parlant_store.backends.orm.postgresql.arrays import array
from parlant_store.backends.orm.references.deletion import lock_rows, select_locked, writing
from parlant_store.content import codec
from parlant_store.content.events import is_searched
from parlant_store.content.items import batch
from parlant_store.content.related_documents import SESSIONS
from parlant_store.content.text_search import stored_words, tsvector
from parlant_store.exceptions import InvalidItem
from parlant_store.sql.triggers import COUNT_SESSIONS
from parlant_store.sql.turns import NUMBER_TURNS

_ITEM_TYPES = ("text", "text", "tsvector", "bigint", "smallint")
_ITEM_COLUMNS = ("role", "text", "terms", "tokens", "failed_calls")
_DOCUMENT_TYPES = ("tsvector", "bigint")
_DOCUMENT_COLUMNS = ("terms", "failed_calls")


# Results of tools open no turn.
_NO_TURN = (
    "UPDATE parlant_store_session_item SET turn = NULL"
    " WHERE key > %s AND key <= %s AND turn IS NOT NULL AND role <> 'user' RETURNING key"
)


class Step(NamedTuple):
    """The result of a step."""

    after: int | None
    """The key after which the next step starts; None after the last one."""

    rows: int
    """The number of rows that it read."""

    changed: int
    """The number of rows that it changed."""


class _Totals(NamedTuple):
    tokens: int = 0
    failed_calls: int = 0


def reindex_items(connection: BaseDatabaseWrapper, after: int, limit: int) -> Step:
    """Compute the columns of the items after the key ``after``, and the sums of their sessions."""
    from parlant_store.models import Session

    with writing(connection):
        for statement in () if after else NUMBER_TURNS:
            fetch(connection, f"{statement} RETURNING 1", prepare=None)
        sql = (
            "SELECT key, session_key FROM parlant_store_session_item WHERE key > %s"
            " ORDER BY key LIMIT %s"
        )
        keys = fetch(connection, sql, (after, limit))
        if not keys:
            return Step(None, 0, 0)
        # Writers lock the session first.
        lock_rows(connection, Session, {session for _, session in keys})
        sql = (
            "SELECT key, session_key, data, COALESCE(tokens, 0), COALESCE(failed_calls, 0)"
            " FROM parlant_store_session_item WHERE key > %s AND key <= %s ORDER BY key"
        )
        last = keys[-1][0]
        rows = fetch(connection, sql, (after, last), prepare=None)
        new = dict(_item_columns(connection, rows))
        table = "parlant_store_session_item"
        changed = _update(connection, table, _ITEM_COLUMNS, _ITEM_TYPES, new)
        _add_to_sessions(connection, rows, new, changed)
        fetch(connection, _NO_TURN, (after, last))
        return Step(last if len(keys) == limit else None, len(keys), len(changed))


def reindex_documents(connection: BaseDatabaseWrapper, after: int, limit: int) -> Step:
    """Compute the columns of the documents after the key ``after``."""
    with writing(connection):
        if not after:
            fetch(connection, COUNT_SESSIONS[connection.vendor])
        sql = (
            "SELECT key, collection FROM parlant_store_document WHERE key > %s"
            " ORDER BY key LIMIT %s"
        )
        keys = fetch(connection, sql, (after, limit))
        eligible = [key for key, collection in keys if is_searched(collection)]
        changed: list[int] = []
        if eligible:
            marks = ", ".join(["%s"] * len(eligible))
            sql = (
                "SELECT key, collection, CAST(data AS text), failed_calls"
                f" FROM parlant_store_document WHERE key IN ({marks}) ORDER BY key"
            )
            rows = select_locked(connection, sql, eligible)
            new = dict(_document_columns(connection, rows))
            table = "parlant_store_document"
            changed = _update(connection, table, _DOCUMENT_COLUMNS, _DOCUMENT_TYPES, new)
        return Step(keys[-1][0] if len(keys) == limit else None, len(keys), len(changed))


def _item_columns(
    connection: BaseDatabaseWrapper, rows: Sequence[Row]
) -> Iterator[tuple[int, Row]]:
    for key, _, data, *_ in rows:
        try:
            (item,) = [json.loads(data)]
            columns = batch([item])
        except (ValueError, RecursionError, InvalidItem):
            continue
        terms = columns.tsvectors() if _is_postgresql(connection) else columns.stored_words()
        (values,) = zip(
            *(columns.roles, columns.texts, terms, columns.tokens, columns.failed), strict=True
        )
        yield key, values


def _document_columns(
    connection: BaseDatabaseWrapper, rows: Sequence[Row]
) -> Iterator[tuple[int, Row]]:
    stored = tsvector if _is_postgresql(connection) else stored_words
    for key, collection, text, failed in rows:
        try:
            document = codec.decode_document(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            columns = searched_columns(codec.unescape(collection), document, stored)
            # The failed calls of a session are the sum of those of its events.
            kept = {"failed_calls": failed} if collection.endswith(SESSIONS) else {}
            yield key, tuple((NOT_SEARCHED | kept | columns).values())


def _update(
    connection: BaseDatabaseWrapper,
    table: str,
    columns: Sequence[str],
    types: Sequence[str],
    new: dict[int, Row],
) -> list[int]:
    """Update rows whose columns differ; return their keys."""
    names = ", ".join(columns)
    if not _is_postgresql(connection):
        marks = ", ".join(["%s"] * len(columns))
        sql = (
            f"UPDATE {table} SET {', '.join(f'{name} = %s' for name in columns)}"
            f" WHERE key = %s AND ({names}) IS NOT ({marks}) RETURNING key"
        )
        return [
            changed
            for key, values in new.items()
            for (changed,) in fetch(connection, sql, (*values, key, *values))
        ]
    sets = ", ".join(f"{name} = new.{name}" for name in columns)
    pairs = zip(columns, types, strict=True)
    typed = ", ".join(f"{name}::{type_} AS {name}" for name, type_ in pairs)
    sql = (
        f"UPDATE {table} t SET {sets} FROM (SELECT key, {typed} FROM unnest("
        f"%s::bigint[], {', '.join(['%s::text[]'] * len(columns))}) AS texts (key, {names})) new"
        f" WHERE t.key = new.key AND ({', '.join(f't.{name}' for name in columns)})"
        f" IS DISTINCT FROM ({', '.join(f'new.{name}' for name in columns)}) RETURNING t.key"
    )
    texts = (tuple(map(_text, values)) for values in new.values())
    arrays = map(array, zip(*texts, strict=True)) if new else [array([])] * len(columns)
    rows = fetch(connection, sql, (array(map(str, new)), *arrays), prepare=None)
    return [key for (key,) in rows]


def _add_to_sessions(
    connection: BaseDatabaseWrapper,
    rows: Sequence[Row],
    new: dict[int, Row],
    changed: Sequence[int],
) -> None:
    """Add what the items have more than before to the counters of their sessions."""
    keys = set(changed)
    totals: dict[int, _Totals] = defaultdict(_Totals)
    for key, session, _, tokens, failed in rows:
        if key in keys:
            *_, new_tokens, new_failed = new[key]
            total = totals[session]
            totals[session] = _Totals(
                total.tokens + (new_tokens or 0) - tokens,
                total.failed_calls + (new_failed or 0) - failed,
            )
    for session, total in sorted(totals.items()):
        if any(total):
            fetch(
                connection,
                "UPDATE parlant_store_session SET failed_calls = failed_calls + %s,"
                " tokens = NULLIF(COALESCE(tokens, 0) + %s, 0) WHERE key = %s RETURNING key",
                (total.failed_calls, total.tokens, session),
            )


def _is_postgresql(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "postgresql"


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)
