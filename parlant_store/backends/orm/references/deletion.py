"""Deletion of rows by Django's ORM, with rows that refer to them; protected rows are kept."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, ProtectedError, RestrictedError

from parlant_store.backends.orm.database.statements import Row, fetch, write
from parlant_store.backends.orm.references.registry import (
    has_references,
    is_protecting,
    may_dangle,
    references,
)
from parlant_store.exceptions import ProtectedRow

CHUNK = 500
"""Limit on the keys in a statement."""

NAMED = 5
"""Limit on the protecting rows in a message."""

Keys = Sequence[int]


class ProtectedGroup(NamedTuple):
    """Rows that are all kept because one of them is protected."""

    keys: Keys
    protected_by: str
    """The protecting rows."""

    cause: Exception


class _Refused(Exception):
    """Nothing was deleted: rows refer to these keys."""

    def __init__(self, rows: dict[int | None, list[str]], cause: Exception) -> None:
        self.rows = rows
        """The names of protecting rows, by the key to which they refer."""
        self.cause = cause


def writing(connection: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
    """Return a transaction for writes, or a savepoint inside a transaction of the caller."""
    if connection.vendor == "sqlite":
        return write(connection)
    return transaction.atomic(using=connection.alias)


def select_locked(
    connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any], lock: str = "FOR UPDATE"
) -> list[Row]:
    """Select rows; on PostgreSQL with ``lock``. SQLite has one lock for all, see ``writing``."""
    if connection.vendor == "postgresql":
        sql = f"{sql} {lock}"
    return fetch(connection, sql, params, prepare=None)


def lock_rows(
    connection: BaseDatabaseWrapper,
    model: type[Model],
    keys: Iterable[int],
    *,
    column: str = "key",
    skip: bool = False,
) -> list[int]:
    """Lock rows, so that no new row can refer to them; return the keys of existing rows.

    ``skip`` skips rows that are locked.
    """
    present: list[int] = []
    for chunk in chunks(sorted(keys)):
        sql = (
            f"SELECT key FROM {model._meta.db_table}"
            f" WHERE {column} IN ({', '.join(['%s'] * len(chunk))}) ORDER BY key"
        )
        lock = "FOR UPDATE SKIP LOCKED" if skip else "FOR UPDATE"
        present += [key for (key,) in select_locked(connection, sql, chunk, lock)]
    return present


def delete(
    connection: BaseDatabaseWrapper, model: type[Model], keys: Keys, what: str, *, lock: bool = True
) -> None:
    """Delete all rows of ``keys``, or raise ProtectedRow; ``what`` names them in its message."""
    if lock:
        lock_rows(connection, model, keys)
    if protected := delete_groups(connection, model, [keys]):
        ((_, names, cause),) = protected
        raise ProtectedRow(f"{what} is protected by {names}", names) from cause


def delete_groups(
    connection: BaseDatabaseWrapper, model: type[Model], groups: Iterable[Keys]
) -> list[ProtectedGroup]:
    """Delete groups of locked rows; return the groups that are kept because of protected rows."""
    protected: list[ProtectedGroup] = []
    pending = [[group for group in groups if group]]
    while pending:
        trial = pending.pop()
        if not trial:
            continue
        try:
            _delete(connection, model, [key for group in trial for key in group])
        except _Refused as refused:
            kept = [group for group in trial if any(key in refused.rows for key in group)]
            if not kept and len(trial) == 1:
                kept = trial
            protected += [
                ProtectedGroup(group, _protecting(refused, group), refused.cause) for group in kept
            ]
            rest = [group for group in trial if group not in kept]
            middle = len(rest) if kept else (len(rest) + 1) // 2
            pending += [rest[middle:], rest[:middle]]
    return protected


def chunks(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]


def _delete(connection: BaseDatabaseWrapper, model: type[Model], keys: Keys) -> None:
    try:
        with transaction.atomic(using=connection.alias):
            items = _lock_items(connection, model, keys)
            rows = model._base_manager.using(connection.alias)
            for chunk in chunks(keys):
                # Only the key, so that the other columns are not read.
                rows.filter(pk__in=chunk).only("pk").delete()
            dangling = [*_dangling(connection, model, keys)]
            if items:
                from parlant_store.models import SessionItem

                dangling += _dangling(connection, SessionItem, [*items])
            if dangling:
                raise ProtectedError("rows would refer to deleted rows", set(dangling))
    except (ProtectedError, RestrictedError) as exc:
        raise _Refused(_by_key(connection, model, _objects(exc)), exc) from exc
    except IntegrityError as exc:
        raise _Refused({None: [str(exc).partition("\n")[0]]}, exc) from exc


def _lock_items(connection: BaseDatabaseWrapper, model: type[Model], keys: Keys) -> list[int]:
    """Lock the items of sessions, if tables refer to items; return their keys."""
    from parlant_store.models import Session, SessionItem

    if model is not Session or not has_references(SessionItem):
        return []
    return lock_rows(connection, SessionItem, keys, column="session_key")


def _dangling(connection: BaseDatabaseWrapper, model: type[Model], keys: Keys) -> Iterator[Model]:
    """Yield rows that still refer to deleted rows, which the database refuses at the commit."""
    for field in filter(may_dangle, references(model)):
        rows = field.model._base_manager.using(connection.alias)
        for chunk in chunks(keys):
            yield from rows.filter(**{f"{field.name}__in": chunk})


def _objects(exc: ProtectedError | RestrictedError) -> Iterable[Model]:
    return exc.protected_objects if isinstance(exc, ProtectedError) else exc.restricted_objects


def _by_key(
    connection: BaseDatabaseWrapper, model: type[Model], objects: Iterable[Model]
) -> dict[int | None, list[str]]:
    """Return the names of protecting rows by the key of ``model`` to which they refer, or None."""
    from parlant_store.models import Session, SessionItem

    names: dict[int | None, list[str]] = defaultdict(list)
    items: dict[int, list[str]] = defaultdict(list)
    for row in objects:
        name = f"{row._meta.label} {row.pk}"
        is_direct = False
        for field in row._meta.concrete_fields:
            to = field.related_model._meta.concrete_model if field.is_relation else None  # type: ignore[union-attr]
            value = getattr(row, field.attname)
            if to not in (model, SessionItem) or value is None or not is_protecting(field):
                continue
            is_direct = True
            (items if to is SessionItem and model is Session else names)[value].append(name)
        if not is_direct:
            names[None].append(name)
    for chunk in chunks(sorted(items)):
        rows = SessionItem._base_manager.using(connection.alias).filter(pk__in=chunk)
        for key, session in rows.values_list("pk", "session_id"):
            names[session] += items[key]
    return names


def _protecting(refused: _Refused, group: Keys) -> str:
    """Return the names of the rows that protect ``group``, or of all protecting rows."""
    direct = [name for key in group for name in refused.rows.get(key, ())]
    names = sorted(set(direct or [name for each in refused.rows.values() for name in each]))
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
