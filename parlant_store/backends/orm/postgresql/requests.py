"""Writes that run once, on PostgreSQL, where the answer of a statement may get lost.

Every write stores its answer in its own statement, under the id of its request. If the connection
breaks before the answer arrives, the write is sent again with the same id on another connection.
The id is unique, so that the write runs once, even if the server still runs the first statement.
The next write of the connection deletes the stored answer.
"""

import json
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from os import urandom
from time import time_ns
from typing import Any, TypeVar
from uuid import UUID, uuid5
from weakref import WeakKeyDictionary

from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.base.requests import (
    ANSWER_SECONDS,
    Requests,
    decoded,
    encoded,
    is_encodable,
)
from parlant_store.backends.orm.database.connection import reconnect
from parlant_store.backends.orm.database.errors import is_lost
from parlant_store.backends.orm.database.statements import Row, fetch, fetch_alone, savepoint
from parlant_store.backends.threads.calls import running_call
from parlant_store.content import codec
from parlant_store.exceptions import (
    BackendError,
    DuplicateDocument,
    OutcomeUnknown,
    StoreUnavailable,
)

T = TypeVar("T")

_RECENT = f"created_at > now() - interval '{ANSWER_SECONDS} seconds'"
_FIND = (
    f"WITH old AS (DELETE FROM parlant_store_request WHERE id = %s::uuid AND NOT {_RECENT})"
    f" SELECT answer FROM parlant_store_request WHERE id = %s::uuid AND {_RECENT}"
)
_STORE = "INSERT INTO parlant_store_request (id, answer) SELECT %s::uuid, to_json(result)::text"
_FORGET_LAST = "DELETE FROM parlant_store_request WHERE id = %s::uuid"
_FORGET_OLD = (
    "DELETE FROM parlant_store_request WHERE id IN ("
    f"SELECT id FROM parlant_store_request WHERE NOT {_RECENT}"
    " ORDER BY created_at LIMIT 10 FOR UPDATE SKIP LOCKED)"
)


class AlreadyDone(BackendError):
    """Another statement ran the request meanwhile; this one was rolled back."""


class _Request:
    """A call of a write, and the statements that were sent for it."""

    def __init__(self, id_: UUID | None) -> None:
        """
        id_: that of the caller; None: a new one, if a statement stores its answer.
        """
        self._id = id_
        self.is_callers = id_ is not None
        self.is_repeated = self.is_callers
        """Whether another call may have run it before."""
        self.statements = 0
        self.was_sent = False

    @property
    def id(self) -> UUID:
        if self._id is None:
            self._id = _new_id()
        return self._id

    def next_id(self) -> UUID:
        """Return the id of its next statement; only damaged items need more than one."""
        self.statements += 1
        return self.id if self.statements == 1 else uuid5(self.id, str(self.statements))


_current: ContextVar[_Request | None] = ContextVar("parlant_store_request", default=None)

_last: WeakKeyDictionary[BaseDatabaseWrapper, UUID] = WeakKeyDictionary()
"""The id of the last write of each connection, whose answer is stored."""


class PostgreSQLRequests(Requests):
    def run(
        self, connection: BaseDatabaseWrapper, request: UUID | None, operation: Callable[[], T]
    ) -> T:
        connection.ensure_connection()
        if connection.in_atomic_block or not connection.autocommit:
            # The caller commits: without a response to COMMIT, the caller repeats the transaction.
            call = None if request is None else _Request(request)
            return _run_once(connection, call, operation)
        call = _Request(request)
        try:
            return _run_once(connection, call, operation)
        except (OperationalError, InterfaceError) as exc:
            if not is_lost(exc):
                raise
            if call.was_sent and _is_stopped():
                raise OutcomeUnknown("the call was stopped after the write was sent") from exc
        call.is_repeated = True
        try:
            _reconnect(connection, call)
            return _run_once(connection, call, operation)
        except (OperationalError, InterfaceError) as exc:
            if not call.was_sent:
                raise
            raise OutcomeUnknown(
                "the connection broke after the write was sent, which may have been done; "
                f"sending it again failed: {str(exc).strip()}"
            ) from exc

    def forget(self, connection: BaseDatabaseWrapper, user_id: str) -> int:
        ctes = "deleted AS (DELETE FROM parlant_store_request WHERE user_id = %s RETURNING 1)"
        sql = "SELECT count(*) FROM deleted"
        ((count,),) = fetch_once(connection, sql, (codec.to_column(user_id),), ctes=ctes)
        return count  # type: ignore[no-any-return]


def fetch_once(
    connection: BaseDatabaseWrapper,
    sql: str,
    params: Sequence[Any],
    *,
    ctes: str = "",
    lock: str | None = None,
    prepare: bool | None = True,
) -> list[Row]:
    """Run the statement of a write and return its row, or the stored one of an earlier call.

    ``sql`` returns one row of JSON values, or none if it writes nothing, which is not stored.
    ``ctes`` are its common table expressions, ``lock`` is the advisory lock of ``fetch_alone``.
    """
    call = _current.get()
    if call is None:
        return _send(connection, f"WITH {ctes} {sql}" if ctes else sql, params, lock, prepare)
    id_ = call.next_id()
    if call.is_repeated and (stored := _stored(connection, id_)):
        return stored
    call.was_sent = True
    last = None
    if not call.is_repeated and call.statements == 1:
        last = _last.pop(connection, None)
        # The first write of a connection deletes old answers, and is not worth preparing.
        prepare = prepare if last else False
    statement, more = _recorded(sql, ctes, id_, last)
    try:
        rows = _send(connection, statement, (*params, *more), lock, prepare)
    except IntegrityError as exc:
        if _is_of_requests(exc):
            raise AlreadyDone("another call ran the request meanwhile") from exc
        raise
    if not call.is_callers and not connection.in_atomic_block:
        _last[connection] = id_
    return rows


def fetch_repeatable(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any]) -> list[Row]:
    """``fetch_once`` for a write that may be repeated: its answer is stored for callers only."""
    call = _current.get()
    if call is None or call.is_callers:
        return fetch_once(connection, sql, params)
    call.was_sent = True
    return fetch(connection, sql, params)


def find_answer(connection: BaseDatabaseWrapper) -> list[Row]:
    """Return the stored row of the current request, if an earlier call ran it."""
    call = _current.get()
    return _stored(connection, call.id) if call is not None and call.is_repeated else []


def store_answer(connection: BaseDatabaseWrapper, answer: Any) -> None:
    """Store the row of a write of several statements, in its transaction."""
    call = _current.get()
    if call is not None:
        call.was_sent = True
        sql = "INSERT INTO parlant_store_request (id, answer) VALUES (%s::uuid, %s) RETURNING id"
        fetch(connection, sql, (call.id, json.dumps({"answer": answer})))


def run_whole(connection: BaseDatabaseWrapper, operation: Callable[[], T]) -> T:
    """Run a write of several statements, which do not store answers.

    The answer of the write is stored in their transaction, except for sweeps and reads, which can
    be repeated.
    """
    call = _current.get()
    if call is None:
        return operation()
    with transaction.atomic(using=connection.alias):
        for (answer,) in find_answer(connection):
            return decoded(answer)  # type: ignore[no-any-return]
        token = _current.set(None)
        try:
            result = operation()
        finally:
            _current.reset(token)
        if is_encodable(result):
            try:
                store_answer(connection, encoded(result))
            except IntegrityError as exc:
                if _is_of_requests(exc):
                    raise AlreadyDone("another call ran the request meanwhile") from exc
                raise
            _forget_before(connection, call)
        call.was_sent = True
        return result


def _forget_before(connection: BaseDatabaseWrapper, call: _Request) -> None:
    """Delete the answer of the last write of the connection, or old answers."""
    last = None if call.is_repeated else _last.pop(connection, None)
    if last is None:
        fetch(connection, f"{_FORGET_OLD} RETURNING id")
    else:
        fetch(connection, f"{_FORGET_LAST} RETURNING id", (last,))
    if not call.is_callers:
        _last[connection] = call.id


def _is_stopped() -> bool:
    """Whether the call of this thread was stopped by its caller."""
    call = running_call()
    return call is not None and call.stopped is not None


def _reconnect(connection: BaseDatabaseWrapper, request: _Request) -> None:
    call = running_call()
    if call is None:
        reconnect(connection)
        return
    try:
        with call.leaving(OutcomeUnknown if request.was_sent else StoreUnavailable):
            reconnect(connection)
    except StoreUnavailable as exc:
        if request.was_sent:
            raise OutcomeUnknown("the call was stopped after the write was sent") from exc
        raise


def _run_once(
    connection: BaseDatabaseWrapper, call: _Request | None, operation: Callable[[], T]
) -> T:
    try:
        return _attempt(connection, call, operation)
    except (AlreadyDone, DuplicateDocument) as exc:
        # Another call with this id may have just ended, and the document may be that of its write.
        if call is None or not (call.is_repeated or isinstance(exc, AlreadyDone)):
            raise
        call.is_repeated = True
        return _attempt(connection, call, operation)


def _attempt(
    connection: BaseDatabaseWrapper, call: _Request | None, operation: Callable[[], T]
) -> T:
    if call is not None:
        call.statements = 0
    token = _current.set(call)
    try:
        with savepoint(connection):
            return operation()
    finally:
        _current.reset(token)


def _recorded(sql: str, ctes: str, id_: UUID, last: UUID | None) -> tuple[str, list[Any]]:
    """Return a statement that also stores the answer of ``sql``, and its further parameters."""
    forget, params = (_FORGET_OLD, []) if last is None else (_FORGET_LAST, [last])
    statement = (
        f"WITH {ctes + ', ' if ctes else ''}result AS ({sql}), stored AS ({_STORE} FROM result),"
        f" forgotten AS ({forget}) SELECT * FROM result"
    )
    return statement, [id_, *params]


def _send(
    connection: BaseDatabaseWrapper,
    sql: str,
    params: Sequence[Any],
    lock: str | None,
    prepare: bool | None,
) -> list[Row]:
    if lock is None:
        return fetch(connection, sql, params, prepare=prepare)
    return fetch_alone(connection, lock, sql, params)


def _stored(connection: BaseDatabaseWrapper, id_: UUID) -> list[Row]:
    rows = fetch(connection, _FIND, (id_, id_))
    return [tuple(json.loads(answer).values()) for (answer,) in rows]


def _is_of_requests(error: IntegrityError) -> bool:
    details = getattr(error.__cause__, "diag", None)
    return getattr(details, "table_name", None) == "parlant_store_request"


def _new_id() -> UUID:
    """Return a UUID of version 7, which starts with the time: the index grows at its end."""
    random = int.from_bytes(urandom(10))
    random = random & ~(0xF << 76) & ~(0b11 << 62) | 7 << 76 | 0b10 << 62
    return UUID(int=time_ns() // 1_000_000 << 80 | random)
