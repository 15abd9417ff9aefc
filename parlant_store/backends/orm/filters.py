"""Filters and sorts as SQL, for SQLite and PostgreSQL."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from parlant_store import codec
from parlant_store.query import AllOf, AnyOf, Compare, Filter, In, kind_of
from parlant_store.sql.expressions import (
    NUMBER_FIELDS,
    PREFIX,
    TEXT_FIELDS,
    indexed_number,
    indexed_text,
)
from parlant_store.types import PROMOTED, Direction

Sql = tuple[str, list[Any]]

CREATED = "COALESCE(creation_utc, '')"
ID = "COALESCE(id, '')"

_NULLS = {"asc": "NULLS FIRST", "desc": "NULLS LAST"}
_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def joined(parts: Iterable[Sql], operator: str, empty: str) -> Sql:
    """``parts`` in a row, nested in halves: SQLite bounds the depth of an expression."""
    parts = list(parts)
    if not parts:
        return empty, []
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = (joined(half, operator, empty) for half in (parts[:middle], parts[middle:]))
    return f"({left[0]} {operator} {right[0]})", left[1] + right[1]


class Renderer(ABC):
    """Says filters and sorts in one database's SQL."""

    vendor: str

    def where(self, filter_: Filter) -> Sql:
        """The condition that ``filter_`` is, with its parameters."""
        match filter_:
            case AllOf(parts):
                return joined(map(self.where, parts), "AND", "TRUE")
            case AnyOf(parts):
                return joined(map(self.where, parts), "OR", "FALSE")
            case Compare():
                return self.compare(filter_)
            case In(field, values, negated):
                sql, params = self._in(field, values)
                return (f"({sql}) IS NOT TRUE" if negated else sql), params

    def _in(self, field: str, values: Sequence[Any]) -> Sql:
        texts = [value for value in values if isinstance(value, str)]
        others = [value for value in values if not isinstance(value, str) and value is not None]
        parts: list[Sql] = []
        if texts:
            parts.append(self._text_in(field, texts))
        if others:
            parts.append(self.value_in(field, others))
        if len(texts) + len(others) < len(values):
            parts.append(self.is_null(field))
        return joined(parts, "OR", "FALSE")

    def _text_in(self, field: str, texts: list[str]) -> Sql:
        if field in PROMOTED:
            return self.one_of(field, [codec.to_column(text) for text in texts])
        sql, params = self.value_in(field, texts)
        if field not in TEXT_FIELDS:
            return sql, params
        # The indexed expression, with the index's own condition, finds the rows; the exact one
        # confirms them.
        prefixes = [codec.escape(text)[: self.prefix] for text in texts]
        indexed = indexed_text(self.vendor, "data", field)
        found, prefix_params = self.one_of(indexed, prefixes)
        return f"({indexed} IS NOT NULL AND {found} AND {sql})", prefix_params + params

    prefix: int | None = None

    @abstractmethod
    def one_of(self, expression: str, texts: list[str]) -> Sql:
        """``expression`` is one of ``texts``."""

    @abstractmethod
    def value_in(self, field: str, values: Sequence[Any]) -> Sql:
        """The field is one of ``values``, of which none is None."""

    @abstractmethod
    def is_null(self, field: str) -> Sql:
        """The field is null or missing."""

    @abstractmethod
    def compare(self, filter_: Compare) -> Sql:
        """The field is of the operand's kind and compares so with it."""

    @abstractmethod
    def sort_keys(self, field: str, direction: Direction) -> list[Sql]:
        """What sorts by the field: null, boolean, text, number."""

    def order(self, filter_: Filter, direction: Direction) -> str:
        """The order of find, for a statement that ``filter_`` narrows."""
        return f"{CREATED} {direction}, {ID} {direction}"

    def order_by(self, filter_: Filter, sort: Sequence[tuple[str, Direction]]) -> Sql:
        """``sort``, then the order of find."""
        keys: list[str] = []
        params: list[Any] = []
        for field, direction in sort:
            for sql, key_params in self.sort_keys(field, direction):
                keys.append(sql)
                params += key_params
        return ", ".join([*keys, self.order(filter_, "asc")]), params


class PostgreSQLRenderer(Renderer):
    vendor = "postgresql"
    prefix = PREFIX

    def one_of(self, expression: str, texts: list[str]) -> Sql:
        if len(texts) == 1:
            return f"{expression} = %s::text", list(texts)
        return f"{expression} = ANY (%s::text[])", [texts]

    def value_in(self, field: str, values: Sequence[Any]) -> Sql:
        operands = [codec.encode_value(value, field) for value in values]
        value, params = self._field(field)
        if len(operands) == 1:
            return f"{value} = %s::jsonb", [*params, *operands]
        return f"{value} = ANY (%s::jsonb[])", [*params, operands]

    def is_null(self, field: str) -> Sql:
        value, params = self._field(field)
        return f"COALESCE({value}, 'null') = 'null'", params

    def compare(self, filter_: Compare) -> Sql:
        value, params = self._field(filter_.field)
        sign = _SIGNS[filter_.comparison]
        if filter_.kind == "text":
            operand: Any = codec.escape(str(filter_.value))
            text = value.replace("->", "->>")
            sql = f"(jsonb_typeof({value}) = 'string' AND ({text}) COLLATE \"C\" {sign} %s::text)"
            return sql, [*params, *params, operand]
        operand = codec.encode_value(filter_.value, filter_.field)
        sql = f"(jsonb_typeof({value}) = '{filter_.kind}' AND {value} {sign} %s::jsonb)"
        params = [*params, *params, operand]
        if filter_.kind == "number" and filter_.field in NUMBER_FIELDS:
            indexed = indexed_number(self.vendor, "data", filter_.field)
            sql = f"({indexed} {sign[0]}= %s::bigint AND {sql})"
            params = [_clamped(filter_.value), *params]
        return sql, params

    def sort_keys(self, field: str, direction: Direction) -> list[Sql]:
        value, params = self._field(field)
        text = value.replace("->", "->>")
        keys = [
            (
                f"CASE WHEN jsonb_typeof({value}) = '{kind}' THEN {expression} END"
                f" {direction} {_NULLS[direction]}",
                params * 2,
            )
            for kind, expression in (
                ("number", f"({text})::numeric"),
                ("string", f'({text}) COLLATE "C"'),
                ("boolean", f"({text})::boolean"),
            )
        ]
        if field in NUMBER_FIELDS:
            keys.insert(0, (f"{indexed_number(self.vendor, 'data', field)} {direction}", []))
        return keys

    def _field(self, field: str) -> Sql:
        return "(data -> %s::text)", [codec.escape(field)]


class SQLiteRenderer(Renderer):
    vendor = "sqlite"

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
        if kind is None or not _is_plain(field):
            return self._in_python(In(field, tuple(values)))
        type_, value = self._field(field)
        if kind == "boolean":
            return self.one_of(type_, [json.dumps(value) for value in values])
        if kind == "text":
            found, params = self.one_of(value, [codec.escape(text) for text in values])
            return f"({type_} = 'text' AND {found})", params
        operands = json.dumps(values)
        found = f"{value} IN (SELECT value FROM json_each(%s))"
        return f"({type_} IN ('integer', 'real') AND {found})", [operands]

    def is_null(self, field: str) -> Sql:
        if not _is_plain(field):
            return self._in_python(In(field, (None,)))
        type_, _ = self._field(field)
        return f"COALESCE({type_}, 'null') = 'null'", []

    def compare(self, filter_: Compare) -> Sql:
        if not _is_plain(filter_.field) or _is_beyond_sqlite(filter_.value):
            return self._in_python(filter_)
        type_, value = self._field(filter_.field)
        sign = _SIGNS[filter_.comparison]
        if filter_.kind == "text":
            operand: Any = codec.escape(str(filter_.value))
            return f"({type_} = 'text' AND {value} {sign} %s)", [operand]
        if filter_.kind == "boolean":
            return f"({type_} IN ('true', 'false') AND {value} {sign} %s)", [int(filter_.value)]
        if filter_.field in NUMBER_FIELDS:
            value = indexed_number(self.vendor, "data", filter_.field)
        return f"({type_} IN ('integer', 'real') AND {value} {sign} %s)", [filter_.value]

    def sort_keys(self, field: str, direction: Direction) -> list[Sql]:
        params = []
        type_, value = self._field(field)
        if not _is_plain(field):
            type_ = "(SELECT type FROM json_each(data) WHERE key = %s)"
            value = "(SELECT value FROM json_each(data) WHERE key = %s)"
            params = [codec.escape(field)]
        return [
            (
                f"(CASE WHEN {type_} IN ({kinds}) THEN {value} END)"
                f" {direction} {_NULLS[direction]}",
                params * 2,
            )
            for kinds in ("'integer', 'real'", "'text'", "'true', 'false'")
        ]

    def order(self, filter_: Filter, direction: Direction) -> str:
        if not _is_selective(filter_):
            return super().order(filter_, direction)
        # Without statistics SQLite would walk the whole collection in order. A plus sign
        # keeps it from using an index for the order; it has the filter's index then.
        return f"+{CREATED} {direction}, +{ID} {direction}"

    def _field(self, field: str) -> tuple[str, str]:
        return f"json_type(data, '$.{field}')", f"json_extract(data, '$.{field}')"

    def _in_python(self, filter_: In | Compare) -> Sql:
        return "parlant_store_matches(data, %s)", [dump_leaf(filter_)]


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _is_plain(field: str) -> bool:
    """Whether SQLite can take the field's name as part of a path."""
    return _PLAIN.fullmatch(field) is not None


def _is_selective(filter_: Filter) -> bool:
    """Whether an index finds what the filter wants, though not in the order of find."""
    match filter_:
        case In(field, values, negated=False):
            return field in TEXT_FIELDS or (field in PROMOTED and len(values) != 1)
        case AllOf(parts):
            return any(map(_is_selective, parts))
        case AnyOf(parts):
            return all(map(_is_selective, parts))
    return False


def _is_beyond_sqlite(value: Any) -> bool:
    """Whether SQLite has no exact form of this number."""
    return kind_of(value) == "number" and abs(value) >= 2**63


def _clamped(value: Any) -> int:
    """What the index on a number keeps of it; see sql/expressions.py."""
    bound = Decimal("9e18")
    number = max(-bound, min(bound, Decimal(repr(value))))
    return int(number.to_integral_value(ROUND_HALF_UP))


def dump_leaf(filter_: In | Compare) -> str:
    """A filter without parts as JSON text, for SQLite's parlant_store_matches."""
    if isinstance(filter_, In):
        return json.dumps([filter_.field, None, filter_.values])
    return json.dumps([filter_.field, filter_.comparison, filter_.value])


def load_leaf(text: str) -> In | Compare:
    """The reverse of ``dump_leaf``."""
    field, comparison, value = json.loads(text)
    if comparison is None:
        return In(field, tuple(value))
    return Compare(field, comparison, value)
