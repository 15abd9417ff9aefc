"""Replacement of documents on PostgreSQL."""

from collections.abc import Sequence

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import NOT_SEARCHED, replaced
from parlant_store.backends.orm.base.migration import Versions
from parlant_store.backends.orm.base.sessions import Time
from parlant_store.backends.orm.postgresql.arrays import array
from parlant_store.backends.orm.postgresql.requests import fetch_once
from parlant_store.content.text_search import tsvector
from parlant_store.exceptions import DuplicateDocument
from parlant_store.types import PROMOTED, Replacement

_COLUMNS = ("collection", *PROMOTED)
_NEW = (*_COLUMNS, "data", *NOT_SEARCHED)
# The rows are locked in the order of their keys; then the condition is checked on the committed
# rows.
_REPLACE = f"""
locked AS (
    SELECT key FROM parlant_store_document WHERE key = ANY (%s::bigint[]) ORDER BY key FOR UPDATE
), replaced AS (
    UPDATE parlant_store_document d SET
        {", ".join(f"{column} = new.{column}" for column in _COLUMNS)},
        data = new.data::jsonb, terms = new.terms::tsvector,
        failed_calls = CASE
            WHEN d.active_minute IS NULL THEN new.failed_calls::bigint ELSE d.failed_calls
        END,
        updated_at = %s
    FROM locked JOIN unnest(
        %s::bigint[], %s::text[], {", ".join(["%s::text[]"] * len(_NEW))}
    ) AS new (key, old, {", ".join(_NEW)}) ON new.key = locked.key
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
        rows = [map(_text, replaced(each, tsvector).values()) for each in replacements]
        new = map(array, zip(*rows, strict=True))
        try:
            params = (numbers, time.now, numbers, old, *new)
            sql = "SELECT array_agg(key) AS keys FROM replaced"
            ((replaced_keys,),) = fetch_once(connection, sql, params, ctes=_REPLACE)
        except IntegrityError as exc:
            raise DuplicateDocument("another document has the id of one of these") from exc
        return [key in (replaced_keys or ()) for key in keys]


def _text(value: str | int | None) -> str | None:
    return None if value is None else str(value)
