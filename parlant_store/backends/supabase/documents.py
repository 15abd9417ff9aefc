"""Documents over Supabase."""

from collections.abc import Sequence
from datetime import datetime

from parlant_store import codec
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.documents import duplicate
from parlant_store.backends.indexes import Fields, not_unique, wanted
from parlant_store.backends.rows import (
    number_turn,
    promoted,
    replaced,
    stored,
    upsert_turn,
)
from parlant_store.backends.supabase.connection import Conflict, Connection, time_of
from parlant_store.backends.supabase.filters import tree
from parlant_store.exceptions import DuplicateDocument
from parlant_store.query import AllOf, Filter, In
from parlant_store.types import (
    Direction,
    DocumentCursor,
    DocumentInfo,
    JSONObject,
    Replacement,
    StoredDocument,
    UpdateResult,
)


class SupabaseDocuments(BaseBackend):
    """What a store does with documents, each by one call."""

    connection: Connection

    def _insert_one(self, collection: str, document: JSONObject) -> None:
        try:
            inserted = self.connection.write(
                "insert_one", **self._in(collection), **_content(document)
            )
        except Conflict as exc:
            raise duplicate(collection, document, str(exc)) from exc
        if not inserted:
            raise duplicate(collection, document)

    def _insert_numbered(
        self, collection: str, document: JSONObject, number: str, within: str
    ) -> JSONObject:
        group = In(within, (document[within],))
        taken = AllOf((group, In(number, (document[number],))))
        try:
            text = self.connection.write(
                "insert_numbered",
                **self._in(collection),
                **_content(document),
                number=codec.escape(number),
                group=tree(group),
                taken=tree(taken),
                turn=number_turn(collection, document[within]),
            )
        except Conflict as exc:
            raise duplicate(collection, document, str(exc)) from exc
        if text is None:
            raise duplicate(collection, document)
        return codec.decode_document(text)  # type: ignore[no-any-return]

    def _find(
        self,
        collection: str,
        filter_: Filter,
        limit: int | None,
        cursor: DocumentCursor | None,
        direction: Direction,
        count_to: int | None,
    ) -> tuple[list[JSONObject], int | None]:
        found = self.connection.read(
            "find",
            **self._in(collection),
            filter=tree(filter_),
            limit=limit,
            created=None if cursor is None else codec.to_column(cursor.creation_utc),
            id=None if cursor is None else codec.to_column(cursor.id),
            direction=direction,
            count_to=count_to,
        )
        return codec.decode_documents(found["documents"]), found["total"]

    def _find_one(
        self, collection: str, filter_: Filter, sort: tuple[tuple[str, Direction], ...]
    ) -> JSONObject | None:
        text = self.connection.read(
            "find_one",
            **self._in(collection),
            filter=tree(filter_),
            sort=[[codec.escape(field), direction] for field, direction in sort],
        )
        return None if text is None else codec.decode_document(text)

    def _get_document(self, collection: str, document_id: str) -> DocumentInfo | None:
        found = self.connection.read(
            "get_document", **self._in(collection), id=codec.to_column(document_id)
        )
        return found and DocumentInfo(
            document=codec.decode_document(found["document"]),
            updated_at=time_of(found["updated_at"]),
            expires_at=time_of(found["expires_at"]),
        )

    def _set_document_expiry(
        self, collection: str, document_id: str, expires_at: datetime | None
    ) -> int:
        count: int = self.connection.write(
            "set_document_expiry",
            **self._in(collection),
            id=codec.to_column(document_id),
            expires_at=expires_at,
        )
        return count

    def _update_one(
        self, collection: str, filter_: Filter, params: JSONObject, upsert: bool
    ) -> UpdateResult:
        try:
            found = self.connection.write(
                "update_one",
                **self._in(collection),
                filter=tree(filter_),
                **_content(params),
                upsert=upsert,
                turn=upsert_turn(collection, filter_),
            )
        except Conflict as exc:
            raise duplicate(collection, params, str(exc)) from exc
        if found is None:
            return UpdateResult(matched=False, document=None)
        if found["document"] is None:
            raise duplicate(collection, params)
        document = codec.decode_document(found["document"])
        return UpdateResult(matched=found["matched"], document=document)

    def _delete_one(self, collection: str, filter_: Filter) -> JSONObject | None:
        text = self.connection.write("delete_one", **self._in(collection), filter=tree(filter_))
        return None if text is None else codec.decode_document(text)

    def _list_collections(self) -> list[str]:
        names = self.connection.read("list_collections", now=self.clock())
        return [codec.unescape(name) for name in names]

    def _drop_collection(self, collection: str) -> int:
        count: int = self.connection.write(
            "drop_collection", collection=codec.to_column(collection)
        )
        return count

    def _list_versions(self, collection: str) -> list[StoredDocument]:
        return stored(self.connection.read("list_versions", **self._in(collection)))

    def _read_version(
        self, collection: str, version: str | None, after: int, limit: int
    ) -> list[StoredDocument]:
        found = self.connection.read(
            "read_version",
            **self._in(collection),
            version=None if version is None else codec.to_column(version),
            after=after,
            limit=limit,
        )
        return stored(found)

    def _replace(self, replacements: Sequence[Replacement]) -> list[bool]:
        documents = [
            {"key": each.stored.key, "old": each.stored.text, **replaced(each)}
            for each in replacements
        ]
        try:
            keys = self.connection.write("replace", documents=documents, now=self.clock())
        except Conflict as exc:
            raise DuplicateDocument("another document has the id of one of these") from exc
        done = set(keys)
        return [each.stored.key in done for each in replacements]

    def _ensure_index(self, collection: str, fields: Fields, unique: bool) -> bool:
        index = wanted(collection, fields, unique)
        if index is None:
            return False
        try:
            made: bool = self.connection.write(
                "ensure_index",
                name=index.name,
                collection=codec.to_column(collection),
                fields=index.fields,
                unique=unique,
            )
        except Conflict as exc:
            raise not_unique(collection, fields) from exc
        return made

    def _in(self, collection: str) -> JSONObject:
        return {"collection": codec.to_column(collection), "now": self.clock()}


def _content(document: JSONObject) -> JSONObject:
    return {
        "document": codec.encode_document(document, "document"),
        "columns": promoted(document),
    }
