"""The counters of a session after items are deleted."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.database.statements import fetch
from parlant_store.content.usage import TOTAL, StoredUsage, decode_usage, encode_usage, sum_usage

REMOVED = "turn, tokens, failed_calls, usage"
"""The columns of deleted items, for ``removed``."""


class Removed(NamedTuple):
    """What is removed from a session with its deleted items."""

    turn: int | None
    """The number of the first of their turns; None if they open none."""

    tokens: int
    failed_calls: int
    usage: StoredUsage


def removed(rows: Sequence[Sequence[Any]]) -> Removed:
    """Return what is removed with deleted items, from their columns ``REMOVED``."""
    usage = sum_usage(decode_usage(usage) for *_, usage in rows if usage is not None)
    return Removed(
        min((turn for turn, *_ in rows if turn is not None), default=None),
        sum(tokens or 0 for _, tokens, *_ in rows) + usage.get(TOTAL, 0),
        sum(failed or 0 for _, _, failed, _ in rows),
        usage,
    )


def subtract(connection: BaseDatabaseWrapper, key: int, rows: Sequence[Sequence[Any]]) -> None:
    """Subtract deleted items, of which the last ones open the last turns, from their session."""
    turn, tokens, failed, usage = removed(rows)
    fetch(
        connection,
        "UPDATE parlant_store_session SET item_count = item_count - %s,"
        " next_turn = COALESCE(%s - 1, next_turn), tokens = NULLIF(tokens - %s, 0),"
        " failed_calls = failed_calls - %s WHERE key = %s RETURNING key",
        (len(rows), turn, tokens, failed, key),
    )
    subtract_usage(connection, key, usage)


def subtract_usage(connection: BaseDatabaseWrapper, key: int, usage: StoredUsage) -> None:
    """Subtract the usage of deleted items from that of their session."""
    if usage:
        sql = "SELECT usage FROM parlant_store_session WHERE key = %s"
        ((total,),) = fetch(connection, sql, (key,))
        left = encode_usage(sum_usage([decode_usage(total)], [usage]))
        sql = "UPDATE parlant_store_session SET usage = %s WHERE key = %s RETURNING key"
        fetch(connection, sql, (left, key))
