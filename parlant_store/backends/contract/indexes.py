"""Indexes on documents that a framework requires, in addition to those of the models."""

import hashlib
import json
import re
from typing import NamedTuple

from parlant_store.exceptions import DuplicateDocument, InvalidFilter
from parlant_store.types import Direction

Fields = tuple[tuple[str, Direction], ...]

UNIQUE_PREFIX = "parlant_store_doc_u_"

MAX_FIELDS = 4
"""Limit on the fields of an index: PostgreSQL refuses rows with long values in more fields."""

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

_IN_THE_MODELS = (
    ("id",),
    ("creation_utc", "id"),
    *((owner, "creation_utc", "id") for owner in ("session_id", "customer_id", "agent_id")),
    ("version",),
    ("session_id", "offset"),
    ("variable_id", "key"),
    ("tag_id",),
    ("source",),
    ("target",),
)
_REVERSED: dict[Direction, Direction] = {"asc": "desc", "desc": "asc"}


class Index(NamedTuple):
    """An index to create if it does not exist."""

    name: str
    """A digest of the index; equivalent indexes have the same name."""

    fields: Fields


def is_plain(field: str) -> bool:
    """Whether the name of the field can be used in SQL without quotes."""
    return _PLAIN.fullmatch(field) is not None


def index_for(collection: str, fields: Fields, unique: bool) -> Index | None:
    """Return the index on ``fields``; None if an index of the models serves the same purpose.

    Raise InvalidFilter for fields that cannot be indexed.
    """
    for field, _ in fields:
        if not is_plain(field):
            raise InvalidFilter(
                f"{field!r} cannot be indexed: an index needs names of at most 63 ASCII letters, "
                "digits and _ that do not start with a digit"
            )
    if _is_in_the_models(fields, unique):
        return None
    if unique:
        digest = _digest([collection, sorted({field for field, _ in fields})])
        return Index(UNIQUE_PREFIX + digest, fields)
    # For all collections, which share the index.
    fields = _normalized(fields)[:MAX_FIELDS]
    return Index(f"parlant_store_doc_x_{_digest(fields)}", fields)


def not_unique(collection: str, fields: Fields) -> DuplicateDocument:
    """Return the error if there are documents that a unique index would refuse."""
    return DuplicateDocument(
        f"documents of the collection {collection!r} share their "
        f"{', '.join(field for field, _ in fields)}: no unique index can be created"
    )


def _is_in_the_models(fields: Fields, unique: bool) -> bool:
    names = tuple(field for field, _ in fields)
    if unique:
        return names == ("id",)
    one_way = len({direction for _, direction in fields}) == 1
    return one_way and any(names == index[: len(names)] for index in _IN_THE_MODELS)


def _normalized(fields: Fields) -> Fields:
    """Return ``fields`` starting with "asc": an index can be scanned in both directions."""
    if fields[0][1] == "asc":
        return fields
    return tuple((field, _REVERSED[direction]) for field, direction in fields)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
