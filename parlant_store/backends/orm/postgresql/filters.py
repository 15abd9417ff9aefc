"""Filters and sorts as SQL of PostgreSQL."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from parlant_store.backends.contract.indexes import is_plain
from parlant_store.backends.orm.base.filters import NULLS, SIGNS, Renderer, Sql
from parlant_store.content import codec
from parlant_store.content.query import Compare, kind_of
from parlant_store.sql.index_expressions import NUMBER_FIELDS, PREFIX, indexed_number
from parlant_store.types import Direction


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
        sql = f"{value} = %s::jsonb"
        params = [*params, operands[0] if len(operands) == 1 else operands]
        if len(operands) != 1:
            sql = f"{value} = ANY (%s::jsonb[])"
        if field in NUMBER_FIELDS and all(kind_of(value) == "number" for value in values):
            indexed = indexed_number(self.vendor, self.column, field)
            sql = f"({indexed} = ANY (%s::bigint[]) AND {sql})"
            params = [[_clamped(value) for value in values], *params]
        return sql, params

    def has_index(self, field: str) -> bool:
        return is_plain(field)

    def is_null(self, field: str) -> Sql:
        value, params = self._field(field)
        return f"COALESCE({value}, 'null') = 'null'", params

    def compare(self, filter_: Compare) -> Sql:
        value, params = self._field(filter_.field)
        sign = SIGNS[filter_.comparison]
        if filter_.kind == "text":
            operand: Any = codec.escape(str(filter_.value))
            text = value.replace("->", "->>")
            sql = f"(jsonb_typeof({value}) = 'string' AND ({text}) COLLATE \"C\" {sign} %s::text)"
            return sql, [*params, *params, operand]
        operand = codec.encode_value(filter_.value, filter_.field)
        sql = f"(jsonb_typeof({value}) = '{filter_.kind}' AND {value} {sign} %s::jsonb)"
        params = [*params, *params, operand]
        if filter_.kind == "number" and filter_.field in NUMBER_FIELDS:
            indexed = indexed_number(self.vendor, self.column, filter_.field)
            sql = f"({indexed} {sign[0]}= %s::bigint AND {sql})"
            params = [_clamped(filter_.value), *params]
        return sql, params

    def sort_keys(self, field: str, direction: Direction) -> list[Sql]:
        value, params = self._field(field)
        text = value.replace("->", "->>")
        keys = [
            (
                f"CASE WHEN jsonb_typeof({value}) = '{kind}' THEN {expression} END"
                f" {direction} {NULLS[direction]}",
                params * 2,
            )
            for kind, expression in (
                ("number", f"({text})::numeric"),
                ("string", f'({text}) COLLATE "C"'),
                ("boolean", f"({text})::boolean"),
            )
        ]
        if field in NUMBER_FIELDS:
            keys.insert(0, (f"{indexed_number(self.vendor, self.column, field)} {direction}", []))
        return keys

    def _field(self, field: str) -> Sql:
        return f"({self.column} -> %s::text)", [codec.escape(field)]


def _clamped(value: Any) -> int:
    """Return the number as it is indexed; see sql/index_expressions.py."""
    bound = Decimal("9e18")
    is_exact = isinstance(value, float) and value.is_integer()
    number = max(-bound, min(bound, Decimal(value if is_exact else repr(value))))
    return int(number.to_integral_value(ROUND_HALF_UP))
