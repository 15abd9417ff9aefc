"""The columns of whole sessions and documents, for the functions of sql/functions/records.sql."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from parlant_store.backends.columns import (
    NOT_SEARCHED,
    columns,
    full_names,
    parent_columns,
    promoted,
    searched_columns,
)
from parlant_store.backends.contract.operations import (
    SessionEntry,
    WriteDocuments,
    WriteSessions,
)
from parlant_store.content import codec
from parlant_store.content.text_search import tsvector
from parlant_store.content.times import as_utc
from parlant_store.content.usage import encode_usage
from parlant_store.types import PROMOTED

Columns = dict[str, Sequence[Any]]
"""Lists of the same length, by the names of the parameters."""


def session_columns(write: WriteSessions) -> Columns:
    """Return the columns of the sessions."""
    entries = write.entries
    names = [columns(entry.session) for entry in entries]
    return {
        "namespaces": [name.namespace for name in names],
        "session_ids": [name.session_id for name in names],
        "names": [full_names(entry.session, entry.user_id) for entry in entries],
        "user_ids": [
            None if entry.user_id is None else codec.to_column(entry.user_id) for entry in entries
        ],
        "metadata": [entry.metadata for entry in entries],
        "states": [entry.state for entry in entries],
        "created": [_text(entry.created_at) for entry in entries],
        "updated": [_text(entry.updated_at) for entry in entries],
        "expires": [_text(entry.expires_at) for entry in entries],
        "totals": [entry.tokens or None for entry in entries],
        "turns": [entry.history.first_turn - 1 for entry in entries],
        "usages": [encode_usage(entry.history.usage) for entry in entries],
        **_parent_columns(entries),
    }


def item_columns(write: WriteSessions) -> Columns:
    """Return the columns of all items; "places" has the number of the session, from 1."""
    parts: dict[str, list[Any]] = {
        name: []
        for name in (
            *("places", "data", "roles", "texts", "terms", "tokens", "failed", "times"),
            "item_usages",
        )
    }
    for place, entry in enumerate(write.entries, 1):
        batch = entry.batch
        parts["places"] += [place] * len(batch.data)
        parts["data"] += batch.data
        parts["roles"] += batch.roles
        parts["texts"] += batch.texts
        parts["terms"] += batch.tsvectors()
        parts["tokens"] += batch.tokens
        parts["failed"] += batch.failed
        # Items that were written together have the same time.
        texts = {time: _text(time) for time in set(entry.item_times)}
        parts["times"] += [texts[time] for time in entry.item_times]
        parts["item_usages"] += map(encode_usage, entry.item_usage)
    return {**parts}


def _parent_columns(entries: Sequence[SessionEntry]) -> Columns:
    parents = [parent_columns(entry.history.parent_id) for entry in entries]
    return {
        "parents": [parent_id for parent_id, _ in parents],
        "parent_names": [name for _, name in parents],
        "parent_positions": [entry.history.parent_position for entry in entries],
    }


def document_columns(write: WriteDocuments) -> Columns:
    """Return the columns of the documents."""
    fields = [promoted(record.document) for record in write.records]
    searched = [
        NOT_SEARCHED | searched_columns(write.collection, record.document, tsvector)
        for record in write.records
    ]
    return {
        "documents": [
            codec.encode_document(record.document, "document") for record in write.records
        ],
        **{f"{name}s": [each.get(name) for each in fields] for name in PROMOTED},
        **{name: [each[name] for each in searched] for name in NOT_SEARCHED},
        "updated": [_text(record.updated_at) for record in write.records],
        "expires": [_text(record.expires_at) for record in write.records],
    }


def _text(time: datetime | None) -> str | None:
    return None if time is None else as_utc(time).isoformat()
