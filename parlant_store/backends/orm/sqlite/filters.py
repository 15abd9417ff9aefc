"""Filters and sorts as SQL of SQLite."""

import json
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.indexes import is_plain
from parlant_store.backends.orm.base.filters import (
    AFTER,
    CREATED,
    ID,
    NULLS,
    SIGNS,
    Renderer,
    Sql,
    joined,
)
from parlant_store.backends.orm.database.sqlite_functions import create_function
from parlant_store.content import codec
from parlant_store.content.query import AllOf, AnyOf, Compare, Filter, In, kind_of, matches
from parlant_store.sql.index_expressions import NUMBER_FIELDS, TEXT_FIELDS, indexed_number
from parlant_store.types import PROMOTED, Direction, DocumentCursor

LARGE = f"{2**63}.0"
_COMPLEMENT = str.maketrans("0123456789", "9876543210")


class SQLiteRenderer(Renderer):
    vendor = "sqlite"

    def where(self, filter_: Filter) -> Sql:
        if not isinstance(filter_, AllOf) or not any(map(_selects_few, filter_.parts)):
            return super().where(filter_)
        parts = []
        for part in filter_.parts:
            sql, params = self.where(part)
            if sql.startswith("agent_id "):
                # Without statistics, SQLite may read all documents of an agent. A plus sign keeps
                # it from using this index.
                sql = f"+{sql}"
            parts.append((sql, params))
        return joined(parts, "AND", "TRUE")

    def one_of(self, expression: str, texts: list[str]) -> Sql:
        if len(texts) == 1:
            return f"{expression} = %s", list(texts)
        return f"{expression} IN (SELECT value FROM json_each(%s))", [json.dumps(texts)]

    def value_in(self, field: str, values: Sequence[Any]) -> Sql:
        by_kind: dict[str | None, list[Any]] = {}
        for value in values:
            kind = None if _is_beyond_sqlite(value) else kind_of(value)
            by_kind.setdefault(kind, []).append(value)
        return joined((self._kind_in(field, *group) for group in by_kind.items()), "OR", "FALSE")

    def _kind_in(self, field: str, kind: str | None, values: list[Any]) -> Sql:
        if kind is None or not is_plain(field):
            return self._in_python(In(field, tuple(values)))
        type_, value = self._field(field)
        if kind == "boolean":
            return self.one_of(type_, [json.dumps(value) for value in values])
        if kind == "text":
            matches, params = self.one_of(value, [codec.escape(text) for text in values])
            return f"({type_} = 'text' AND {matches})", params
        if field in NUMBER_FIELDS:
            value = indexed_number(self.vendor, self.column, field)
            if len(values) == 1:
                return f"{value} = %s", values
        operands = json.dumps(values)
        matches = f"{value} IN (SELECT value FROM json_each(%s))"
        return f"({type_} IN ('integer', 'real') AND {matches})", [operands]

    def is_null(self, field: str) -> Sql:
        if not is_plain(field):
            return self._in_python(In(field, (None,)))
        type_, _ = self._field(field)
        return f"COALESCE({type_}, 'null') = 'null'", []

    def compare(self, filter_: Compare) -> Sql:
        if not is_plain(filter_.field) or _is_beyond_sqlite(filter_.value):
            return self._in_python(filter_)
        type_, value = self._field(filter_.field)
        sign = SIGNS[filter_.comparison]
        if filter_.kind == "text":
            operand: Any = codec.escape(str(filter_.value))
            return f"({type_} = 'text' AND {value} {sign} %s)", [operand]
        if filter_.kind == "boolean":
            return f"({type_} IN ('true', 'false') AND {value} {sign} %s)", [int(filter_.value)]
        if filter_.field in NUMBER_FIELDS:
            value = indexed_number(self.vendor, self.column, filter_.field)
        return f"({type_} IN ('integer', 'real') AND {value} {sign} %s)", [filter_.value]

    def sort_keys(self, field: str, direction: Direction) -> list[Sql]:
        params = []
        type_, value = self._field(field)
        if not is_plain(field):
            type_ = f"(SELECT type FROM json_each({self.column}) WHERE key = %s)"
            value = f"(SELECT value FROM json_each({self.column}) WHERE key = %s)"
            params = [codec.escape(field)]
        keys = [
            (
                f"(CASE WHEN {type_} IN ({kinds}) THEN {value} END) {direction} {NULLS[direction]}",
                params * 2,
            )
            for kinds in ("'integer', 'real'", "'text'", "'true', 'false'")
        ]
        # SQLite converts integers of more than 64 bits to floats: they are sorted by their digits.
        large = f"({value} >= {LARGE} OR {value} <= -{LARGE})"
        digits = (
            f"(CASE WHEN {type_} IN ('integer', 'real') AND {large}"
            f" THEN parlant_store_digits({self.column}, %s) END) {direction}"
        )
        return [*keys, (digits, [*params * 3, codec.escape(field)])]

    def after(self, cursor: DocumentCursor, direction: Direction) -> Sql:
        # SQLite can seek in an index on expressions by one expression, but not by a row value.
        after, params = super().after(cursor, direction)
        return f"{CREATED} {AFTER[direction]}= %s AND {after}", [params[0], *params]

    def order(self, filter_: Filter, direction: Direction) -> str:
        if not _is_selective(filter_):
            return super().order(filter_, direction)
        # Without statistics, SQLite may scan the whole collection in order. A plus sign keeps it
        # from using an index for the order, so that it uses that of the filter.
        return f"+{CREATED} {direction}, +{ID} {direction}"

    def _field(self, field: str) -> tuple[str, str]:
        return f"json_type({self.column}, '$.{field}')", f"json_extract({self.column}, '$.{field}')"

    def _in_python(self, filter_: In | Compare) -> Sql:
        return f"parlant_store_matches({self.column}, %s)", [dump_leaf(filter_)]


def _selects_few(filter_: Filter) -> bool:
    """Whether the filter is for certain documents, or those of a session or a customer."""
    fields = ("id", "session_id", "customer_id")
    return isinstance(filter_, In) and not filter_.negated and filter_.field in fields


def _is_selective(filter_: Filter) -> bool:
    """Whether the filter can use an index that does not have the order of find."""
    match filter_:
        case In(field, values, negated=False):
            indexed = (*TEXT_FIELDS, *NUMBER_FIELDS)
            return field in indexed or (field in PROMOTED and len(values) != 1)
        case AllOf(parts):
            return any(map(_is_selective, parts))
        case AnyOf(parts):
            return all(map(_is_selective, parts))
    return False


def _is_beyond_sqlite(value: Any) -> bool:
    """Whether SQLite has no exact form of this number."""
    return kind_of(value) == "number" and abs(value) >= 2**63


def dump_leaf(filter_: In | Compare) -> str:
    """Return a filter without parts as JSON text, for the function parlant_store_matches."""
    if isinstance(filter_, In):
        return json.dumps([filter_.field, None, filter_.values])
    return json.dumps([filter_.field, filter_.comparison, filter_.value])


def load_leaf(text: str) -> In | Compare:
    """Reverse ``dump_leaf``."""
    field, comparison, value = json.loads(text)
    if comparison is None:
        return In(field, tuple(value))
    return Compare(field, comparison, value)


def prepare(connection: BaseDatabaseWrapper, sql: str) -> None:
    """Create the Python functions that ``sql`` calls on the connection."""
    for name, function in (("parlant_store_matches", _matches), ("parlant_store_digits", _digits)):
        if name in sql:
            create_function(connection, name, 2, function, deterministic=True)


def _matches(data: str, leaf: str) -> bool:
    """Check a condition that SQLite cannot compare exactly."""
    return matches(load_leaf(leaf), codec.decode_document(data))


def _digits(data: str, field: str) -> str:
    """Return text that sorts like the large number in ``field`` among those with its sign."""
    number = int(codec.decode_document(data)[codec.unescape(field)])
    digits = str(abs(number))
    text = f"{len(digits):06}{digits}"
    return text if number > 0 else text.translate(_COMPLEMENT)
