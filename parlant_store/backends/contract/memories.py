"""The contract of stores: memories, which agents keep beyond a session."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from parlant_store.backends.contract.documents import DocumentMethods
from parlant_store.backends.contract.operations import (
    GetMemories,
    ListNamespaces,
    MemoryRow,
    SearchMemories,
    WriteMemories,
)
from parlant_store.backends.contract.validation import (
    MAX_LIMIT,
    check_document,
    check_limit,
    check_owner,
    check_request,
    check_ttl,
)
from parlant_store.backends.threads.async_methods import as_async
from parlant_store.content import codec, query
from parlant_store.content.memories import Namespace, check_namespace, is_memory, memory_id
from parlant_store.content.text_search import terms
from parlant_store.content.times import as_utc, without_zone
from parlant_store.exceptions import InvalidItem, InvalidLimit, InvalidName
from parlant_store.types import (
    DocumentRecord,
    JSONObject,
    Memory,
    MemoryChange,
    NamespaceMatch,
)


class MemoryMethods(DocumentMethods):
    """The operations on memories, which are documents of one collection (content/memories.py)."""

    def get_memories(
        self, names: Sequence[tuple[Namespace, str]], *, refresh: bool = True
    ) -> list[Memory | None]:
        """Return the memory of each pair of a namespace and a key, None where there is none.

        With ``refresh``, the ``ttl_seconds`` of those that are found start again.
        """
        self._documents_supported()
        ids = [_id(namespace, key) for namespace, key in names]
        rows = self._get_memories(GetMemories([*dict.fromkeys(ids)], refresh)) if ids else []
        found = {row.document["id"]: _memory(row) for row in rows}
        return [found.get(each) for each in ids]

    aget_memories = as_async(get_memories)

    def write_memories(
        self, changes: Sequence[MemoryChange], *, request_id: str | UUID | None = None
    ) -> None:
        """Write and delete memories, in one transaction.

        A memory that exists keeps its created_at. Raise InvalidInput; nothing is written then, as
        if a name occurs twice.
        """
        self._documents_supported()
        request = check_request(request_id, "write_memories")
        now: datetime = self.clock()  # type: ignore[attr-defined]  # of BaseBackend
        # In the order of ids, in which all writers lock them.
        by_id = sorted(
            ((_id(change.namespace, change.key), change) for change in changes), key=itemgetter(0)
        )
        ids = [id_ for id_, _ in by_id]
        if len(set(ids)) < len(ids):
            raise InvalidName("a memory occurs twice among those to write")
        records = [_record(id_, change, now) for id_, change in by_id if change.value is not None]
        deleted = [id_ for id_, change in by_id if change.value is None]
        if ids:
            self._write_memories(WriteMemories(records, deleted, request))

    awrite_memories = as_async(write_memories)

    def search_memories(
        self,
        namespace: Namespace = (),
        where: Mapping[str, Any] | None = None,
        *,
        search: str | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh: bool = True,
    ) -> list[Memory]:
        """Return memories in a namespace and below, the one that was written last first.

        ``where`` is a filter on the fields of their values (parlant_store.content.query). With
        ``search``, they have one of its terms in a text of their values
        (parlant_store.content.text_search), and the one with the most matches comes first.
        """
        self._documents_supported()
        labels = check_namespace(namespace)
        filter_ = query.parse(where)
        words = terms(search) if search else None
        page = _page(limit, offset)
        if page[0] == 0 or words == []:
            return []
        rows = self._search_memories(SearchMemories(labels, filter_, words, *page, refresh))
        return [memory for memory in map(_memory, rows) if memory is not None]

    asearch_memories = as_async(search_memories)

    def list_memory_namespaces(
        self,
        conditions: Sequence[NamespaceMatch] = (),
        *,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Namespace]:
        """Return the namespaces with memories that match all ``conditions``, each once.

        They are cut to ``max_depth`` labels, which is 1 at least, and in the order of the ids of
        their memories in the table, which is the same for all pages.
        """
        self._documents_supported()
        for condition in conditions:
            check_namespace(condition.path, "path")
        depth = check_limit(max_depth, "max_depth")
        if depth == 0:
            raise InvalidLimit("max_depth must not be 0")
        page = _page(limit, offset)
        listing = ListNamespaces([*conditions], depth, *page)
        return self._list_namespaces(listing) if page[0] else []

    alist_memory_namespaces = as_async(list_memory_namespaces)

    def _get_memories(self, read: GetMemories) -> list[MemoryRow]:
        raise NotImplementedError

    def _write_memories(self, write: WriteMemories) -> None:
        raise NotImplementedError

    def _search_memories(self, search: SearchMemories) -> list[MemoryRow]:
        raise NotImplementedError

    def _list_namespaces(self, listing: ListNamespaces) -> list[Namespace]:
        raise NotImplementedError


def _id(namespace: Namespace, key: str) -> str:
    labels = check_namespace(namespace)
    return codec.check_name(
        memory_id(labels, codec.check_name(key, "key", empty=True)), "the namespace with the key"
    )


def _page(limit: int, offset: int) -> tuple[int, int]:
    rows, skipped = check_limit(limit), check_limit(offset, "offset")
    return MAX_LIMIT if rows is None else rows, skipped or 0


def memory_record(change: MemoryChange, now: datetime) -> DocumentRecord:
    """Return the document of a memory that is written ``now``; raise InvalidInput."""
    return _record(_id(change.namespace, change.key), change, now)


def _record(id_: str, change: MemoryChange, now: datetime) -> DocumentRecord:
    if not isinstance(change.value, Mapping):
        raise InvalidItem(f"value must be a dict, not {type(change.value).__name__}")
    document: JSONObject = {
        "id": id_,
        "namespace": list(change.namespace),
        "key": change.key,
        "value": dict(change.value),
        "creation_utc": as_utc(now).isoformat(),
    }
    if check_owner(change.user_id) is not None:
        document["customer_id"] = change.user_id
    ttl = check_ttl(change.ttl_seconds)
    if ttl is not None:
        document["ttl"] = change.ttl_seconds
    return DocumentRecord(
        document=check_document(document),
        expires_at=None if ttl is None else as_utc(now) + ttl,
    )


def _memory(row: MemoryRow) -> Memory | None:
    """Return the memory of a row; None if the document is none."""
    document = row.document
    if not is_memory(document):
        return None
    return Memory(
        namespace=tuple(document["namespace"]),
        key=document["key"],
        value=document["value"],
        created_at=_created_at(document.get("creation_utc"), row.updated_at),
        updated_at=row.updated_at,
        score=row.score,
    )


def _created_at(text: Any, updated_at: datetime) -> datetime:
    """Return the time in a document, in the form of ``updated_at``, which is the fallback."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return updated_at
    if time.tzinfo is None:
        return updated_at
    return without_zone(time) if updated_at.tzinfo is None else time
