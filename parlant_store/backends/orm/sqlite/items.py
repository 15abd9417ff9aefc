"""Items on SQLite: their rows, the positions that a session reserves, and their deletion."""

import itertools
import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, repeat
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import Columns, columns, full_names
from parlant_store.backends.contract.operations import AddItems
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.sessions import LIVE, Time
from parlant_store.backends.orm.database.statements import Row, fetch
from parlant_store.content import codec
from parlant_store.content.items import USER, Batch

MAX_ITEM_ROWS = 500
"""Limit on the items of an insert; SQLite allows 32,766 parameters."""

_UPSERT = (
    "INSERT INTO parlant_store_session (namespace, session_id, full_names, user_id,"
    " metadata, state, next_position, item_count, tokens, failed_calls, next_turn,"
    " created_at, updated_at, expires_at)"
    " {rows} ON CONFLICT (namespace, session_id) DO UPDATE SET"
    " next_position = next_position + excluded.next_position,"
    " next_turn = next_turn + excluded.next_turn,"
    " item_count = item_count + excluded.item_count,"
    " tokens = COALESCE(tokens + excluded.tokens, tokens, excluded.tokens),"
    " failed_calls = failed_calls + excluded.failed_calls,"
    " full_names = CASE WHEN user_id IS NULL THEN excluded.full_names ELSE full_names END,"
    " user_id = COALESCE(user_id, excluded.user_id),"
    " updated_at = excluded.updated_at,"
    " expires_at = COALESCE(excluded.expires_at, expires_at)"
    f" WHERE {LIVE} RETURNING key, next_position, next_turn, item_count,"
)

_RESERVE = (
    _UPSERT.format(rows="VALUES (%s, %s, %s, %s, '{}', '{}', %s, %s, %s, %s, %s, %s, %s, %s)")
    + " metadata"
)

# The sessions are JSON, so that the statement is the same for any number of them.
_RESERVE_ALL = (
    _UPSERT.format(
        rows="SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),"
        " json_extract(value, '$[2]'), json_extract(value, '$[3]'), '{}', '{}',"
        " json_extract(value, '$[4]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),"
        " json_extract(value, '$[6]'), json_extract(value, '$[7]'), %s, %s, %s"
        " FROM json_each(%s) WHERE true"
    )
    + " namespace, session_id"
)


class Counts(NamedTuple):
    """What items add to the counters of their session."""

    items: int = 0
    tokens: int | None = None
    """None if the tokens are not known."""

    failed_calls: int = 0
    turns: int = 0


class Reservation(NamedTuple):
    """The place of the next items of a session."""

    key: int
    position: int
    turn: int
    """The number of the turn before."""

    items: int
    """The number of items before."""


def item_rows(key: int, first: int, turn: int, batch: Batch, time: Time) -> list[Row]:
    """Return the rows of the items of ``batch``, from the position ``first`` on.

    ``turn`` is the number of the turn before them.
    """
    numbers = itertools.count(turn + 1)
    turns = [next(numbers) if role == USER else None for role in batch.roles]
    columns = (
        *(turns, batch.data, batch.roles, batch.texts, batch.stored_words()),
        *(batch.tokens, batch.failed),
    )
    positions = range(first, first + len(batch.data))
    return list(zip(repeat(key), positions, *columns, repeat(time.now), strict=False))


def counts_of(batch: Batch) -> Counts:
    return Counts(len(batch.data), batch.total or None, batch.failed_total, batch.turns)


def insert_items(connection: BaseDatabaseWrapper, rows: Sequence[Row]) -> None:
    """Insert items, in as few statements as possible."""
    for start in range(0, len(rows), MAX_ITEM_ROWS):
        part = rows[start : start + MAX_ITEM_ROWS]
        fetch(connection, _insertion(len(part)), tuple(chain.from_iterable(part)))


@lru_cache(maxsize=64)
def _insertion(count: int) -> str:
    return (
        "INSERT INTO parlant_store_session_item"
        " (session_key, position, turn, data, role, text, terms, tokens, failed_calls, created_at)"
        " VALUES " + ", ".join([f"({', '.join(['%s'] * 10)})"] * count)
    )


def reserve(
    connection: BaseDatabaseWrapper,
    name: SessionName,
    user_id: str | None,
    counts: Counts,
    time: Time,
) -> Row:
    """Reserve positions for items.

    Return the key, the position after them, the number of their last turn, the number of items, and
    the metadata.
    """
    params = _reservation(name, user_id, counts, time)
    rows = fetch(connection, _RESERVE, params)
    if not rows:
        delete_session(connection, name, time)
        rows = fetch(connection, _RESERVE, params)
    return rows[0]


def _reservation(
    name: SessionName, user_id: str | None, counts: Counts, time: Time
) -> tuple[Any, ...]:
    """Return the parameters of ``_RESERVE``."""
    return (
        *columns(name),
        full_names(name, user_id),
        None if user_id is None else codec.to_column(user_id),
        counts.items,
        *counts,
        time.now,
        *time,
        time.now,
    )


def reserve_all(
    connection: BaseDatabaseWrapper, additions: Sequence[AddItems], time: Time
) -> dict[SessionName, Reservation]:
    """Reserve positions in each session for all items that are added to it."""
    pending = {columns(name): (name, *total) for name, total in _totals(additions).items()}
    values = [
        (*names, full_names(name, owner), owner and codec.to_column(owner), *counts)
        for names, (name, owner, counts) in pending.items()
    ]
    params = (time.now, *time, json.dumps(values), time.now)
    reservations = {}
    for *reserved, first, second in fetch(connection, _RESERVE_ALL, params):
        name, _, counts = pending.pop(Columns(first, second))
        reservations[name] = _before(counts, *reserved)
    # The others have expired.
    for name, owner, counts in pending.values():
        *reserved, _ = reserve(connection, name, owner, counts, time)
        reservations[name] = _before(counts, *reserved)
    return reservations


def _before(counts: Counts, key: int, end: int, turn: int, items: int) -> Reservation:
    return Reservation(key, end - counts.items, turn - counts.turns, items - counts.items)


def _totals(additions: Sequence[AddItems]) -> dict[SessionName, tuple[str | None, Counts]]:
    """Return, for each session, the first owner in ``additions``, and what they add."""
    totals: dict[SessionName, tuple[str | None, Counts]] = {}
    for name, batch, user_id, *_ in additions:
        owner, (count, tokens, failed, turns) = totals.get(name, (None, Counts()))
        owner = user_id if owner is None else owner
        total = Counts(
            count + len(batch.data),
            (tokens or 0) + batch.total or None,
            failed + batch.failed_total,
            turns + batch.turns,
        )
        totals[name] = owner, total
    return totals


def delete_session(connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> int | None:
    """``Sessions.delete_session`` inside a transaction."""
    rows = stored_rows(connection, name, time)
    delete_rows(connection, rows)
    return rows[0][1] if rows else None


def stored_rows(connection: BaseDatabaseWrapper, name: SessionName, time: Time) -> list[Row]:
    """Return the key of the session and its number of items, None if it has expired."""
    return fetch(
        connection,
        f"SELECT key, CASE WHEN {LIVE} THEN item_count END FROM parlant_store_session"
        " WHERE namespace = %s AND session_id = %s",
        (time.now, *columns(name)),
    )


def delete_rows(connection: BaseDatabaseWrapper, sessions: Sequence[Row]) -> None:
    """Delete the session that ``stored_rows`` has returned."""
    # Not DELETE with RETURNING: SQLite 3.40 returns wrong values for a column of a partial index.
    for key, _ in sessions:
        delete_items(connection, sessions)
        fetch(connection, "DELETE FROM parlant_store_session WHERE key = %s", (key,))


def delete_items(connection: BaseDatabaseWrapper, sessions: Sequence[Row]) -> None:
    """Delete the items of the sessions, whose keys are the first columns of the rows."""
    fetch(
        connection,
        # A cross join keeps its order: after ANALYZE, SQLite would scan the table.
        "DELETE FROM parlant_store_session_item WHERE key IN (SELECT item.key"
        " FROM json_each(%s) session CROSS JOIN parlant_store_session_item item"
        " ON item.session_key = session.value)",
        (json.dumps([row[0] for row in sessions]),),
    )
