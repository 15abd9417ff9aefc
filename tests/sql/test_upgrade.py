"""What the second migration makes of rows that are there, and that it can be reversed."""

from textwrap import dedent

import pytest

from tests.projects import fresh_database, run_project

pytestmark = [pytest.mark.orm, pytest.mark.django_db(transaction=True)]

CODE = """
    import json
    import time
    from django.core.management import call_command
    from django.db import connection

    def run(sql, *params):
        with connection.cursor() as cursor:
            cursor.execute(sql, params)

    def document(collection, id_, session_id=None, **data):
        run(
            "INSERT INTO parlant_store_document (collection, id, session_id, data, updated_at)"
            " VALUES (%s, %s, %s, %s, %s)",
            collection, id_, session_id, json.dumps({"id": id_} | data), "2030-01-01 00:01:00Z",
        )

    def versions():
        call_command("migrate", "parlant_store", "0001", verbosity=0)
        yield
        call_command("migrate", verbosity=0)

    upgrade = versions()
    next(upgrade)
    for name, state, tokens in (("a", "{}", 0), ("b", '{"selectools": "memory"}', 7)):
        run(
            "INSERT INTO parlant_store_session (namespace, session_id, metadata, state,"
            " next_position, item_count, tokens, created_at, updated_at)"
            " VALUES ('', %s, '{}', %s, 5, 5, %s, %s, %s)",
            name, state, tokens, *["2030-01-01 00:01:59+00:00"] * 2,
        )
    run(
        "INSERT INTO parlant_store_session_item (session_key, position, data, text, role, terms,"
        " created_at) SELECT key, 0, %s, 'hello', 'user', 'hello', updated_at"
        " FROM parlant_store_session",
        '{"role": "user", "content": "hello"}',
    )
    run("CREATE TABLE rating (session_key bigint NOT NULL REFERENCES parlant_store_session (key))")
    run("INSERT INTO rating SELECT key FROM parlant_store_session")
    document("p_sessions", "s")
    document("p_sessions", "t")
    for number in range(3):
        document("p_events", f"e{number}", "s", kind="message", data={"message": "Hi"})
    document("p_events", "e3", "s", kind="status", data={"status": "ready"})
    list(upgrade)

    from parlant_store.models import Document, Session, Thread
    rows = Session.objects.order_by("session_id").values_list(
        "tokens", "failed_calls", "framework", "length_class", "active_minute"
    )
    minute = 31557601
    assert list(rows) == [(None, 0, "openai", 2, minute), (7, 0, "selectools", 2, minute)], rows
    rows = Document.objects.order_by("document_id").filter(collection="p_sessions").values_list(
        "item_count", "length_class", "active_minute"
    )
    assert list(rows) == [(3, 1, minute), (0, -1, minute)], rows
    assert {hit.session_id for hit in store.search("hello")} == {"a", "b"}
    store.insert_one("p_events", {"id": "n", "session_id": "t", "kind": "message", "data": {}})
    assert Document.objects.get(document_id="t").item_count == 1
    call_command("store_reindex", stdout=open("/dev/null", "w"))
    assert store.search("hello", tools=True)
    assert checked() == {}, checked()

    from parlant_store.types import ChannelValue, Checkpoint, TaskWrite, TypedBytes
    value = TypedBytes("bytes", b"value " * 1_000)
    state = Checkpoint(checkpoint_id="1", value=value, versions={"a": "1", "b": "2"})
    changed = [ChannelValue(channel=c, version=v, value=value) for c, v in state.versions.items()]
    store.put_checkpoint("t", state, changed)
    store.put_writes("t", "1", [TaskWrite(task_id="x", idx=0, channel="a", value=value)])
    stored = store.get_checkpoint("t")
    def lists():
        columns = ("session_id", "framework", "length_class", "active_minute")
        return list(Session.objects.order_by("key").values_list(*columns))

    before, now = lists(), int(time.time() // 60)
    assert 0 <= now - Thread.objects.get().active_minute < 5
    call_command("migrate", "parlant_store", "0004", verbosity=0)
    call_command("migrate", verbosity=0)
    assert store.get_checkpoint("t") == stored
    assert lists() == before
    assert 0 <= now - Thread.objects.get().active_minute < 5
    store.save_snapshot("a", [{"role": "user", "content": "hello"}] * 9, state={"selectools": "m"})
    store.add_items("c", [{"role": "user", "content": "Hi"}])
    (_, *a), b, (*c, minute) = lists()
    assert a[:2] == ["selectools", 3] and 0 <= a[2] - now < 5, a
    assert b == before[1]
    assert c == ["c", "openai", 0] and 0 <= minute - now < 5, (c, minute)
    store.delete_session("c")
    assert checked() == {}, checked()
    run("DELETE FROM rating")
    run("DROP TABLE rating")
    stores.close_all()
    again = versions()
    next(again)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tokens FROM parlant_store_session ORDER BY session_id")
        assert cursor.fetchall() == [(0,), (7,)]
    list(again)
    assert {hit.session_id for hit in store.search("hello")} == {"a", "b"}
    assert checked() == {}, checked()
"""


def test_rows_of_the_first_version(tmp_path):
    with fresh_database(tmp_path) as entry:
        run_project(tmp_path, dedent(CODE), {"default": entry})
