"""Statements for indexes on documents that a framework requires."""

from abc import ABC, abstractmethod

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.indexes import Fields, index_for, not_unique
from parlant_store.backends.contract.operations import EnsureIndex
from parlant_store.content import codec
from parlant_store.sql.index_expressions import NUMBER_FIELDS, indexed_number, indexed_text
from parlant_store.types import PROMOTED


class Indexes(ABC):
    """The operations on indexes, for one kind of database."""

    def ensure_index(self, connection: BaseDatabaseWrapper, operation: EnsureIndex) -> bool:
        collection, fields, unique, _ = operation
        index = index_for(collection, fields, unique)
        if index is None:
            return False
        if unique:
            sql = self._create_unique(index.name, collection, index.fields)
        else:
            sql = self._create(index.name, index.fields)
        try:
            return self.ensure(connection, index.name, sql)
        except IntegrityError as exc:
            raise not_unique(collection, fields) from exc

    vendor: str

    @abstractmethod
    def exists(self, connection: BaseDatabaseWrapper, name: str) -> bool:
        """Whether there is an index of this name."""

    @abstractmethod
    def wait_for_others(self, connection: BaseDatabaseWrapper) -> None:
        """Lock the creation of indexes until the transaction ends."""

    @abstractmethod
    def unique_expressions(self, field: str) -> list[str]:
        """Return expressions that are equal for equal values of ``field``, and null for null."""

    def ensure(self, connection: BaseDatabaseWrapper, name: str, sql: str) -> bool:
        """Create the index of this name unless it exists; return whether it was created."""
        if self.exists(connection, name):
            return False
        with transaction.atomic(using=connection.alias):
            self.wait_for_others(connection)
            if self.exists(connection, name):
                return False
            self.make(connection, sql)
        return True

    def make(self, connection: BaseDatabaseWrapper, sql: str) -> None:
        """Create an index."""
        with connection.cursor() as cursor:
            cursor.execute(sql)

    def _create(self, name: str, fields: Fields) -> str:
        # For all collections, which share the index.
        first = self._expression(fields[0][0])
        columns = ", ".join(f"{self._expression(field)} {direction}" for field, direction in fields)
        return (
            f"CREATE INDEX {name} ON parlant_store_document (collection, {columns})"
            f" WHERE {first} IS NOT NULL"
        )

    def _create_unique(self, name: str, collection: str, fields: Fields) -> str:
        columns = [part for field, _ in fields for part in self.unique_expressions(field)]
        literal = codec.to_column(collection).replace("'", "''")
        return (
            f"CREATE UNIQUE INDEX {name} ON parlant_store_document"
            f" (collection, {', '.join(columns)})"
            f" WHERE collection = '{literal}'"
        )

    def _expression(self, field: str) -> str:
        if field in PROMOTED:
            return field
        indexed = indexed_number if field in NUMBER_FIELDS else indexed_text
        return indexed(self.vendor, "data", field)
