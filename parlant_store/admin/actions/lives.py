"""How long chosen rows live: whom an action is for, and what it does to them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connections, router
from django.db.models import DateTimeField, ExpressionWrapper, Model, Q, Value
from django.db.models.functions import Greatest

from parlant_store.admin.actions.belonging import (
    belonging,
    end_with_sessions,
    overlap,
    related_keys,
)
from parlant_store.admin.actions.chosen import BATCH, Row, everything, look, writing
from parlant_store.admin.batches import batches
from parlant_store.backends.contract.validation import MAX_TTL_SECONDS
from parlant_store.backends.orm.references.deletion import ProtectedGroup, delete_groups, lock_rows
from parlant_store.backends.orm.references.registry import is_referenced
from parlant_store.models import Document

HORIZON = timedelta(seconds=MAX_TTL_SECONDS)
"""What ends later than that is not put off any further."""


class Change(NamedTuple):
    """Another end for rows."""

    meant: Q
    expires_at: Any
    """A time, an expression for one, or None: never."""


class Done(NamedTuple):
    """What became of chosen rows."""

    rows: list[Row]
    """Those to which it was done."""

    left: int
    """How many the action was not for."""

    gone: int
    """How many were there no more."""

    parts: int
    """How many documents went along with Parlant's sessions."""

    kept: Sequence[ProtectedGroup] = ()
    """Those that stay because a row of the project protects them."""


def is_live(now: datetime) -> Q:
    return Q(expires_at=None) | Q(expires_at__gt=now)


def can_be_put_off(now: datetime) -> Q:
    return Q(expires_at__lt=now + HORIZON)


def expired(now: datetime) -> Change:
    return Change(is_live(now), now)


def extended(now: datetime, by: timedelta) -> Change:
    """By so long, counted from now for what has expired."""
    begun = Greatest("expires_at", Value(now, output_field=DateTimeField()))
    return Change(
        can_be_put_off(now), ExpressionWrapper(begun + Value(by), output_field=DateTimeField())
    )


def extended_until(time: datetime) -> Change:
    """Nothing is shortened."""
    return Change(Q(expires_at__lt=time), time)


def kept() -> Change:
    return Change(Q(expires_at__isnull=False), None)


def count_parts(rows: Sequence[Row]) -> int:
    """How many documents, besides ``rows`` themselves, belong to the Parlant sessions meant."""
    meant = [row for row in rows if row.is_meant]
    using = router.db_for_write(Document)
    found = belonging(meant, using)
    return sum(parts.count() for _, parts in found) - overlap(meant, rows, using)


def change(model: type[Model], keys: Sequence[int], new: Change) -> Done:
    """Give rows another end, and with Parlant's sessions their documents the same."""
    using = router.db_for_write(model)
    with writing(using):
        rows = look(model, keys, new.meant, using=using, lock=True)
        meant = [row for row in rows if row.is_meant]
        for batch in batches([row.key for row in meant], BATCH):
            found = model._default_manager.using(using).filter(key__in=batch)
            found.update(expires_at=new.expires_at)
        alone = 0
        if model is Document:
            alone = end_with_sessions(meant, using) - overlap(meant, rows, using)
    return _done(keys, rows, meant, alone)


def delete(model: type[Model], keys: Sequence[int]) -> Done:
    """Remove rows with all that belongs to them."""
    using = router.db_for_write(model)
    with writing(using):
        rows = look(model, keys, everything(), using=using, lock=True)
        if is_referenced(using):
            return _delete_referenced(model, keys, rows, using)
        alone = 0
        if model is Document:
            alone = -overlap(rows, rows, using)
            alone += sum(found.delete()[0] for _, found in belonging(rows, using))
        for batch in batches([row.key for row in rows], BATCH):
            # With its key alone, or all columns of each would be read.
            model._default_manager.using(using).filter(key__in=batch).only("key").delete()
    return _done(keys, rows, rows, alone)


def _delete_referenced(
    model: type[Model], keys: Sequence[int], rows: list[Row], using: str
) -> Done:
    """The same where tables of the project refer to ours: what they protect stays."""
    related = related_keys(rows, using) if model is Document else {}
    groups = [(row.key, *related.get(row.key, ())) for row in rows]
    lock_rows(connections[using], model, [key for group in groups for key in group])
    kept = delete_groups(connections[using], model, groups)
    stays = {one.keys[0] for one in kept}
    gone = [row for row in rows if row.key not in stays]
    parts = {key for group in groups if group[0] not in stays for key in group[1:]}
    alone = len(parts - {row.key for row in rows})
    return Done(gone, 0, len(keys) - len(rows), alone, kept)


def _done(keys: Sequence[int], rows: list[Row], meant: list[Row], alone: int) -> Done:
    return Done(meant, len(rows) - len(meant), len(keys) - len(rows), max(0, alone))
