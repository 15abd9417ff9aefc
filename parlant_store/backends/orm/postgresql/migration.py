"""Replacement of documents on PostgreSQL."""

from collections.abc import Sequence

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import replaced
from parlant_store.backends.orm.base.migration import Versions
from parlant_store.backends.orm.base.sessions import Time
from parlant_store.backends.orm.postgresql.arrays import array
from parlant_store.backends.orm.postgresql.requests import fetch_once
from parlant_store.exceptions import DuplicateDocument
from parlant_store.types import PROMOTED, Replacement

_COLUMNS = ("collection", *PROMOTED)
# The rows are locked in the order of their keys; then the condition is checked on the committed
# rows.
_REPLACE = f"""
locked AS (
    SELECT key FROM parlant_store_document WHERE key = ANY (%s::bigint[]) ORDER BY key FOR UPDATE
), replaced AS (
    UPDATE parlant_store_document d SET
        {", ".join(f"{column} = new.{column}" for column in _COLUMNS)},
        data = new.data::jsonb, updated_at = %s
    FROM locked JOIN unnest(
        %s::bigint[], %s::text[], {", ".join(["%s::text[]"] * len(_COLUMNS))}, %s::text[]
    ) AS new (key, old, {", ".join(_COLUMNS)}, data) ON new.key = locked.key
    WHERE d.key = locked.key AND d.data::text = new.old
    RETURNING d.key
)
"""


class PostgreSQLVersions(Versions):
    def replace(
        self, connection: BaseDatabaseWrapper, replacements: Sequence[Replacement], time: Time
    ) -> list[bool]:
        keys = [replacement.stored.key for replacement in replacements]
        numbers = array(map(str, keys))
        old = array(replacement.stored.text for replacement in replacements)
        new = map(array, zip(*(replaced(each).values() for each in replacements), strict=True))
        try:
            params = (numbers, time.now, numbers, old, *new)
            sql = "SELECT array_agg(key) AS keys FROM replaced"
            ((replaced_keys,),) = fetch_once(connection, sql, params, ctes=_REPLACE)
        except IntegrityError as exc:
            raise DuplicateDocument("another document has the id of one of these") from exc
        return [key in (replaced_keys or ()) for key in keys]
