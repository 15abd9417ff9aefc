"""Lists of many conversations, by everything that the list filters and orders by."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from parlant_store.admin.conversations.search import streams, words
from parlant_store.content.compression import DIFFERENCE
from parlant_store.content.differences import difference
from parlant_store.models import (
    ChannelValue,
    Checkpoint,
    CheckpointWrite,
    Document,
    Session,
    Thread,
)
from tests.admin.conversations.cases import CREATED
from tests.admin.pages import bulk, get, listing, message
from tests.backends.rows_read import analyze

LISTS = [
    {},
    {"p": 2},
    {"order": "creation"},
    {"order": "length"},
    {"date": "today"},
    {"date": "yesterday"},
    {"from": "2020-01-01", "to": "2020-02-01"},
    {"state": "live"},
    {"state": "expiring"},
    {"state": "expired"},
    {"failed": "yes"},
    {"framework": "selectools"},
    {"framework": "parlant", "order": "creation"},
    {"owner": "u7"},
    {"owner": "cust", "date": "today"},
    {"agent": "never"},
    {"agent": "agent", "state": "live"},
    {"q": "platypus"},
    {"q": "question"},
    {"q": "s7", "state": "live"},
    {"framework": "langgraph", "order": "length"},
    {"framework": "langgraph", "state": "expired", "agent": "threads"},
    {"q": "t7", "framework": "langgraph"},
    {"owner": "v1", "date": "today"},
    {"state": "expired", "owner": "u1", "framework": "openai", "order": "length"},
]


def fill(store, name, count):
    """So many sessions of three kinds, Parlant sessions, each with an event, and threads."""
    now = timezone.now()
    for kind, fields in {
        "expired": {"expires_at": now - timezone.timedelta(hours=1), "failed_calls": 1},
        "expiring": {"expires_at": now + timezone.timedelta(hours=1)},
        "never": {"state": {"selectools": "memory"}},
    }.items():
        bulk(count, namespace=f"{kind} {name}", **fields)
    documents = []
    for number in range(count):
        id_ = f"p{name}-{number}"
        documents.append(
            Document(
                collection="parlant_sessions",
                document_id=id_,
                customer_id=f"cust{number}",
                agent_id="agent",
                creation_utc=CREATED,
                data={"id": id_},
            )
        )
        event = {"offset": 0, "kind": "message", "source": "customer", "data": {"message": "x"}}
        documents.append(
            Document(
                collection="parlant_events",
                document_id=f"e{id_}",
                session_id=id_,
                creation_utc=CREATED,
                data=event,
            )
        )
    Document.objects.bulk_create(documents, batch_size=500)
    threads(name, count)
    store.add_items(f"words {name}", [message(f"question {n}") for n in range(count)])
    # In one minute: else its end decides whether the first page has Parlant sessions.
    end = timezone.now()
    Session.objects.update(updated_at=end)
    sessions = Document.objects.filter(active_minute__isnull=False)
    sessions.update(updated_at=end, active_minute=int(end.timestamp() // 60))
    Thread.objects.update(updated_at=end)
    analyze()


def threads(name, count):
    """So many threads, each with two checkpoints, a difference as a value, and an interrupt."""
    now = timezone.now()
    made = Thread.objects.bulk_create(
        Thread(
            namespace=f"threads {name}",
            thread_id=f"t{number}",
            user_id=f"v{number}",
            expires_at=now + timezone.timedelta(hours=number % 5 - 2) if number % 3 else None,
        )
        for number in range(count)
    )
    Checkpoint.objects.bulk_create(
        Checkpoint(
            thread=thread,
            checkpoint_id=str(number),
            type="null",
            value=b"",
            versions={"messages": "1"},
            metadata={},
        )
        for thread in made
        for number in (1, 2)
    )
    data = b"\x91\xd9\x20" + b"x" * 32
    base, type_ = f"~{'0' * 16}", f"{DIFFERENCE}~{'0' * 16}:msgpack"
    ChannelValue.objects.bulk_create(
        ChannelValue(thread=thread, channel="messages", version=version, type=kind, value=value)
        for thread in made
        for version, kind, value in (
            (base, "msgpack", data),
            ("1", type_, difference(data, data)),
        )
    )
    write = {"checkpoint_id": "2", "task_id": "t", "idx": -3, "type": "null", "value": b""}
    CheckpointWrite.objects.bulk_create(
        CheckpointWrite(thread=thread, channel="__interrupt__", **write) for thread in made
    )


def statements(client, params):
    with CaptureQueriesContext(connection) as context:
        get(client, listing("session", **params))
    return [query["sql"] for query in context]


@pytest.fixture
def small_bounds(monkeypatch):
    monkeypatch.setattr(streams, "MAX_ROWS", 300)
    monkeypatch.setattr(streams, "MAX_SORTED", 300)
    monkeypatch.setattr(streams, "MAX_FILTERED", 100)
    monkeypatch.setattr(words, "MAX_HITS", 300)
    monkeypatch.setattr(words, "MAX_NEWEST", 200)
    monkeypatch.setattr(words, "FREQUENT", 20)
