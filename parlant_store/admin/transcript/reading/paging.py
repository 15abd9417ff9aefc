"""Which items or events of a conversation are on a page, in both directions."""

from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from parlant_store.admin.transcript.options import Options
from parlant_store.admin.transcript.pairing import Edges

MAX_PASSED = 1_000
"""Limit on the items or events among which a page of messages only looks for some."""


class Page(NamedTuple):
    """Rows of a page in order, and the places where it begins and ends."""

    rows: list[Any]
    first: int
    last: int
    edges: Edges


def read_page(
    rows: QuerySet[Any], place: str, options: Options, size: int, columns: Any, messages: Q
) -> Page:
    """The page that ``options`` ask for.

    place: the field with the position or offset of a row, the second of ``columns``.
    messages: the rows that are messages.
    """
    if options.before is not None:
        return _backward(rows, place, options.before, size, columns, _only(options, messages))
    after = -1 if options.after is None else options.after
    # Events without an offset, if there are any, are on the first page.
    read = rows if after < 0 else rows.filter(**{f"{place}__gt": after})
    limit = after + MAX_PASSED
    only = _only(options, messages)
    if only is not None:
        read = read.filter(only, **{f"{place}__lte": limit})
    shown = list(read.order_by(place).values_list(*columns)[: size + 1])
    is_full = len(shown) > size
    shown = shown[:size]
    is_first = after < 0 or not rows.filter(**{f"{place}__lte": after}).exists()
    if is_full or only is None:
        last = shown[-1][1] if shown else after
        return Page(shown, _first(shown, after + 1), last, Edges(is_first, not is_full))
    is_last = not rows.filter(**{f"{place}__gt": limit}).exists()
    return Page(shown, _first(shown, after + 1), limit, Edges(is_first, is_last))


def _backward(
    rows: QuerySet[Any], place: str, before: int, size: int, columns: Any, only: Q | None
) -> Page:
    read = rows.filter(**{f"{place}__lt": before})
    limit = before - MAX_PASSED
    if only is not None:
        read = read.filter(only, **{f"{place}__gte": limit})
    shown = list(read.order_by(f"-{place}").values_list(*columns)[: size + 1])
    is_full = len(shown) > size
    shown = shown[:size][::-1]
    is_last = not rows.filter(**{f"{place}__gte": before}).exists()
    last = shown[-1][1] if shown else before - 1
    if is_full or only is None:
        return Page(shown, _first(shown, before), last, Edges(not is_full, is_last))
    is_first = not rows.filter(**{f"{place}__lt": limit}).exists()
    return Page(shown, limit, before - 1, Edges(is_first, is_last))


def _only(options: Options, messages: Q) -> Q | None:
    return messages if options.messages_only else None


def _first(shown: list[Any], nothing: int) -> int:
    return nothing if not shown or shown[0][1] is None else int(shown[0][1])
