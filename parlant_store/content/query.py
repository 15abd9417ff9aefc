"""Filters and sorts of documents, parsed and checked once.

The grammar is Parlant's ``Where`` (parlant.core.persistence.common)::

    where    = {field: {operator: value, ...}, "$and": [where, ...], "$or": [where, ...]}
    operator = "$eq" "$ne" "$gt" "$gte" "$lt" "$lte" "$in" "$nin"

Conditions side by side are ANDed. A missing field counts as null: ``$ne`` and ``$nin``
match it, comparisons do not. 1, True and "1" are three different values, while 1 and 1.0
are one; comparisons match only values of the operand's own kind. Text is compared by
code point.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from parlant_store.content import codec
from parlant_store.exceptions import InvalidFilter, InvalidItem
from parlant_store.types import Direction

Comparison = Literal["gt", "gte", "lt", "lte"]
Kind = Literal["text", "number", "boolean"]

MAX_NESTING = 50
"""Limit on the nesting of ``$and`` and ``$or``."""


@dataclass(frozen=True, slots=True)
class In:
    """The field's value is one of ``values``; with ``negated``, none of them.

    ``values`` are JSON values; None stands for null and for a missing field. ``$eq``, ``$ne``,
    ``$in`` and ``$nin`` are all parsed to this class.
    """

    field: str
    values: tuple[Any, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Compare:
    """The field's value has the type of ``value``, and the comparison is true."""

    field: str
    comparison: Comparison
    value: str | int | float | bool

    @property
    def kind(self) -> Kind:
        return cast(Kind, kind_of(self.value))


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part is true; also true without parts."""

    parts: tuple["Filter", ...] = ()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the parts is true; false without parts."""

    parts: tuple["Filter", ...] = ()


Filter = In | Compare | AllOf | AnyOf


def parse(where: Mapping[str, Any] | None) -> Filter:
    """Parse ``where``; raise InvalidFilter if it is invalid."""
    return AllOf() if where is None else _parse(where, MAX_NESTING)


def _parse(where: object, nesting: int) -> Filter:
    if not isinstance(where, Mapping):
        raise InvalidFilter(f"a filter must be a mapping, not {type(where).__name__}")
    if nesting == 0:
        raise InvalidFilter(f"a filter nests $and and $or more than {MAX_NESTING} levels deep")
    parts: list[Filter] = []
    for key, value in where.items():
        if key == "$and":
            parts.append(_all(_parse_list(key, value, nesting)))
        elif key == "$or":
            parts.append(_any(_parse_list(key, value, nesting)))
        elif not isinstance(key, str) or key.startswith("$"):
            raise InvalidFilter(
                f"{key!r} is no operator and no field; other than fields, there are $and and $or"
            )
        else:
            parts.extend(_parse_field(key, value))
    return _all(parts)


def _parse_list(key: str, value: object, nesting: int) -> list[Filter]:
    if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
        raise InvalidFilter(f"{key} takes a list of filters, not {type(value).__name__}")
    return [_parse(part, nesting - 1) for part in value]


def _parse_field(field: str, condition: object) -> list[Filter]:
    if not isinstance(condition, Mapping):
        raise InvalidFilter(
            f"the condition on {field!r} must be a mapping of operators, "
            f'as {{"$eq": {condition!r}}}'
        )
    return [_parse_operator(field, name, value) for name, value in condition.items()]


def _parse_operator(field: str, name: object, value: Any) -> Filter:
    if name in ("$eq", "$ne"):
        return In(field, (_value(field, value),), negated=name == "$ne")
    if name in ("$in", "$nin"):
        if isinstance(value, (str, Mapping)) or not isinstance(value, Iterable):
            raise InvalidFilter(f"{name} on {field!r} takes a list, not {type(value).__name__}")
        values = tuple(_value(field, part) for part in value)
        return In(field, values, negated=name == "$nin")
    if name in ("$gt", "$gte", "$lt", "$lte"):
        if kind_of(value) is None:
            raise InvalidFilter(
                f"{name} on {field!r} compares text, numbers and booleans, "
                f"not {type(value).__name__}"
            )
        return Compare(field, cast(Comparison, str(name)[1:]), _value(field, value))
    raise InvalidFilter(
        f"{name!r} on {field!r} is no operator; "
        "there are $eq, $ne, $gt, $gte, $lt, $lte, $in and $nin"
    )


def _value(field: str, value: Any) -> Any:
    try:
        codec.check(value, f"the operand of {field!r}")
    except InvalidItem as exc:
        raise InvalidFilter(str(exc)) from None
    return value


def _all(parts: Sequence[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _any(parts: Sequence[Filter]) -> Filter:
    """Return ``AnyOf`` with common conditions taken out: Parlant repeats them in each part."""
    alternatives = [{repr(part): part for part in _conjuncts(alternative)} for alternative in parts]
    first, *others = alternatives or [{}]
    common = set(first).intersection(*others) if others else set()
    if not common:
        return _gather(parts)
    rest = [
        _all([part for text, part in alternative.items() if text not in common])
        for alternative in alternatives
    ]
    return AllOf((*(part for text, part in first.items() if text in common), _gather(rest)))


def _conjuncts(filter_: Filter) -> tuple[Filter, ...]:
    return filter_.parts if isinstance(filter_, AllOf) else (filter_,)


def _gather(parts: Sequence[Filter]) -> Filter:
    """Return ``AnyOf`` with one ``In`` for each field: Parlant sends a condition for each id."""
    gathered: dict[str, list[Any]] = {}
    others: list[Filter] = []
    for part in parts:
        if isinstance(part, In) and not part.negated:
            gathered.setdefault(part.field, []).extend(part.values)
        else:
            others.append(part)
    merged = [In(field, tuple(values)) for field, values in gathered.items()]
    alternatives = (*merged, *others)
    return alternatives[0] if len(alternatives) == 1 else AnyOf(alternatives)


def parse_sort(sort: Sequence[tuple[str, Direction]]) -> tuple[tuple[str, Direction], ...]:
    """Return ``sort``; raise InvalidFilter unless it is pairs of a field and "asc" or "desc"."""
    for pair in sort:
        if (
            not isinstance(pair, tuple)
            or len(pair) != 2
            or not isinstance(pair[0], str)
            or pair[1] not in get_args(Direction)
        ):
            raise InvalidFilter(f'{pair!r} is no pair of a field and "asc" or "desc"')
    return tuple(sort)


def kind_of(value: object) -> Kind | None:
    """Return the type that a JSON value compares as; None for null, arrays and objects."""
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, (int, float)) else None


def same(one: object, other: object) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and True are not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return kind_of(one) == kind_of(other) and one == other


def matches(filter_: Filter, document: Mapping[str, Any]) -> bool:
    """Whether ``filter_`` matches ``document``: the reference for every backend."""
    match filter_:
        case AllOf(parts):
            return all(matches(part, document) for part in parts)
        case AnyOf(parts):
            return any(matches(part, document) for part in parts)
        case In(field, values, negated):
            return any(same(document.get(field), value) for value in values) != negated
        case Compare(field, comparison, operand):
            value = document.get(field)
            compare: Callable[[Any, Any], bool] = getattr(operator, _OPERATORS[comparison])
            return kind_of(value) == filter_.kind and compare(value, operand)


_OPERATORS: dict[Comparison, str] = {"gt": "gt", "gte": "ge", "lt": "lt", "lte": "le"}
