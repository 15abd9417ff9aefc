"""Whole sessions and documents, in databases with tables that refer to ours."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.operations import WriteDocuments, WriteSessions
from parlant_store.backends.orm.base.records import Records
from parlant_store.backends.orm.base.sessions import Time
from parlant_store.backends.orm.references import documents
from parlant_store.backends.orm.references.deletion import writing
from parlant_store.backends.orm.references.sessions import delete_if_expired, delete_items


class ReferencedRecords(Records):
    """Deletes by Django's ORM what the statements of ``tables`` would delete."""

    def __init__(self, tables: Records) -> None:
        self.tables = tables
        self.names = tables.names
        self.ids = tables.ids
        self.time = tables.time
        self.items = tables.items

    def name_params(self, names: list[tuple[str, str]]) -> tuple[Any, ...]:
        return self.tables.name_params(names)

    def id_params(self, ids: list[str]) -> list[Any]:
        return self.tables.id_params(ids)

    def write_sessions(
        self, connection: BaseDatabaseWrapper, operation: WriteSessions, time: Time
    ) -> list[bool]:
        with writing(connection):
            for entry in operation.entries:
                delete_if_expired(connection, entry.session, time)
                if operation.replace:
                    delete_items(connection, entry.session, time)
            return self.tables.write_sessions(connection, operation, time)

    def write_documents(
        self, connection: BaseDatabaseWrapper, operation: WriteDocuments, time: Time
    ) -> list[bool]:
        with writing(connection):
            for record in operation.records:
                documents.delete_if_expired(connection, operation.collection, record.document, time)
            return self.tables.write_documents(connection, operation, time)
