"""Rows found by the whole of a name, through the indexes that begin with its place."""

import re

from django.db.models import Model, Q

from parlant_store.admin.loose_index_scan import first_values
from parlant_store.content import codec
from parlant_store.models import Session

COUNTED = 10_000
"""How many rows a list counts, and lists."""

PLACES = 1_000
"""In how many namespaces or collections a search looks one by one; else it reads the index."""

SLASHES = 50
"""How many slashes of a search may part the place from the name."""


def named(
    model: type[Model], place: str, name: str, term: str, places: list[str] | None = None
) -> list[Q]:
    """Conditions that find ``term`` as a ``name`` in any ``place``, or as place/name.

    The unique index on both columns serves them. places: the first places, if they are known.
    """
    anywhere, within = Q((name, codec.to_column(term))), Q()
    if places is None:
        places = first_values(model, place, PLACES + 1)
    if len(places) <= PLACES:
        anywhere &= Q((f"{place}__in", places))
    for slash in list(re.finditer("/", term))[:SLASHES]:
        before, after = term[: slash.start()], term[slash.end() :]
        within |= Q((place, codec.to_column(before)), (name, codec.to_column(after)))
    return [anywhere, within] if within else [anywhere]


def sessions_named(term: str) -> list[Q]:
    return named(Session, "namespace", "session_id", term)


def keys(model: type[Model], conditions: list[Q]) -> list[int]:
    """The keys of the newest rows that meet one of ``conditions``.

    A union, because OR loses indexes; and a list, because beside an order and a limit
    PostgreSQL may prefer to read the whole table.
    """
    first, *rest = (model._default_manager.filter(condition) for condition in conditions)
    found = first.values_list("key").union(*(matches.values_list("key") for matches in rest))
    return [key for (key,) in found.order_by("-key")[: COUNTED + 1]]
