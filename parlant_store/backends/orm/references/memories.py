"""Memories to which tables of the project refer."""

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.operations import (
    GetMemories,
    ListNamespaces,
    MemoryRow,
    SearchMemories,
    WriteMemories,
)
from parlant_store.backends.orm.base.memories import Memories
from parlant_store.backends.orm.base.sessions import Time
from parlant_store.backends.orm.references import documents
from parlant_store.backends.orm.references.deletion import writing
from parlant_store.content.memories import Namespace
from parlant_store.types import MEMORIES


class ReferencedMemories(Memories):
    """Deletes by Django's ORM what the statements of ``tables`` would delete."""

    def __init__(self, tables: Memories) -> None:
        self.tables = tables

    def get(
        self, connection: BaseDatabaseWrapper, read: GetMemories, time: Time
    ) -> list[MemoryRow]:
        return self.tables.get(connection, read, time)

    def write(self, connection: BaseDatabaseWrapper, write: WriteMemories, time: Time) -> None:
        with writing(connection):
            for id_ in write.deleted:
                documents.delete_by_id(connection, MEMORIES, id_)
            for record in write.records:
                documents.delete_if_expired(connection, MEMORIES, record.document, time)
            self.tables.write(connection, write._replace(deleted=[]), time)

    def search(
        self, connection: BaseDatabaseWrapper, search: SearchMemories, time: Time
    ) -> list[MemoryRow]:
        return self.tables.search(connection, search, time)

    def list_namespaces(
        self, connection: BaseDatabaseWrapper, listing: ListNamespaces, time: Time
    ) -> list[Namespace]:
        return self.tables.list_namespaces(connection, listing, time)
