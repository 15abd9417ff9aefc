"""Reading documents by version, and replacing those that nobody changed meanwhile."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store import codec
from parlant_store.backends.orm.connection import Row, fetch
from parlant_store.backends.orm.documents import promoted
from parlant_store.backends.orm.sessions import LIVE, Time
from parlant_store.types import PROMOTED, Replacement, StoredDocument

_OF_VERSION = (
    "SELECT key FROM parlant_store_document WHERE collection = %s AND version {}"
    f" AND {LIVE} ORDER BY key LIMIT 1"
)
# One step into the index for each version, however many documents have it.
_VERSIONS = f"""
WITH RECURSIVE versions (version) AS (
    SELECT min(version) FROM parlant_store_document WHERE collection = %s
    UNION ALL
    SELECT (
        SELECT min(version) FROM parlant_store_document
        WHERE collection = %s AND version > versions.version
    ) FROM versions WHERE version IS NOT NULL
)
SELECT key, data FROM parlant_store_document WHERE key IN (
    SELECT ({_OF_VERSION.format("= versions.version")}) FROM versions WHERE version IS NOT NULL
    UNION ALL
    SELECT ({_OF_VERSION.format("IS NULL")})
) ORDER BY key
"""


class Versions(ABC):
    """What the contract asks of migrations, on a connection of one kind of database."""

    def list_versions(
        self, connection: BaseDatabaseWrapper, collection: str, time: Time
    ) -> list[StoredDocument]:
        name = codec.to_column(collection)
        return _stored(fetch(connection, _VERSIONS, (name, name, *(name, time.now) * 2)))

    def read_version(
        self,
        connection: BaseDatabaseWrapper,
        collection: str,
        version: str | None,
        after: int,
        limit: int,
        time: Time,
    ) -> list[StoredDocument]:
        params: list[Any] = [codec.to_column(collection)]
        condition = "version IS NULL"
        if version is not None:
            condition = "version = %s"
            params.append(codec.to_column(version))
        sql = (
            "SELECT key, data FROM parlant_store_document"
            f" WHERE collection = %s AND {condition} AND key > %s AND {LIVE} ORDER BY key LIMIT %s"
        )
        return _stored(fetch(connection, sql, (*params, after, time.now, limit), prepare=None))

    @abstractmethod
    def replace(
        self, connection: BaseDatabaseWrapper, replacements: Sequence[Replacement], time: Time
    ) -> list[bool]: ...


def columns(replacement: Replacement) -> list[str | None]:
    """The collection, the promoted fields and the data of the document to come."""
    fields = promoted(replacement.document)
    return [
        codec.to_column(replacement.collection),
        *(fields.get(field) for field in PROMOTED),
        codec.encode_document(replacement.document, "document"),
    ]


def _stored(rows: list[Row]) -> list[StoredDocument]:
    documents = codec.decode_documents([text for _, text in rows])
    return [
        StoredDocument(key=key, text=text, document=document)
        for (key, text), document in zip(rows, documents, strict=True)
    ]
