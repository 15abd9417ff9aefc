"""Statements for memories."""

from abc import ABC, abstractmethod

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.operations import (
    GetMemories,
    ListNamespaces,
    MemoryRow,
    SearchMemories,
    WriteMemories,
)
from parlant_store.backends.orm.base.sessions import Time
from parlant_store.content.memories import Namespace


class Memories(ABC):
    """The operations on memories, for one kind of database."""

    @abstractmethod
    def get(
        self, connection: BaseDatabaseWrapper, read: GetMemories, time: Time
    ) -> list[MemoryRow]: ...

    @abstractmethod
    def write(self, connection: BaseDatabaseWrapper, write: WriteMemories, time: Time) -> None: ...

    @abstractmethod
    def search(
        self, connection: BaseDatabaseWrapper, search: SearchMemories, time: Time
    ) -> list[MemoryRow]: ...

    @abstractmethod
    def list_namespaces(
        self, connection: BaseDatabaseWrapper, listing: ListNamespaces, time: Time
    ) -> list[Namespace]: ...
