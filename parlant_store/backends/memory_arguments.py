"""The arguments and results of the functions of sql/functions/memories.sql."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from parlant_store.backends.contract.operations import (
    GetMemories,
    ListNamespaces,
    MemoryRow,
    SearchMemories,
    WriteDocuments,
    WriteMemories,
)
from parlant_store.backends.filter_trees import tree
from parlant_store.backends.record_columns import document_columns
from parlant_store.content import codec
from parlant_store.content.memories import IdRange, Namespace, ids_below, labels_of, prefix_of_all
from parlant_store.content.text_search import tsquery
from parlant_store.types import MEMORIES, JSONObject

_WRITTEN = ("documents", "ids", "customer_ids", "terms", "expires")


def get_arguments(read: GetMemories) -> JSONObject:
    ids = [codec.to_column(each) for each in read.ids]
    return {"collection": MEMORIES, "ids": ids, "refresh": read.refresh}


def write_arguments(write: WriteMemories) -> JSONObject:
    columns = document_columns(WriteDocuments(MEMORIES, write.records, True))
    created = [record.document["creation_utc"] for record in write.records]
    return {
        "collection": MEMORIES,
        **{name: columns[name] for name in _WRITTEN},
        "deleted": [codec.to_column(each) for each in write.deleted],
        "created": max(created, default=""),
    }


def search_arguments(search: SearchMemories) -> JSONObject:
    return {
        "collection": MEMORIES,
        **_range(ids_below(search.namespace)),
        "filter": tree(search.filter, ()),
        "query": None if search.terms is None else tsquery(search.terms),
        "limit": search.limit,
        "offset": search.offset,
        "refresh": search.refresh,
    }


def list_arguments(listing: ListNamespaces) -> JSONObject:
    return {
        "collection": MEMORIES,
        **_range(ids_below(prefix_of_all(listing.conditions))),
        "conditions": [
            [condition.is_suffix, list(map(codec.escape, condition.path))]
            for condition in listing.conditions
        ],
        "depth": listing.max_depth,
        "limit": listing.limit,
        "offset": listing.offset,
    }


def memory_rows(rows: Sequence[Sequence[Any]], time_of: Callable[[Any], Any]) -> list[MemoryRow]:
    """Return memories from rows of a text, a time and a score."""
    documents = codec.decode_documents([text for text, *_ in rows])
    return [
        MemoryRow(document, time_of(updated_at), score)
        for document, (_, updated_at, score) in zip(documents, rows, strict=True)
    ]


def namespaces(texts: Iterable[str]) -> list[Namespace]:
    return [labels_of(codec.unescape(text)) for text in texts]


def _range(ids: IdRange) -> JSONObject:
    return {"first": ids.first, "end": ids.end, "start": ids.start}
