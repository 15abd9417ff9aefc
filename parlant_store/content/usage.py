"""The usage of a model: requests and tokens.

Stored usage is a JSON object of numbers. Details have the names of both fields, with a dot
between them, as "input_tokens_details.cached_tokens".
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from parlant_store.content.items import MAX_TOKENS
from parlant_store.exceptions import InvalidInput
from parlant_store.types import Usage

StoredUsage = dict[str, int]
"""Usage as it is stored."""

TOTAL = "total_tokens"

_FIELDS = {
    "requests": ("requests",),
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    TOTAL: (TOTAL,),
}
"""The stored name of each field, and the names that frameworks give it."""

_DETAILS = {
    "input_tokens_details": ("input_tokens_details", "prompt_tokens_details"),
    "output_tokens_details": ("output_tokens_details", "completion_tokens_details"),
}


def parse_usage(usage: Any) -> StoredUsage:
    """Return what ``usage``, a number of tokens or a mapping, says; empty if it says nothing.

    Without a total, the sum of input and output is the total. Raise InvalidInput for other values.
    """
    if not isinstance(usage, Mapping):
        return {TOTAL: _checked("usage", usage)}
    counts = {}
    for name, names in _FIELDS.items():
        value = _first(usage, names)
        if value is not None:
            counts[name] = _checked(f"usage[{name!r}]", value)
    for name, names in _DETAILS.items():
        details = _first(usage, names)
        if isinstance(details, Mapping):
            counts |= {
                f"{name}.{detail}": value
                for detail, value in details.items()
                if isinstance(detail, str) and _is_count(value)
            }
    if TOTAL not in counts and {"input_tokens", "output_tokens"} <= counts.keys():
        counts[TOTAL] = counts["input_tokens"] + counts["output_tokens"]
    return counts


def decode_usage(stored: str | Mapping[str, Any] | None) -> StoredUsage | None:
    """Return stored usage; None if there is none, or it is damaged."""
    try:
        value = json.loads(stored) if isinstance(stored, (str, bytes)) else stored
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, Mapping):
        return None
    return {name: int(count) for name, count in value.items() if _is_count(count)} or None


def encode_usage(counts: StoredUsage | None) -> str | None:
    return json.dumps(counts) if counts else None


def usage_of(counts: StoredUsage | None, tokens: int | None = None) -> Usage | None:
    """Return stored usage as a value; ``tokens``, if known, are the total."""
    if counts is None and tokens is None:
        return None
    counts = counts or {}
    details: dict[str, dict[str, int]] = {name: {} for name in _DETAILS}
    for name, count in counts.items():
        field, separator, detail = name.partition(".")
        if separator and field in details:
            details[field][detail] = count
    return Usage(
        requests=counts.get("requests"),
        input_tokens=counts.get("input_tokens"),
        output_tokens=counts.get("output_tokens"),
        total_tokens=counts.get(TOTAL) if tokens is None else tokens,
        **details,
    )


def counts_of(usage: Usage) -> StoredUsage:
    """Return ``usage`` as it is stored; reverses ``usage_of``. Raise InvalidInput."""
    counts = {name: getattr(usage, name) for name in _FIELDS}
    for name in _DETAILS:
        counts |= {f"{name}.{detail}": count for detail, count in getattr(usage, name).items()}
    return {name: _checked(name, count) for name, count in counts.items() if count is not None}


def sum_usage(
    added: Iterable[StoredUsage | None], removed: Iterable[StoredUsage | None] = ()
) -> StoredUsage:
    """Return the sum of ``added`` less that of ``removed``; empty if nothing is left."""
    total: StoredUsage = {}
    for sign, usages in ((1, added), (-1, removed)):
        for counts in filter(None, usages):
            for name, count in counts.items():
                total[name] = total.get(name, 0) + sign * count
    return {name: max(count, 0) for name, count in total.items()} if any(total.values()) else {}


def _first(usage: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((usage[name] for name in names if usage.get(name) is not None), None)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_TOKENS


def _checked(what: str, value: Any) -> int:
    if not _is_count(value):
        raise InvalidInput(
            f"{what} must be a number of tokens up to {MAX_TOKENS}, or a mapping, not {value!r}"
        )
    return int(value)
