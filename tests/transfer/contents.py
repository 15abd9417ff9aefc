"""Sessions and documents to copy, and everything that a store has."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from parlant_store.backends.base import BaseBackend
from parlant_store.types import DocumentRecord, SessionRecord
from tests.contract.values import NASTY, numbered

THEN = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
LATER = datetime(2090, 1, 1, tzinfo=UTC)

SESSIONS = [
    SessionRecord(
        session_id="nasty",
        namespace="space",
        user_id="ada",
        items=NASTY,
        item_times=[THEN + timedelta(microseconds=n) for n in range(len(NASTY))],
        state={"z": NASTY, "a": -0.0},
        metadata={"topic": NASTY[0]},
        created_at=THEN,
        updated_at=THEN + timedelta(days=1),
        expires_at=LATER,
    ),
    SessionRecord(
        session_id="\ud800" + "😀" * 4095,
        namespace="漢" * 4096,
        user_id="x" * 4096,
        items=numbered(1),
        item_times=[THEN],
        created_at=THEN,
        updated_at=THEN,
    ),
    SessionRecord(session_id="empty", items=[], item_times=[], created_at=THEN, updated_at=THEN),
    *(
        SessionRecord(
            session_id=f"s{number}",
            user_id="bob",
            items=[{"role": "user", "content": f"word{number}"}] * 3,
            item_times=[THEN] * 3,
            created_at=THEN,
            updated_at=THEN + timedelta(days=number),
        )
        for number in range(5)
    ),
]
DOCUMENTS = [
    DocumentRecord(
        document={"id": "a", "creation_utc": "2024", "customer_id": "ada", "v": NASTY, "z": -0.0},
        updated_at=THEN,
        expires_at=LATER,
    ),
    DocumentRecord(document={"id": "b" * 4096, "session_id": "漢" * 4096}, updated_at=THEN),
    DocumentRecord(document={"no": "id"}, updated_at=THEN),
    DocumentRecord(document={"no": "id"}, updated_at=THEN),
]


def fill(store: BaseBackend, *, documents: bool = True) -> None:
    assert all(store.write_sessions(SESSIONS))
    if documents:
        assert all(store.write_documents("c", DOCUMENTS))
        assert all(store.write_documents("d", DOCUMENTS[:1]))


def everything(store: BaseBackend) -> dict[Any, Any]:
    """All that a store has; equal if two stores have the same."""
    names = [(info.namespace, info.session_id) for info in store.list_sessions(limit=1000).sessions]
    found: dict[Any, Any] = {
        (record.namespace, record.session_id): record for record in store.read_sessions(names)
    }
    for name in store.list_collections() if store.supports_documents else ():
        records = [replace(record, key=0) for record in store.read_documents(name, limit=None)]
        found[name] = sorted(records, key=lambda record: str(record.document.get("id")))
    return found
