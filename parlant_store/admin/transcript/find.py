"""The items or events of a conversation that have the words searched for."""

from collections.abc import Sequence
from typing import Any

from django.db import connections, router
from django.db.models import BooleanField, F, Func, QuerySet, TextField, Value
from django.db.models.functions import Cast, Concat, StrIndex

from parlant_store.content.text_search import tsquery

MAX_SEARCHED = 10_000
"""Limit on the items or events that are searched: the last ones."""

MAX_FOUND = 100


class _Matches(Func):
    """Whether words, as PostgreSQL keeps them, match a query."""

    template = "(%(expressions)s::tsquery)"
    arg_joiner = " @@ "
    output_field = BooleanField()


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
            query = tsquery([list(term)])
            rows = rows.filter(_Matches(F("terms"), Value(query, output_field=TextField())))
        else:
            words = Concat(Value(" "), Cast("terms", TextField()))
            found = StrIndex(words, Value(f" {' '.join(term)}"))
            rows = rows.alias(found=found).filter(found__gt=0)
    return list(rows.order_by(place).values_list(place, flat=True)[:MAX_FOUND])
