"""Values of LangGraph's long-term stores as memories."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from parlant_store.backends.contract.memories import memory_record
from parlant_store.content.memories import labels_of
from parlant_store.transfer.readers.base import parse_object, text_of, time_of
from parlant_store.transfer.sources import SourceError
from parlant_store.types import DocumentRecord, MemoryChange


def place_of(user_label: str | None) -> int | None:
    """Return the place of the label that is the id of a user; raise SourceError."""
    if user_label is None:
        return None
    if not (user_label.isascii() and user_label.isdigit()):
        raise SourceError(
            f"--user-label must be the place of a label of namespaces, from 0, not {user_label!r}"
        )
    return int(user_label)


def memory_of(row: dict[str, Any], user_label: int | None) -> DocumentRecord:
    """Return the memory of a row of the table ``store``; raise Unreadable or InvalidInput."""
    namespace, value = labels_of(text_of(row["prefix"])), row["value"]
    created_at = time_of(row["created_at"]) or datetime(1970, 1, 1, tzinfo=UTC)
    has_user = user_label is not None and user_label < len(namespace)
    minutes = row.get("ttl_minutes")
    change = MemoryChange(
        namespace=namespace,
        key=text_of(row["key"]),
        value=value if isinstance(value, dict) else parse_object(value, strict=False),
        user_id=namespace[user_label] if has_user and user_label is not None else None,
        # Some stores cut a part of a minute to 0.
        ttl_seconds=minutes * 60 if minutes else None,
    )
    return replace(
        memory_record(change, created_at),
        updated_at=time_of(row["updated_at"]) or created_at,
        expires_at=time_of(row.get("expires_at")),
    )
