"""Memories over Supabase, each operation by one call."""

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.contract.operations import (
    GetMemories,
    ListNamespaces,
    MemoryRow,
    SearchMemories,
    WriteMemories,
)
from parlant_store.backends.memory_arguments import (
    get_arguments,
    list_arguments,
    memory_rows,
    namespaces,
    search_arguments,
    write_arguments,
)
from parlant_store.backends.supabase.client import Connection, time_of
from parlant_store.backends.supabase.rest import shapes
from parlant_store.content.memories import Namespace


class SupabaseMemories(BaseBackend):
    connection: Connection

    def _get_memories(self, read: GetMemories) -> list[MemoryRow]:
        rows = self.connection.read(
            "get_memories", shapes.MEMORIES, **get_arguments(read), now=self.clock()
        )
        return memory_rows(rows, time_of)

    def _write_memories(self, write: WriteMemories) -> None:
        self.connection.write(
            "write_memories",
            shapes.integer,
            write.request,
            **write_arguments(write),
            now=self.clock(),
        )

    def _search_memories(self, search: SearchMemories) -> list[MemoryRow]:
        rows = self.connection.read(
            "search_memories", shapes.MEMORIES, **search_arguments(search), now=self.clock()
        )
        return memory_rows(rows, time_of)

    def _list_namespaces(self, listing: ListNamespaces) -> list[Namespace]:
        texts = self.connection.read(
            "list_namespaces",
            shapes.list_of(shapes.text),
            **list_arguments(listing),
            now=self.clock(),
        )
        return namespaces(texts)
