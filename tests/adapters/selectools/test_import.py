"""store_import of what selectools' own stores have stored, and what the adapter makes of it."""

import json
import sqlite3
import time
from contextlib import closing

import pytest
from django.core.management import CommandError
from redis import Redis
from selectools.memory import ConversationMemory
from selectools.sessions import JsonFileSessionStore, RedisSessionStore, SQLiteSessionStore
from selectools.types import Message, Role, ToolCall

from parlant_store.adapters.selectools import SessionStore
from tests.transfer.conftest import migrated_file as migrated_file
from tests.transfer.conftest import other as other
from tests.transfer.imports import as_json, contents, run
from tests.transfer.valkey import dumped
from tests.transfer.valkey import valkey_url as valkey_url

pytestmark = [pytest.mark.orm, pytest.mark.any_database]


def memory(*texts, **options):
    made = ConversationMemory(max_messages=50, **options)
    call = ToolCall(tool_name="weather", parameters={"town": "x"}, id="1")
    made.add(Message(role=Role.USER, content=f"A rare word {texts}"))
    made.add(Message(role=Role.ASSISTANT, content="", tool_calls=[call]))
    made.add(Message(role=Role.TOOL, content="rain", tool_name="weather", tool_call_id="1"))
    for text in texts:
        made.add(Message(role=Role.ASSISTANT, content=text))
    return made


MEMORIES = {
    ("plain", None): memory("one"),
    ("a", "space"): memory("two", max_tokens=9999),
    ("漢字😀", None): memory("漢字", "NUL \0"),
    ("long" * 50, "space"): memory(),
}


@pytest.fixture
def target(other):
    return other("target")


def same(store, memories):
    """The adapter loads what selectools' own store would, and goes on with it."""
    adapter = SessionStore("target")
    for (session_id, namespace), expected in memories.items():
        loaded = adapter.load(session_id, namespace=namespace)
        assert loaded.to_dict() == store.load(session_id, namespace=namespace).to_dict()
        loaded.add(Message(role=Role.USER, content="more"))
        adapter.save(session_id, loaded, namespace=namespace)
        assert len(adapter.load(session_id, namespace=namespace)) == len(expected) + 1
    listed = {entry.session_id: entry for entry in store.list()}
    for entry in adapter.list():
        assert entry.created_at == pytest.approx(listed[entry.session_id].created_at, abs=1e-5)


def save(store):
    for (session_id, namespace), saved in MEMORIES.items():
        store.save(session_id, saved, namespace=namespace)
    return store


def test_json_files(target, tmp_path):
    folder = tmp_path / "sessions"
    store = save(JsonFileSessionStore(str(folder)))
    before = contents(folder)
    found = as_json("selectools-json", folder)
    assert (found["written"], found["notes"]) == (len(MEMORIES), [])
    assert as_json("selectools-json", folder)["same"] == len(MEMORIES)
    assert contents(folder) == before
    same(store, MEMORIES)


def test_sqlite(target, tmp_path):
    path = tmp_path / "sessions" / "sessions.db"
    path.parent.mkdir()
    store = save(SQLiteSessionStore(str(path)))
    before = contents(path.parent)
    found = as_json("selectools-sqlite", path)
    assert (found["written"], found["notes"]) == (len(MEMORIES), [])
    assert contents(path.parent) == before
    same(store, MEMORIES)
    # The full key, as list() of selectools returns it.
    assert SessionStore("target").load("space:a") is not None


def test_dicts_of_the_older_form(target, tmp_path):
    data = {"messages": [{"role": "user", "content": "hi"}], "metadata": {"a": 1}}
    others = {"data": "without messages"}
    (tmp_path / "old.json").write_text(json.dumps({"session_id": "old", **data}))
    (tmp_path / "none.json").write_text(json.dumps(others))
    run("selectools-json", tmp_path)
    adapter = SessionStore("target")
    assert adapter.load("old") == {"session_id": "old", **data}
    assert adapter.load("none") == others


def test_damaged_files_and_rows_are_named_and_left(target, tmp_path):
    folder = tmp_path / "files"
    save(JsonFileSessionStore(str(folder)))
    (folder / "half.json").write_text('{"session_id": "half"')
    (folder / "list.json").write_text("[]")
    (folder / "bytes.json").write_bytes(b"\xff\xfe\xfa")
    (folder / "number.json").write_text('{"session_id": 5, "memory": {}}')
    (folder / "nan.json").write_text(
        '{"session_id": "nan", "memory": {"max_messages": 5, "messages": [{"role": "user",'
        ' "content": "good"}, {"x": NaN}, 7]}}'
    )
    (folder / "state.json").write_text('{"session_id": "state", "memory": {"x": Infinity}}')
    found = as_json("selectools-json", folder)
    assert found["written"] == len(MEMORIES) + 1
    notes = "\n".join(found["notes"])
    for name in ("half.json", "list.json", "bytes.json", "number.json", "message 2", "message 3"):
        assert name in notes
    assert "session 'state': its state['data']['x'] is inf" in notes
    assert found["difference_count"] == 0
    assert target.get_items("nan") == [{"role": "user", "content": "good"}]
    assert len(target.list_sessions().sessions) == len(MEMORIES) + 1

    path = tmp_path / "sessions.db"
    save(SQLiteSessionStore(str(path)))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE sessions SET memory_json = '{' WHERE session_id = 'plain'")
    said = run("selectools-sqlite", path, "--on-conflict", "skip")
    assert "not copied: session 'plain': it is no JSON" in said


def test_a_source_that_is_none(target, tmp_path):
    with pytest.raises(CommandError, match="there is no folder"):
        run("selectools-json", tmp_path / "nowhere")
    with closing(sqlite3.connect(tmp_path / "empty.db")) as database:
        database.execute("CREATE TABLE other (a)")
    with pytest.raises(CommandError, match="has no table sessions"):
        run("selectools-sqlite", tmp_path / "empty.db")


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")
def test_redis(target, valkey_url):
    store = save(RedisSessionStore(valkey_url))
    limited = RedisSessionStore(valkey_url, default_ttl=3600)
    limited.save("limited", memory("soon"))
    with Redis.from_url(valkey_url) as client:
        client.delete("selectools:session:__meta__plain")
        client.set("selectools:session:bad", "{")
        client.rpush("selectools:session:list", "x")
        client.set("selectools:sessionless", "another's")
    before = dumped(valkey_url)
    found = as_json("selectools-redis", valkey_url)
    assert found["written"] == len(MEMORIES) + 1
    assert [note.partition(":")[0] for note in sorted(found["notes"])] == ["key b'selectools"] * 2
    assert dumped(valkey_url) == before
    assert as_json("selectools-redis", valkey_url)["same"] == len(MEMORIES) + 1
    left = target.get_session("limited").expires_at.timestamp() - time.time()
    assert 0 < left <= 3600
    adapter = SessionStore("target")
    for (session_id, namespace), saved in MEMORIES.items():
        assert adapter.load(session_id, namespace=namespace).to_dict() == saved.to_dict()
    assert {entry.session_id for entry in store.list()} < {
        entry.session_id for entry in adapter.list()
    }
