"""Filters as JSON, in the form of parlant_store_where (sql/functions/filters.sql)."""

from collections.abc import Sequence
from typing import Any

from parlant_store.content import codec
from parlant_store.content.query import AllOf, AnyOf, Compare, Filter, In
from parlant_store.types import PROMOTED, JSONObject

_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_KINDS = {"text": "string", "number": "number", "boolean": "boolean"}


def tree(filter_: Filter, columns: Sequence[str] = PROMOTED) -> JSONObject:
    """Return ``filter_`` as JSON; ``columns`` are the fields that have columns too."""
    match filter_:
        case AllOf(parts):
            return {"all": [tree(part, columns) for part in parts]}
        case AnyOf(parts):
            return {"any": [tree(part, columns) for part in parts]}
        case Compare(field, comparison, value):
            return {
                "field": codec.escape(field),
                "sign": _SIGNS[comparison],
                "kind": _KINDS[filter_.kind],
                "value": codec.encode_value(value, field),
            }
        case In(field, values, negated):
            condition = _in(field, values, field in columns)
            return {"not": condition} if negated else condition


def _in(field: str, values: Sequence[Any], column: bool) -> JSONObject:
    texts = [value for value in values if isinstance(value, str)] if column else []
    if not texts:
        return _value_in(field, values)
    by_column = {"field": field, "column": True, "in": [codec.to_column(text) for text in texts]}
    others = [value for value in values if not isinstance(value, str)]
    return {"any": [by_column, _value_in(field, others)]} if others else by_column


def _value_in(field: str, values: Sequence[Any]) -> JSONObject:
    return {
        "field": codec.escape(field),
        "in": [codec.encode_value(value, field) for value in values if value is not None],
        "null": None in values,
    }
