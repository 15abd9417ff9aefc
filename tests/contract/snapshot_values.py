"""Messages of snapshots."""

from typing import Any


def said(*texts: str, role: str = "user", **fields: Any) -> list[dict[str, Any]]:
    return [{"role": role, "content": text, **fields} for text in texts]


def used(*tokens: int) -> list[dict[str, Any]]:
    return [{"n": count, "usage": {"total_tokens": count}} for count in tokens]
