"""PostgreSQL's operator ``@>`` for JSON on SQLite."""

import json
from functools import lru_cache
from typing import Any


def contains(text: str, part: str) -> bool:
    """Whether the JSON object ``text`` contains the object ``part``."""
    return _contains(json.loads(text), _parsed(part))


_parsed = lru_cache(maxsize=16)(json.loads)


def _contains(value: Any, part: Any) -> bool:
    # Generators would take further frames of the stack for each level.
    if isinstance(part, dict):
        if not isinstance(value, dict):
            return False
        for name, each in part.items():
            if name not in value or not _contains(value[name], each):
                return False
        return True
    if isinstance(part, list):
        if not isinstance(value, list):
            return False
        for each in part:
            for one in value:
                if _contains(one, each):
                    break
            else:
                return False
        return True
    # True is no number, and 1 equals 1.0.
    return isinstance(value, bool) == isinstance(part, bool) and value == part
