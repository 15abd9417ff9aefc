"""LangGraph's filters of a search, in the grammar of parlant_store.content.query."""

from collections.abc import Mapping
from typing import Any

from parlant_store.exceptions import InvalidFilter

OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")


def where_of(filter_: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the filter of a SearchOp, in which a value without an operator must be equal.

    Raise InvalidFilter, a ValueError, if it is no dict or has other operators.
    """
    if filter_ is not None and not isinstance(filter_, Mapping):
        raise InvalidFilter(f"filter must be a dict, not {type(filter_).__name__}")
    return {_field(name): _condition(name, value) for name, value in (filter_ or {}).items()}


def _field(name: str) -> str:
    if not isinstance(name, str) or name.startswith("$"):
        raise InvalidFilter(f"a filter names fields of the value, which {name!r} is not")
    return name


def _condition(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        return {"$eq": value}
    for operator in value or ("{}",):
        if operator not in OPERATORS:
            raise InvalidFilter(
                f"{operator!r} on {name!r} is no operator; there are {', '.join(OPERATORS)}, "
                "and $eq also takes a dict"
            )
    return value
