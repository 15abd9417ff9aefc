"""Parlant's documents by the calls that its own Supabase adapter makes.

That adapter is in no release of Parlant: what it does is said here in few words.
"""

import json
from typing import Any

from parlant.core.persistence import document_database as protocol
from parlant.core.persistence.common import SortDirection
from parlant.core.persistence.document_database import (
    DeleteResult,
    FindResult,
    InsertResult,
    UpdateResult,
)
from supabase import Client

COLUMNS = ("id", "version", "creation_utc", "session_id", "customer_id", "agent_id")


def row_of(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document.get(name) for name in COLUMNS} | {"data": document}


def table_of(prefix: str, name: str) -> str:
    """That of the collection that the prefix is named by has the prefix's name."""
    return prefix if prefix.rstrip("_").endswith(name) else prefix + name


class OldDatabase(protocol.DocumentDatabase):
    """Parlant's documents in the tables of a prefix, by the REST API."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    async def create_collection(self, name: str, schema: Any) -> "OldCollection":
        return OldCollection(self._client, table_of(self._prefix, name))

    async def get_collection(self, name: str, schema: Any, document_loader: Any) -> Any:
        collection = await self.create_collection(name, schema)
        for row in collection.table().select("*").execute().data:
            assert await document_loader(row["data"]) is not None
        return collection

    get_or_create_collection = get_collection

    async def delete_collection(self, name: str) -> None:
        raise NotImplementedError


class OldCollection(protocol.DocumentCollection[Any]):
    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table

    def table(self) -> Any:
        return self._client.table(self._table)

    async def find(
        self, filters: Any, limit: Any = None, cursor: Any = None, sort_direction: Any = None
    ) -> FindResult[Any]:
        backwards = sort_direction == SortDirection.DESC
        query = filtered(self.table().select("*"), filters)
        found = query.order("creation_utc", desc=backwards).order("id", desc=backwards).execute()
        documents = [row["data"] for row in found.data]
        return FindResult(
            items=documents, total_count=len(documents), has_more=False, next_cursor=None
        )

    async def find_one(self, filters: Any, sort: Any = None) -> Any:
        query = filtered(self.table().select("*"), filters)
        for field, direction in sort or ():
            query = query.order(place(field), desc=direction == SortDirection.DESC)
        found = query.limit(1).execute().data
        return found[0]["data"] if found else None

    async def ensure_indexes(self, indexes: Any) -> None:
        pass

    async def insert_one(self, document: Any) -> InsertResult:
        self.table().insert(row_of(document)).execute()
        return InsertResult(acknowledged=True)

    async def update_one(
        self, filters: Any, params: Any, upsert: bool = False
    ) -> UpdateResult[Any]:
        document = await self.find_one(filters)
        if document is None:
            if upsert:
                await self.insert_one(params)
            return UpdateResult(True, 0, 0, params if upsert else None)
        changed = {**document, **params}
        row = row_of(changed)
        self.table().update(row).eq("id", row.pop("id")).execute()
        return UpdateResult(True, 1, 1, changed)

    async def delete_one(self, filters: Any) -> DeleteResult[Any]:
        document = await self.find_one(filters)
        if document is None:
            return DeleteResult(True, deleted_count=0, deleted_document=None)
        self.table().delete().eq("id", document["id"]).execute()
        return DeleteResult(True, deleted_count=1, deleted_document=document)


def filtered(query: Any, filters: Any) -> Any:
    for field, condition in filters.items():
        if field == "$and":
            for part in condition:
                query = filtered(query, part)
        elif field == "$or":
            query = query.or_(",".join(either(part) for part in condition))
        else:
            for operator, operand in condition.items():
                value = operand if field in COLUMNS else json.dumps(operand)
                query = getattr(query, OPERATORS[operator])(place(field), value)
    return query


def either(part: Any) -> str:
    (field, condition), *others = part.items()
    (operator, operand), *more = condition.items()
    assert not others
    assert not more
    return f"{field if field in COLUMNS else f'data->>{field}'}.{OPERATORS[operator]}.{operand}"


def place(field: str) -> str:
    return field if field in COLUMNS else f"data->{field}"


OPERATORS = {"$eq": "eq", "$ne": "neq", "$gte": "gte", "$lte": "lte", "$gt": "gt", "$lt": "lt"}
