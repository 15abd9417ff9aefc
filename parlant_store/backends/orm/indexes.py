"""Indexes on documents that a framework asks for, beside those of the models."""

import hashlib
import json
from abc import ABC, abstractmethod

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store import codec
from parlant_store.backends.orm.filters import is_plain
from parlant_store.exceptions import DuplicateDocument, InvalidFilter
from parlant_store.sql.expressions import NUMBER_FIELDS, indexed_number, indexed_text
from parlant_store.types import PROMOTED, Direction

Fields = tuple[tuple[str, Direction], ...]

UNIQUE_PREFIX = "parlant_store_doc_u_"

MAX_FIELDS = 4
"""How many fields an index keeps: with long values in more, PostgreSQL would refuse the row."""

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


class Indexes(ABC):
    """What the contract asks of indexes, on a connection of one kind of database."""

    def ensure_index(
        self, connection: BaseDatabaseWrapper, collection: str, fields: Fields, unique: bool
    ) -> bool:
        for field, _ in fields:
            if not is_plain(field):
                raise InvalidFilter(
                    f"{field!r} cannot be indexed: an index needs names of letters, digits and _"
                )
        if is_in_the_models(fields, unique):
            return False
        if unique:
            name = UNIQUE_PREFIX + _digest([collection, sorted({field for field, _ in fields})])
            sql = self._create_unique(name, collection, fields)
        else:
            fields = _normalized(fields)[:MAX_FIELDS]
            name = f"parlant_store_doc_x_{_digest(fields)}"
            sql = self._create(name, fields)
        try:
            return self._ensure(connection, name, sql)
        except IntegrityError as exc:
            raise DuplicateDocument(
                f"documents of the collection {collection!r} share their "
                f"{', '.join(field for field, _ in fields)}: no unique index can be made"
            ) from exc

    vendor: str

    @abstractmethod
    def exists(self, connection: BaseDatabaseWrapper, name: str) -> bool:
        """Whether there is an index of this name."""

    @abstractmethod
    def wait_for_others(self, connection: BaseDatabaseWrapper) -> None:
        """Keep others from making indexes until the transaction ends."""

    @abstractmethod
    def unique_expressions(self, field: str) -> list[str]:
        """What is equal where the values of ``field`` are; null where it is null or missing."""

    def _ensure(self, connection: BaseDatabaseWrapper, name: str, sql: str) -> bool:
        if self.exists(connection, name):
            return False
        with transaction.atomic(using=connection.alias):
            self.wait_for_others(connection)
            if self.exists(connection, name):
                return False
            with connection.cursor() as cursor:
                cursor.execute(sql)
        return True

    def _create(self, name: str, fields: Fields) -> str:
        # For all collections: one that asks for what another has asked for shares its index.
        first = self._expression(fields[0][0])
        columns = ", ".join(f"{self._expression(field)} {way}" for field, way in fields)
        return (
            f"CREATE INDEX {name} ON parlant_store_document (collection, {columns})"
            f" WHERE {first} IS NOT NULL"
        )

    def _create_unique(self, name: str, collection: str, fields: Fields) -> str:
        columns = [part for field, _ in fields for part in self.unique_expressions(field)]
        literal = codec.to_column(collection).replace("'", "''")
        return (
            f"CREATE UNIQUE INDEX {name} ON parlant_store_document ({', '.join(columns)})"
            f" WHERE collection = '{literal}'"
        )

    def _expression(self, field: str) -> str:
        if field in PROMOTED:
            return field
        indexed = indexed_number if field in NUMBER_FIELDS else indexed_text
        return indexed(self.vendor, "data", field)


def is_in_the_models(fields: Fields, unique: bool) -> bool:
    """Whether an index of the models does what one on ``fields`` would."""
    names = tuple(field for field, _ in fields)
    if unique:
        return names == ("id",)
    one_way = len({direction for _, direction in fields}) == 1
    return one_way and any(names == index[: len(names)] for index in _IN_THE_MODELS)


def _normalized(fields: Fields) -> Fields:
    """``fields`` from "asc" on: an index is read from either end."""
    if fields[0][1] == "asc":
        return fields
    return tuple((field, _REVERSED[direction]) for field, direction in fields)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
