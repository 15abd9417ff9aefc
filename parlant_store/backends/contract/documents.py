"""The contract of stores: documents."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from parlant_store.backends.contract.collections import CollectionMethods
from parlant_store.backends.contract.indexes import UNIQUE_PREFIX
from parlant_store.backends.contract.operations import (
    DeleteOne,
    Find,
    FindOne,
    GetDocument,
    InsertNumbered,
    InsertOne,
    SetDocumentExpiry,
    UpdateOne,
)
from parlant_store.backends.contract.validation import (
    MAX_LIMIT,
    check_cursor,
    check_document,
    check_id,
    check_limit,
    check_request,
    check_time,
)
from parlant_store.backends.threads.async_methods import as_async
from parlant_store.content import query
from parlant_store.exceptions import (
    DuplicateDocument,
    InvalidItem,
)
from parlant_store.types import (
    Direction,
    DocumentCursor,
    DocumentInfo,
    DocumentPage,
    JSONObject,
    UpdateResult,
)


class DocumentMethods(CollectionMethods):
    """The operations on documents."""

    def insert_one(
        self, collection: str, document: JSONObject, *, request_id: str | UUID | None = None
    ) -> None:
        """Insert ``document`` into ``collection``.

        Its ``id``, if it has one, must be text. Raise DuplicateDocument if the collection has a
        document with this id.
        """
        request = check_request(request_id, "insert_one")
        self._insert_one(InsertOne(self._collection(collection), check_document(document), request))

    ainsert_one = as_async(insert_one)

    def insert_numbered(
        self,
        collection: str,
        document: JSONObject,
        *,
        number: str,
        within: str,
        request_id: str | UUID | None = None,
    ) -> JSONObject:
        """Insert ``document`` with a unique number, and return it.

        Among the documents with the same value of ``within`` that are inserted by this method,
        the field ``number`` is unique: a number that is taken is replaced by the highest one plus
        one. ``document[number]`` is a whole number, ``document[within]`` is text. Raise
        InvalidItem or DuplicateDocument.
        """
        value, group = document.get(number), document.get(within)
        if not isinstance(value, int) or isinstance(value, bool) or not isinstance(group, str):
            raise InvalidItem(
                f"a numbered document needs a whole number in {number!r} and text in {within!r}, "
                f"not {value!r} and {group!r}"
            )
        request = check_request(request_id, "insert_numbered")
        return self._insert_numbered(
            InsertNumbered(
                self._collection(collection), check_document(document), number, within, request
            )
        )

    ainsert_numbered = as_async(insert_numbered)

    def find(
        self,
        collection: str,
        where: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        cursor: DocumentCursor | None = None,
        direction: Direction = "asc",
        count: bool | int = False,
    ) -> DocumentPage:
        """Return the documents that match ``where`` (parlant_store.content.query).

        They are ordered by creation_utc and id, as text by code point; missing ones come first
        ("asc") or last ("desc"). The page starts after ``cursor`` and has at most ``limit``
        documents, which may be 0. With ``count``, total_count is the number of all matches, which
        have to be read for it; a number limits the count.

        Raise InvalidFilter or InvalidLimit.
        """
        query.parse_sort([("creation_utc", direction)])
        limit, cursor = check_limit(limit), check_cursor(cursor, DocumentCursor)
        filter_ = query.parse(where)
        # One more than the limit shows whether there are more.
        take = None if limit is None else min(limit + 1, MAX_LIMIT)
        count_to = None
        if limit is not None and count is not False:
            count_to = MAX_LIMIT if count is True else check_limit(count)
        documents, total = self._find(
            Find(self._collection(collection), filter_, take, cursor, direction, count_to)
        )
        has_more = limit is not None and len(documents) > limit
        if count is not False:
            # A page with more documents than the count, or all of them, has counted them.
            total = max(total or 0, len(documents))
        documents = documents[:limit]
        return DocumentPage(
            documents=tuple(documents),
            has_more=has_more,
            next_cursor=_cursor(documents[-1]) if has_more and documents else None,
            total_count=total,
        )

    afind = as_async(find)

    def find_one(
        self,
        collection: str,
        where: Mapping[str, Any] | None = None,
        *,
        sort: Sequence[tuple[str, Direction]] = (),
    ) -> JSONObject | None:
        """Return the first document that matches ``where``, or None.

        ``sort`` is pairs of a field and "asc" or "desc"; ascending, missing fields and values that
        are not numbers come before numbers. The order of ``find`` follows.
        """
        pairs = query.parse_sort(sort)
        return self._find_one(FindOne(self._collection(collection), query.parse(where), pairs))

    afind_one = as_async(find_one)

    def get_document(self, collection: str, document_id: str) -> DocumentInfo | None:
        """Return the document with this id and its times; None if there is none."""
        return self._get_document(GetDocument(self._collection(collection), check_id(document_id)))

    aget_document = as_async(get_document)

    def set_document_expiry(
        self,
        collection: str,
        document_id: str,
        expires_at: datetime | None,
        *,
        request_id: str | UUID | None = None,
    ) -> int:
        """Set when a document expires; None for never.

        With a Parlant session, this also sets it for the related documents
        (parlant_store.content.related_documents). Return the number of documents, 0 if there is
        none.
        """
        return self._set_document_expiry(
            SetDocumentExpiry(
                self._collection(collection),
                check_id(document_id),
                check_time(expires_at, "expires_at"),
                check_request(request_id, "set_document_expiry"),
            )
        )

    aset_document_expiry = as_async(set_document_expiry)

    def update_one(
        self,
        collection: str,
        where: Mapping[str, Any],
        params: JSONObject,
        *,
        upsert: bool = False,
        request_id: str | UUID | None = None,
    ) -> UpdateResult:
        """Merge ``params`` into the first document that matches ``where``, key by key.

        With ``upsert``, ``params`` become a new document if none matches. Raise DuplicateDocument
        if another document has the id in ``params``.
        """
        return self._update_one(
            UpdateOne(
                self._collection(collection),
                query.parse(where),
                check_document(params),
                upsert,
                check_request(request_id, "update_one"),
            )
        )

    aupdate_one = as_async(update_one)

    def delete_one(
        self,
        collection: str,
        where: Mapping[str, Any],
        *,
        request_id: str | UUID | None = None,
    ) -> JSONObject | None:
        """Delete the first document that matches ``where`` and return it, or None."""
        request = check_request(request_id, "delete_one")
        return self._delete_one(
            DeleteOne(self._collection(collection), query.parse(where), request)
        )

    adelete_one = as_async(delete_one)

    def _insert_one(self, insertion: InsertOne) -> None:
        raise NotImplementedError

    def _insert_numbered(self, insertion: InsertNumbered) -> JSONObject:
        raise NotImplementedError

    def _find(self, search: Find) -> tuple[list[JSONObject], int | None]:
        raise NotImplementedError

    def _find_one(self, search: FindOne) -> JSONObject | None:
        raise NotImplementedError

    def _get_document(self, read: GetDocument) -> DocumentInfo | None:
        raise NotImplementedError

    def _set_document_expiry(self, change: SetDocumentExpiry) -> int:
        raise NotImplementedError

    def _update_one(self, update: UpdateOne) -> UpdateResult:
        raise NotImplementedError

    def _delete_one(self, deletion: DeleteOne) -> JSONObject | None:
        raise NotImplementedError


def duplicate(collection: str, document: JSONObject, error: str = "") -> DuplicateDocument:
    """Return the error for a document; ``error`` is the message of the database."""
    if UNIQUE_PREFIX in error:
        return DuplicateDocument(
            f"another document of the collection {collection!r} has the values that a unique "
            f"index allows once; this one has the id {document.get('id')!r}"
        )
    return DuplicateDocument(
        f"the collection {collection!r} has another document with the id {document.get('id')!r}"
    )


def _cursor(document: JSONObject) -> DocumentCursor:
    created, id_ = document.get("creation_utc"), document.get("id")
    return DocumentCursor(
        creation_utc=created if isinstance(created, str) else "",
        id=id_ if isinstance(id_, str) else "",
    )
