"""store_import of tables in PostgreSQL."""

import asyncio
import json
import os
from datetime import UTC, datetime
from urllib.parse import urlsplit

import psycopg
import pytest
from agents.extensions.memory import SQLAlchemySession
from django.core.management import CommandError
from django.db import connection
from psycopg.types.json import Jsonb

from tests.contract.values import NASTY, numbered
from tests.transfer.imports import as_json, run

pytestmark = pytest.mark.orm


@pytest.fixture
def url(transactional_db):
    """The test database, with a schema of its own for the tables."""
    name = connection.settings_dict["NAME"]
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}", scheme="postgresql")
    with psycopg.connect(url.geturl(), autocommit=True) as session:
        session.execute("create schema kept")
        yield url.geturl()
        session.execute("drop schema kept cascade")


def stored(url, sessions, **options):
    async def fill():
        for session_id, items in sessions.items():
            session = SQLAlchemySession.from_url(session_id, url=url, create_tables=True, **options)
            await session.add_items(items)
            await session._engine.dispose()

    asyncio.run(fill())


def test_sqlalchemy_on_postgresql(target, url):
    options = "?options=-csearch_path%3Dkept"
    sdk = url.replace("postgresql://", "postgresql+psycopg://") + _joined(url, options)
    stored(sdk, {"a": NASTY, "b": numbered(1, 2)})
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("set search_path to kept")
        session.execute("alter table agent_messages drop constraint agent_messages_session_id_fkey")
        for session_id, text in (("b", "{"), ("orphan", "{}")):
            session.execute(
                "insert into agent_messages (session_id, message_data, created_at)"
                " values (%s, %s, '2024-05-06 07:08:09.123456')",
                (session_id, text),
            )
    said = run("openai-sqlalchemy", sdk.replace("+psycopg", "+asyncpg"))
    assert "not copied: item 3 of session 'b': it is no JSON" in said
    assert target.get_items("a") == NASTY
    assert target.get_items("b") == numbered(1, 2)
    (orphan,) = target.read_sessions([("", "orphan")])
    assert orphan.item_times == [datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)]
    with pytest.raises(CommandError, match="cannot be read.*does_not_exist") as caught:
        run("openai-sqlalchemy", sdk, "--sessions-table", "does_not_exist")
    assert "postgres:***@" in str(caught.value) or not urlsplit(url).password


def _joined(url, options):
    return options if "?" not in url else options.replace("?", "&")


def test_a_table_of_messages(target, url):
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(
            "create table kept.agent_sessions (id serial primary key, session_id text, role text,"
            " content text, created_at timestamp)"
        )
        rows = [
            ("a", "user", "a rare word", "2024-05-06 07:08:09"),
            ("b", "user", "漢字", "2024-05-06"),
            ("a", "assistant", "an answer", "2024-05-06 07:08:10"),
            ("a", None, "without a role", "2024-05-06"),
            (None, "user", "without a session", "2024-05-06"),
        ]
        for row in rows:
            session.execute(
                "insert into kept.agent_sessions (session_id, role, content, created_at)"
                " values (%s, %s, %s, %s)",
                row,
            )
    said = run("postgres-session", url, "--schema", "kept")
    assert target.get_items("a") == [
        {"role": "user", "content": "a rare word"},
        {"role": "assistant", "content": "an answer"},
    ]
    assert [hit.session_id for hit in target.search("rare")] == ["a"]
    info = target.get_session("a")
    assert info.created_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert info.updated_at == datetime(2024, 5, 6, 7, 8, 10, tzinfo=UTC)
    assert "not copied: row 4 of session 'a': no role or content" in said
    assert "not copied: 1 rows of agent_sessions: without a session_id" in said
    with pytest.raises(CommandError, match="there is no table kept.nowhere"):
        run("postgres-session", url, "--schema", "kept", "--table", "nowhere")
    with pytest.raises(CommandError, match="as postgresql://"):
        run("postgres-session", "https://example.invalid")


def test_memories_of_selectools(target, url):
    memory = {
        "max_messages": 20,
        "max_tokens": None,
        "message_count": 1,
        "messages": [{"role": "user", "content": "hi", "tool_calls": None}],
    }
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(
            "create table kept.selectools_sessions (session_id text primary key, memory_json jsonb"
            " not null, message_count int, created_at timestamptz default '2024-05-06',"
            " updated_at timestamptz default '2024-05-07')"
        )
        for key, value in (("plain", memory), ("space:id", memory), ("bad", [1])):
            session.execute(
                "insert into kept.selectools_sessions (session_id, memory_json) values (%s, %s)",
                (key, Jsonb(value)),
            )
    said = run("selectools-supabase", url, "--schema", "kept")
    assert "not copied: session 'bad': its memory is no JSON object" in said
    for names in ({"session_id": "plain"}, {"session_id": "id", "namespace": "space"}):
        snapshot = target.load_snapshot(**names)
        assert snapshot.items == [{"role": "user", "content": "hi"}]
        assert snapshot.state["max_messages"] == 20
    with pytest.raises(CommandError, match="SOURCE must be a URL: https://.*SUPABASE_KEY"):
        run("selectools-supabase", "file.db")


def test_tables_of_parlants_own_adapter(target, url):
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("set search_path to kept")
        columns = "version text, creation_utc text, session_id text, customer_id text,"
        for table in ("parlant_sessions_", "parlant_sessions_events"):
            session.execute(
                f"create table {table} (id text primary key, {columns} agent_id text, data jsonb)"
            )
        session.execute("create table parlant_sessions__failed_migrations (id text, data jsonb)")
        for number in range(3):
            session.execute(
                "insert into parlant_sessions_events (id, session_id, data) values (%s, %s, %s)",
                (f"e{number}", "s", Jsonb({"offset": number, "data": {"message": "漢字"}})),
            )
        session.execute("insert into parlant_sessions_ (id, data) values ('s', '{\"id\": \"s\"}')")
        session.execute("insert into parlant_sessions_ (id, data) values ('x', '[]')")
        session.execute(
            "insert into parlant_sessions__failed_migrations (data) values ('{\"a\": 1}'), (null)"
        )
    said = run("parlant-seed", url, "--schema", "kept")
    assert target.find("parlant_sessions_sessions").documents == ({"id": "s"},)
    events = target.find("parlant_sessions_events").documents
    assert [event["offset"] for event in events] == [0, 1, 2]
    assert events[0] == json.loads(
        '{"id": "e0", "session_id": "s", "offset": 0, "data": {"message": "漢字"}}'
    )
    failed = target.find("parlant_sessions_sessions_failed_migrations").documents
    assert failed == ({"a": 1},)
    assert "not copied: row 'x' of parlant_sessions_: its data is no JSON object" in said
    assert as_json("parlant-seed", url, "--schema", "kept")["written"] == 0
