"""Sessions and documents downloaded from the admin as JSON Lines."""

import json
import tracemalloc
from dataclasses import asdict
from datetime import timedelta

from asgiref.sync import async_to_sync
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from parlant_store.admin.actions import export as exporting
from parlant_store.models import Document, Session, SessionItem
from tests.admin.pages import LONG, SCRIPT, UNPRINTABLE, bulk, listing, message, superuser
from tests.admin.pages import client as client

ITEM = {
    "role": "user",
    "content": "line\nbreak \u2028 ü",
    "n": 1.0,
    "big": 10**400,
    "a": {"z": None},
}

NOUNS = {"session": "conversation", "document": "document"}


def export(client, *rows):
    """The answer to the confirmed question."""
    (model,) = {row._meta.model_name for row in rows}
    data = {"action": "export", "_selected_action": [row.pk for row in rows]}
    question = client.post(listing(model), data)
    assert f"{len(rows)} {NOUNS[model]}" in question.content.decode()
    keys = ",".join(str(row.pk) for row in sorted(rows, key=lambda row: row.pk))
    return client.post(listing(model), data | {"keys": keys, "confirmed": "yes"})


def lines(response):
    text = b"".join(response.streaming_content).decode("ascii")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def items(count, session):
    """Give a session so many items, by one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO parlant_store_session_item (session_key, position, data, created_at)"
            " WITH RECURSIVE numbers (n) AS"
            " (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)"
            " SELECT %s, n, %s, CURRENT_TIMESTAMP FROM numbers",
            [count - 1, session.pk, json.dumps(message("x" * 500))],
        )
    Session.objects.filter(pk=session.pk).update(item_count=count, next_position=count)


def test_a_session_is_a_line_with_all_there_is(client, store):
    store.save_snapshot(
        "s/1", [ITEM, UNPRINTABLE], state={"n": 2.0}, namespace=f"team{SCRIPT}", user_id="ann"
    )
    store.set_metadata("s/1", {"m": "\0"}, namespace=f"team{SCRIPT}")
    end = timezone.now() + timedelta(days=1)
    store.set_expiry("s/1", end, namespace=f"team{SCRIPT}")
    (row,) = Session.objects.all()
    response = export(client, row)
    assert response.streaming
    assert response["Content-Type"] == "application/x-ndjson"
    disposition = response["Content-Disposition"]
    assert disposition.startswith('attachment; filename="sessions-20')
    assert disposition.endswith('.jsonl"')
    assert "no-store" in response["Cache-Control"]
    (line,) = lines(response)
    assert list(line) == [
        "namespace",
        "session_id",
        "user_id",
        "metadata",
        "state",
        "created_at",
        "updated_at",
        "expires_at",
        "parent_id",
        "parent_position",
        "usage",
        "items",
        "turn_usage",
    ]
    assert line == {
        "namespace": f"team{SCRIPT}",
        "session_id": "s/1",
        "user_id": "ann",
        "metadata": {"m": "\0"},
        "state": {"n": 2.0},
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
        "expires_at": row.expires_at.isoformat(),
        "parent_id": None,
        "parent_position": None,
        "usage": None,
        "items": [ITEM, UNPRINTABLE],
        "turn_usage": {},
    }
    assert isinstance(line["items"][0]["n"], float)
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.action_flag) == (str(row.pk), CHANGE)
    assert entry.change_message == "Exported."


def test_usage_and_parents_are_exported(client, store, monkeypatch):
    store.add_items(LONG, [ITEM, message("x")] * 4 + [{"usage": {"total_tokens": 5}}])
    for turn in (1, 3):
        store.add_usage(LONG, {"requests": turn, "total_tokens": 10}, turn=turn)
    store.branch(LONG, "b", before_turn=3)
    for limit in (exporting.ITEMS, 2):
        monkeypatch.setattr(exporting, "ITEMS", limit)
        whole, branch = lines(export(client, *Session.objects.order_by("key")))
        assert (whole["parent_id"], branch["parent_id"]) == (None, LONG)
        assert branch["parent_position"] == 1
        assert whole["usage"] == asdict(store.get_usage(LONG))
        assert whole["turn_usage"] == by_turn(store, LONG)
        assert branch["turn_usage"] == by_turn(store, "b")


def by_turn(store, session_id):
    usages = store.get_usage(session_id, by="turn")
    return {str(turn): asdict(usage) for turn, usage in usages.items()}


def test_damaged_items_are_exported_as_their_text(client, store):
    store.add_items("s", [message(n) for n in "abcd"])
    for position, text in enumerate(["{", "NaN", '{"a":\n1}']):
        SessionItem.objects.filter(position=position).update(data=text)
    (line,) = lines(export(client, Session.objects.get()))
    assert line["items"] == [{"damaged": "{"}, {"damaged": "NaN"}, {"a": 1}, message("d")]


def test_long_and_short_sessions_in_one_file(client, store, monkeypatch):
    monkeypatch.setattr(exporting, "ITEMS", 4)
    monkeypatch.setattr(exporting, "ROWS", 3)
    sizes = [1, 2, 9, 0, 4, 1, 5, 8]
    for number, size in enumerate(sizes):
        store.add_items(f"s{number}", [message(f"{number} {n}") for n in range(size)])
    store.set_metadata("s3", {})
    rows = list(Session.objects.order_by("key"))
    found = lines(export(client, *rows))
    for line in found:
        number = int(line["session_id"][1:])
        assert line["items"] == [message(f"{number} {n}") for n in range(sizes[number])]
    assert len(found) == len(sizes)


def test_names_that_are_too_long_for_columns_are_whole(client, store):
    store.add_items(LONG, [message("x")], namespace=f"n{LONG}", user_id=f"u{LONG}")
    (line,) = lines(export(client, Session.objects.get()))
    assert (line["session_id"], line["namespace"]) == (LONG, f"n{LONG}")
    assert line["user_id"] == f"u{LONG}"


def test_a_document_is_a_line(client, store):
    documents = [{"id": "a", "x": 1e23}, {"id": "\ud800", "text": "\0"}, {"big": 10**400}]
    for document in documents:
        store.insert_one("n/\ud800", document)
    response = export(client, *Document.objects.all())
    assert response["Content-Disposition"].startswith('attachment; filename="documents-20')
    found = lines(response)
    assert [line["document"] for line in found] == documents
    assert found[0] == {
        "collection": "n/\ud800",
        "document": documents[0],
        "updated_at": Document.objects.order_by("key")[0].updated_at.isoformat(),
        "expires_at": None,
    }


def test_what_is_removed_meanwhile_is_missing(client, store):
    for id_ in "ab":
        store.add_items(id_, [message("x")])
    response = export(client, *Session.objects.all())
    store.delete_session("a")
    assert [line["session_id"] for line in lines(response)] == ["b"]


def test_a_session_of_8_000_items_is_never_held_as_a_whole(client):
    bulk(1)
    session = Session.objects.get()
    items(8_000, session)
    response = export(client, session)
    size = longest = 0
    tracemalloc.start()
    try:
        for piece in response.streaming_content:
            size += len(piece)
            longest = max(longest, len(piece))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 4_000_000
    assert longest < 100_000
    assert peak < 2_000_000


def test_under_asgi_it_is_streamed_too(store):
    superuser()
    for number in range(3):
        store.add_items(f"s{number}", [message("x")] * 150)

    @async_to_sync
    async def pieces():
        client = AsyncClient()
        await client.aforce_login(await User.objects.aget())
        keys = [key async for key in Session.objects.values_list("key", flat=True)]
        data = {"action": "export", "_selected_action": keys, "confirmed": "yes"}
        data["keys"] = ",".join(map(str, sorted(keys)))
        response = await client.post(listing("session"), data)
        assert response.is_async
        return [piece async for piece in response.streaming_content]

    found = pieces()
    assert len(found) == 3 * 4
    assert len(b"".join(found).splitlines()) == 3


def test_300_cost_as_few_queries_as_their_pages(client):
    for count, most in ((3, 2), (300, 6)):
        Session.objects.all().delete()
        bulk(count)
        for session in Session.objects.all():
            items(1, session)
        response = export(client, *Session.objects.all())
        with CaptureQueriesContext(connection) as queries:
            assert len(lines(response)) == count
        assert len(queries) == most


def test_it_is_never_read_by_get(client, store):
    store.add_items("s", [message("x")])
    row = Session.objects.get()
    response = client.get(listing("session", action="export", keys=row.pk, confirmed="yes"))
    assert not response.streaming
    assert LogEntry.objects.count() == 0
