"""Sessions and documents to copy, and everything that a store has."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from parlant_store.backends.base import BaseBackend
from parlant_store.types import DocumentRecord, SessionHistory, SessionRecord, Usage
from tests.contract.snapshot_values import said, used
from tests.contract.turn_values import turn, usage
from tests.contract.values import NASTY, numbered

THEN = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
LATER = datetime(2090, 1, 1, tzinfo=UTC)

DETAILS = {
    "input_tokens_details": {"cached_tokens": 0, 'of "other" kinds': 1},
    "output_tokens_details": {"reasoning_tokens": 5},
}


def history_of(number: int) -> SessionHistory:
    """That of a session with three turns, of which the middle one has no usage."""
    first, last = (
        Usage(requests=n, input_tokens=5, total_tokens=7, **DETAILS) for n in (number + 1, 3)
    )
    return SessionHistory(
        first_turn=number + 1,
        usage=Usage(requests=number + 4, input_tokens=10, total_tokens=14, **DETAILS),
        turn_usage={number + 1: first, number + 3: last},
        parent_id=f"s{number - 1}",
        parent_position=number or None,
    )


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
        history=SessionHistory(
            usage=Usage(requests=1, total_tokens=2**53), turn_usage={0: Usage(requests=1)}
        ),
    ),
    SessionRecord(
        session_id="\ud800" + "😀" * 4095,
        namespace="漢" * 4096,
        user_id="x" * 4096,
        items=numbered(1),
        item_times=[THEN],
        created_at=THEN,
        updated_at=THEN,
        # Its own id and that of its parent are too long for their columns.
        history=SessionHistory(parent_id="\ud800" + "😀" * 4095, parent_position=0),
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
            history=history_of(number) if number % 2 == 0 else None,
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


def converse(store: BaseBackend) -> None:
    """Sessions with turns, usage and branches, as applications write them."""
    long = "漢" * 4096
    for number in range(5):
        store.add_items(long, [*turn(f"turn {number}"), *used(number)])
        store.add_usage(long, usage(10 * number) | DETAILS)
    store.keep_latest(long, turns=4)
    store.branch(long, "part", before_turn=4)
    store.branch("part", "😀" * 4096)
    store.branch(long, "whole", with_usage=False)
    store.add_items("part", turn("another"))
    store.add_usage("part", {"requests": 1})
    store.add_items("rules", said("be brief", role="system"))
    store.add_usage("rules", usage(5), turn=0)
    store.set_metadata("empty session", {})
    store.add_usage("empty session", 7)


def _answers(store: BaseBackend, record: SessionRecord) -> list[Any]:
    """What a store says of the usage, the turns and the branches of a session."""
    name = {"namespace": record.namespace}
    return [
        store.get_usage(record.session_id, **name),
        store.get_usage(record.session_id, by="turn", **name),
        [turn.number for turn in store.list_turns(record.session_id, **name)],
        store.list_branches(record.session_id, **name),
    ]


def everything(store: BaseBackend) -> dict[Any, Any]:
    """All that a store has; equal if two stores have the same."""
    names = [(info.namespace, info.session_id) for info in store.list_sessions(limit=1000).sessions]
    found: dict[Any, Any] = {
        (record.namespace, record.session_id): (record, *_answers(store, record))
        for record in store.read_sessions(names)
    }
    for name in store.list_collections() if store.supports_documents else ():
        records = [replace(record, key=0) for record in store.read_documents(name, limit=None)]
        found[name] = sorted(records, key=lambda record: str(record.document.get("id")))
    return found
