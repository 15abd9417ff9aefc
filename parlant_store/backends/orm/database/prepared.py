"""Prepared statements of PostgreSQL, which are executed without a cursor.

What a cursor of psycopg does around a statement takes more processor time than sending it and
waiting for its answer.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from psycopg import Connection, errors, generators
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, PipelineStatus, TransactionStatus

Row = tuple[Any, ...]

MAX_STATEMENTS = 64
"""Limit on the statements of a connection."""

_numbers = count()
_names: WeakKeyDictionary[Connection[Any], dict[Any, bytes]] = WeakKeyDictionary()
"""By connection of the driver: the names of its statements, by their texts and types."""


def can_execute(raw: Connection[Any]) -> bool:
    """Whether a statement on ``raw`` would be a transaction of its own.

    Others are left to cursors: an error, as of a statement that DISCARD ALL has deleted, would end
    their transaction.
    """
    server = raw.pgconn
    return bool(
        raw.autocommit
        and server.transaction_status == TransactionStatus.IDLE
        and server.pipeline_status == PipelineStatus.OFF
    )


def execute(raw: Connection[Any], sql: str, params: Sequence[Any]) -> list[Row] | None:
    """Run a statement and return its rows; it is prepared before its first run.

    Return None, without running it, if the connection has no room for a further statement.
    """
    try:
        return _execute(raw, sql, params)
    except errors.InvalidSqlStatementName:
        _names.pop(raw, None)
        return _execute(raw, sql, params)


def _execute(raw: Connection[Any], sql: str, params: Sequence[Any]) -> list[Row] | None:
    transformer = Transformer(raw)
    values = transformer.dump_sequence(params, [PyFormat.AUTO] * len(params))
    names = _names.setdefault(raw, {})
    key = sql, transformer.types
    if len(names) >= MAX_STATEMENTS and key not in names:
        return None
    with raw.lock:
        name = names.get(key)
        if name is None:
            name = b"parlant_store_%d" % next(_numbers)
            raw.pgconn.send_prepare(name, _numbered(sql), transformer.types)
            _result(raw)
            names[key] = name
        raw.pgconn.send_query_prepared(name, values, transformer.formats)
        result = _result(raw)
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)


def _result(raw: Connection[Any]) -> Any:
    """Wait for the answer as a cursor does; raise psycopg.Error if it is an error."""
    results = raw.wait(generators.execute(raw.pgconn))
    for result in results:
        # A deferred constraint fails after the rows were sent.
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise errors.error_from_result(result, encoding=raw.info.encoding)
    return results[0]


@lru_cache(maxsize=512)
def _numbered(sql: str) -> bytes:
    """Return the statement with numbered parameters."""
    first, *parts = sql.split("%s")
    numbered = "".join(f"${number}{part}" for number, part in enumerate(parts, 1))
    return (first + numbered).replace("%%", "%").encode()
