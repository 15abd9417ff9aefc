"""Statements that read documents by version, and replace unchanged ones."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import stored
from parlant_store.backends.contract.operations import ReadVersion
from parlant_store.backends.orm.base.sessions import LIVE, Time
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.content import codec
from parlant_store.types import Replacement, StoredDocument

# The condition and the order are those of the index on versions: for an equal version in the order
# of keys, PostgreSQL may scan the primary key instead, through the documents of all collections.
_NEXT = (
    "SELECT d.key FROM parlant_store_document d WHERE d.collection = %s AND {}"
    " AND (d.expires_at IS NULL OR d.expires_at > %s) ORDER BY d.version, d.key LIMIT 1"
)
_LATER = "d.version > (SELECT version FROM parlant_store_document WHERE key = firsts.key)"
_VERSIONS = f"""
WITH RECURSIVE firsts (key) AS (
    SELECT ({_NEXT.format("d.version IS NOT NULL")})
    UNION ALL
    SELECT ({_NEXT.format(_LATER)}) FROM firsts WHERE key IS NOT NULL
)
SELECT key, data FROM parlant_store_document WHERE key IN (
    SELECT key FROM firsts WHERE key IS NOT NULL
    UNION ALL
    SELECT ({_NEXT.format("d.version IS NULL")})
) ORDER BY key
"""


class Versions(ABC):
    """The operations of migrations, for one kind of database."""

    def list_versions(
        self, connection: BaseDatabaseWrapper, collection: str, time: Time
    ) -> list[StoredDocument]:
        name = codec.to_column(collection)
        return stored(fetch(connection, _VERSIONS, (name, time.now) * 3))

    def read_version(
        self, connection: BaseDatabaseWrapper, read: ReadVersion, time: Time
    ) -> list[StoredDocument]:
        collection, version, after, limit = read
        params: list[Any] = [after]
        condition = "version IS NULL AND key > %s"
        if version is not None:
            # Without an equality; see _NEXT.
            name = codec.to_column(version)
            condition, params = "(version, key) > (%s, %s) AND version <= %s", [name, after, name]
        sql = (
            f"SELECT key, data FROM parlant_store_document WHERE collection = %s AND {condition}"
            f" AND {LIVE} ORDER BY version, key LIMIT %s"
        )
        params = [codec.to_column(collection), *params, time.now, limit]
        return stored(fetch(connection, sql, params, prepare=None))

    @abstractmethod
    def replace(
        self, connection: BaseDatabaseWrapper, replacements: Sequence[Replacement], time: Time
    ) -> list[bool]: ...
