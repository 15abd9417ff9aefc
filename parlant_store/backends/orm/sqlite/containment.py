"""PostgreSQL's operator ``@>`` for JSON on SQLite."""

import json
from functools import lru_cache
from typing import Any


def contains(text: str, part: str) -> bool:
    """Whether the JSON object ``text`` contains the object ``part``."""
    return _contains(json.loads(text), _parsed(part))


_parsed = lru_cache(maxsize=16)(json.loads)


def _contains(value: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(value, dict) and all(
            name in value and _contains(value[name], each) for name, each in part.items()
        )
    if isinstance(part, list):
        return isinstance(value, list) and all(
            any(_contains(one, each) for one in value) for each in part
        )
    # True is no number, and 1 equals 1.0.
    return isinstance(value, bool) == isinstance(part, bool) and value == part
