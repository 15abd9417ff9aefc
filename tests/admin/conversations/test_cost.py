"""What the list of conversations costs: as many statements and rows for few and for many."""

import re

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from parlant_store.admin.conversations import streams, words
from parlant_store.models import Document, Session
from tests.admin.conversations.cases import CREATED, parlant
from tests.admin.pages import bulk, get, listing, message
from tests.admin.pages import client as client
from tests.backends.rows_read import analyze, work_of

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
    {"state": "expired", "owner": "u1", "framework": "openai", "order": "length"},
]
MAX_STATEMENTS = 15
TABLES = "parlant_store_session|parlant_store_session_item|parlant_store_document"


def fill(store, name, count):
    """So many sessions of three kinds and Parlant sessions, each with an event."""
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
    store.add_items(f"words {name}", [message(f"question {n}") for n in range(count)])
    # In one minute: else its end decides whether the first page has Parlant sessions.
    end = timezone.now()
    Session.objects.update(updated_at=end)
    sessions = Document.objects.filter(active_minute__isnull=False)
    sessions.update(updated_at=end, active_minute=int(end.timestamp() // 60))
    analyze()


def statements(client, params):
    with CaptureQueriesContext(connection) as context:
        get(client, listing("session", **params))
    return [query["sql"] for query in context]


@pytest.fixture
def small_bounds(monkeypatch):
    monkeypatch.setattr(streams, "MAX_ROWS", 300)
    monkeypatch.setattr(streams, "MAX_FILTERED", 100)
    monkeypatch.setattr(words, "MAX_HITS", 300)


def test_a_list_costs_no_more_for_many(client, store, small_bounds):
    store.add_items("rare", [message("platypus")])
    parlant(store, "talk", ("customer", "platypus"))
    get(client, listing("session"))

    def costs():
        # The page of a number may be missing among few.
        return {
            str(params): (
                len(statements(client, params)),
                work_of(lambda: get(client, listing("session", **params))),  # noqa: B023
            )
            for params in LISTS
        }

    fill(store, "few", 400)
    few = costs()
    fill(store, "many", 2_000)
    many = costs()
    assert {name: cost for name, cost in many.items() if cost[0] > MAX_STATEMENTS} == {}
    assert {name: many[name][0] for name in many} == {name: few[name][0] for name in few}
    more = {name: (few[name][1], many[name][1]) for name in few}
    assert {name: work for name, work in more.items() if work[1] > 1.5 * work[0] + 300} == {}


@pytest.mark.parametrize("params", LISTS, ids=str)
def test_no_statement_scans_a_table(client, store, small_bounds, params):
    fill(store, "all", 1_500)
    for sql in statements(client, params):
        if not re.search(TABLES, sql) or sql.startswith(("SELECT set_config", "SAVEPOINT")):
            continue
        assert not scanned(sql), sql


def scanned(sql):
    """The lines of the plan that read a whole table."""
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with transaction.atomic(), connection.cursor() as cursor:
        if "tsquery LIMIT" in sql:
            # As the search itself does before this statement.
            cursor.execute(words._BY_INDEX)
        cursor.execute(explain + sql)
        lines = [str(row[-1]) for row in cursor.fetchall()]
    if connection.vendor == "sqlite" and "ORDER BY key DESC LIMIT" in sql:
        # The rows themselves are in the order of their keys.
        lines = [line for line in lines if not line.startswith("SCAN parlant_store_session")]
    pattern = rf"SCAN (\w+ )?({TABLES})\b(?! USING)|Seq Scan on ({TABLES})\b"
    return [line for line in lines if re.search(pattern, line)]
