"""The contract of stores: collections of documents, their migration and their indexes."""

from collections.abc import Sequence
from uuid import UUID

from parlant_store.backends.contract.operations import (
    DropCollection,
    EnsureIndex,
    ReadVersion,
    ReplaceDocuments,
)
from parlant_store.backends.contract.validation import (
    check_collection,
    check_document,
    check_request,
)
from parlant_store.backends.threads.async_methods import as_async
from parlant_store.content import query
from parlant_store.exceptions import InvalidFilter, NotSupported
from parlant_store.types import OWNERS, Direction, Replacement, StoredDocument


class CollectionMethods:
    """The operations on collections."""

    alias: str

    supports_documents = True
    """Does this backend store documents, or sessions only?"""

    def list_collections(self) -> list[str]:
        """Return the names of the collections with documents, sorted, without internal ones."""
        self._documents_supported()
        return [name for name in self._list_collections() if name != OWNERS]

    alist_collections = as_async(list_collections)

    def drop_collection(self, collection: str, *, request_id: str | UUID | None = None) -> int:
        """Delete all documents of ``collection``; return their number."""
        request = check_request(request_id, "drop_collection")
        return self._drop_collection(DropCollection(self._collection(collection), request))

    adrop_collection = as_async(drop_collection)

    def list_versions(self, collection: str) -> list[StoredDocument]:
        """Return one document of each ``version`` in the collection.

        Documents whose version is missing or not text count as one version.
        """
        return self._list_versions(self._collection(collection))

    alist_versions = as_async(list_versions)

    def read_version(
        self,
        collection: str,
        version: str | None,
        *,
        after: StoredDocument | None = None,
        limit: int = 500,
    ) -> list[StoredDocument]:
        """Return documents of a version after ``after``, in an order of the backend."""
        key = 0 if after is None else after.key
        return self._read_version(ReadVersion(self._collection(collection), version, key, limit))

    aread_version = as_async(read_version)

    def replace(
        self, replacements: Sequence[Replacement], *, request_id: str | UUID | None = None
    ) -> list[bool]:
        """Replace stored documents, in one transaction.

        A document that was changed or deleted since it was read is not replaced, and has False in
        the result. Raise DuplicateDocument if another document has the new id.
        """
        self._documents_supported()
        for replacement in replacements:
            check_collection(replacement.collection)
            check_document(replacement.document)
        request = check_request(request_id, "replace")
        return self._replace(ReplaceDocuments(replacements, request)) if replacements else []

    areplace = as_async(replace)

    def ensure_index(
        self,
        collection: str,
        fields: Sequence[tuple[str, Direction]],
        *,
        unique: bool = False,
        request_id: str | UUID | None = None,
    ) -> bool:
        """Create an index on ``fields`` unless it exists; return whether it was created.

        With a ``unique`` index, a write raises DuplicateDocument if another document has the same
        values in all of ``fields``; documents that lack one of them are exempt. Raise
        DuplicateDocument if there already are such documents.
        """
        pairs = query.parse_sort(fields)
        if not pairs:
            raise InvalidFilter("an index needs one field at least")
        request = check_request(request_id, "ensure_index")
        return self._ensure_index(EnsureIndex(self._collection(collection), pairs, unique, request))

    aensure_index = as_async(ensure_index)

    def _list_collections(self) -> list[str]:
        raise NotImplementedError

    def _drop_collection(self, deletion: DropCollection) -> int:
        raise NotImplementedError

    def _list_versions(self, collection: str) -> list[StoredDocument]:
        raise NotImplementedError

    def _read_version(self, read: ReadVersion) -> list[StoredDocument]:
        raise NotImplementedError

    def _replace(self, replacement: ReplaceDocuments) -> list[bool]:
        raise NotImplementedError

    def _ensure_index(self, index: EnsureIndex) -> bool:
        raise NotImplementedError

    def _collection(self, collection: str) -> str:
        self._documents_supported()
        return check_collection(collection)

    def _documents_supported(self) -> None:
        if not self.supports_documents:
            raise NotSupported(
                f"the store {self.alias!r} has no documents: {type(self).__name__} stores "
                "sessions only"
            )
