"""The items or events of a conversation with the words searched for, or with a failed call."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db import connections, router
from django.db.models import BooleanField, F, Func, QuerySet, TextField, Value
from django.db.models.functions import Cast, Concat, StrIndex
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from parlant_store.admin.transcript.entries import Jump
from parlant_store.content.text_search import tsquery

MAX_SEARCHED = 10_000
"""Limit on the items or events that are searched: the last ones."""

MAX_FOUND = 100

CONTEXT = 10
"""How many items or events are shown before one that a link leads to, if a page holds them."""


class _Matches(Func):
    """Whether words, as PostgreSQL keeps them, match a query."""

    template = "(%(expressions)s::tsquery)"
    arg_joiner = " @@ "
    output_field = BooleanField()


class Failed(NamedTuple):
    """Where the nearest failed calls are on other pages."""

    before: int | None = None
    after: int | None = None

    def jumps(self, label: Callable[[int], str], url: Callable[[int], str]) -> list[Jump]:
        """Links to them."""
        sentences = (
            (self.before, _("Failed before this page: %(entry)s")),
            (self.after, _("Failed after this page: %(entry)s")),
        )
        return [
            Jump(sentence % {"entry": label(place)}, url(place))
            for place, sentence in sentences
            if place is not None
        ]


def nearest_failed(rows: QuerySet[Any], place: str, first: int, last: int) -> Failed:
    """The failed calls nearest to a page.

    place: the field with the position or offset of a row.
    first, last: those of the rows on the page.
    """
    failed = rows.filter(failed_calls__gt=0)
    before = {f"{place}__lt": first, f"{place}__gte": first - MAX_SEARCHED}
    after = {f"{place}__gt": last, f"{place}__lte": last + MAX_SEARCHED}
    return Failed(
        failed.filter(**before).order_by(f"-{place}").values_list(place, flat=True).first(),
        failed.filter(**after).order_by(place).values_list(place, flat=True).first(),
    )


def bound_note(number: int, *, is_searched: bool) -> str:
    """What a search leaves out of a conversation of so many items or events."""
    if not is_searched or number <= MAX_SEARCHED:
        return ""
    limit = number_format(MAX_SEARCHED, force_grouping=True)
    return _("Only the last %(limit)s of this conversation are searched.") % {"limit": limit}


def places_found(
    rows: QuerySet[Any], place: str, last: int, terms: Sequence[Sequence[str]]
) -> list[int]:
    """Where in a conversation all terms are found, in order.

    place: the field with the position or offset of a row.
    last: that of the last row.
    """
    if not terms:
        return []
    rows = rows.filter(**{f"{place}__gt": last - MAX_SEARCHED}, terms__isnull=False)
    vendor = connections[rows.db or router.db_for_read(rows.model)].vendor
    for term in terms:
        if vendor == "postgresql":
            query = tsquery([list(term)], others=True)
            rows = rows.filter(_Matches(F("terms"), Value(query, output_field=TextField())))
        else:
            words = Concat(Value(" "), Cast("terms", TextField()))
            found = StrIndex(words, Value(f" {' '.join(term)}"))
            rows = rows.alias(found=found).filter(found__gt=0)
    return list(rows.order_by(place).values_list(place, flat=True)[:MAX_FOUND])
