"""What goes by a rule, and rows that are written to go."""

from datetime import timedelta
from typing import Any

from parlant_store.types import (
    ExpiredDocument,
    ExpiredSession,
    ExpireResult,
    Retention,
)

DAY = 86_400
EVENTS = "parlant_sessions_events"


def days(number: float) -> timedelta:
    return timedelta(days=number)


def would_go(store, rule: Retention | None = None) -> list[Any]:
    """What is listed, each by its name and in order; none of it twice."""
    found = list(store.list_expired(rule=rule))
    assert len({(type(one), one.key) for one in found}) == len(found)
    return sorted(
        (one.namespace, one.session_id, one.item_count)
        if isinstance(one, ExpiredSession)
        else (one.collection, one.id or "")
        for one in found
    )


def removed(store, rule: Retention | None = None, **options: Any) -> tuple[int, int]:
    """How many sessions and documents went; as many as were listed."""
    listed = list(store.list_expired(rule=rule))
    batches = list(store.expire_batches(rule=rule, **options))
    assert all(isinstance(batch, ExpireResult) for batch in batches)
    total = (sum(batch.sessions for batch in batches), sum(batch.documents for batch in batches))
    assert total == (
        sum(isinstance(one, ExpiredSession) for one in listed),
        sum(isinstance(one, ExpiredDocument) for one in listed),
    )
    assert would_go(store, rule) == []
    return total


def sessions_of(store) -> list[str]:
    return [session.session_id for session in store.list_sessions(limit=1_000).sessions]


def ids_of(store, collection: str) -> list[Any]:
    return [document.get("id") for document in store.find(collection).documents]


def insert(store, clock, collection: str, id_: str | None, **fields: Any) -> None:
    document = {"version": "0.9.0", "creation_utc": clock().isoformat(), **fields}
    store.insert_one(collection, document if id_ is None else {"id": id_, **document})


def parlant_session(store, clock, name: str, events: int = 2, prefix: str = "p_") -> None:
    """A session of Parlant's, with its events."""
    insert(store, clock, f"{prefix}sessions", name, customer_id="ada")
    for number in range(events):
        parlant_event(store, clock, name, number, prefix)


def parlant_event(store, clock, name: str, number: int, prefix: str = "p_") -> None:
    insert(store, clock, f"{prefix}events", f"{name}-{number}", session_id=name, offset=number)
