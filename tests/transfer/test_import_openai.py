"""store_import of what the sessions of the OpenAI Agents SDK have stored."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from agents import SQLiteSession
from agents.extensions.memory import AdvancedSQLiteSession, SQLAlchemySession
from agents.usage import Usage
from django.core.management import CommandError

from parlant_store.adapters.openai_agents import AdvancedSession, Session
from tests.contract.values import NASTY
from tests.transfer.imports import as_json, contents, run

pytestmark = [pytest.mark.orm, pytest.mark.any_database]

TURN = [
    {"role": "user", "content": "What is the weather in a rare town?"},
    {"type": "function_call", "call_id": "1", "name": "weather", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "1", "output": "rain \0 \ud800"},
    {"role": "assistant", "content": [{"type": "output_text", "text": "Rain."}]},
]


def stored(path, session_id, items, **options):
    session = SQLiteSession(session_id, path, **options)
    asyncio.run(session.add_items(items))
    session.close()


def test_sqlite_sessions(target, tmp_path):
    folder = tmp_path / "sdk"
    folder.mkdir()
    path = folder / "sessions.db"
    sessions = {"a": TURN, "x:messages": NASTY, "漢" * 4096: TURN[:1], "'; --": TURN[1:]}
    for session_id, items in sessions.items():
        stored(path, session_id, items)
    before = contents(folder)
    found = as_json("openai-sqlite", path)
    assert (found["written"], found["items"], found["notes"]) == (4, 4 + 10 + 1 + 3, [])
    assert contents(folder) == before
    for session_id, items in sessions.items():
        assert target.get_items(session_id) == items
        session = Session(session_id, store="target")
        assert asyncio.run(session.get_items()) == items
    assert {hit.session_id for hit in target.search("rare")} == {"a", "漢" * 4096}
    age = datetime.now(UTC) - target.get_session("a").created_at
    assert -5 < age.total_seconds() < 3600
    assert as_json("openai-sqlite", path)["same"] == 4


def test_custom_names_of_tables_and_a_namespace(target, tmp_path):
    path = tmp_path / "sessions.db"
    names = {"sessions_table": "my_sessions", "messages_table": "my_messages"}
    stored(path, "a", TURN, **names)
    with pytest.raises(CommandError, match="no table agent_sessions; it has .*my_sessions"):
        run("openai-sqlite", path)
    options = [word for name, value in names.items() for word in (f"--{name}", value)]
    options = [option.replace("_table", "-table") for option in options]
    run("openai-sqlite", path, *options, "--namespace", "shop")
    assert target.get_items("a", namespace="shop") == TURN


def test_what_cannot_be_read_is_named_and_left(target, tmp_path):
    path = tmp_path / "sessions.db"
    for session_id in ("a", "bad", "c"):
        stored(path, session_id, TURN)
    stored(path, "", TURN[:1])
    with closing(sqlite3.connect(path)) as database, database:
        texts = ["{", "[1]", '{"a": NaN}', '{"a": 1e999}', b"\xff\xfe", 5]
        for text in texts:
            database.execute(
                "INSERT INTO agent_messages (session_id, message_data) VALUES ('bad', ?)", (text,)
            )
        database.execute(
            "INSERT INTO agent_messages (session_id, message_data) VALUES ('orphan', '{}')"
        )
        database.execute("UPDATE agent_sessions SET created_at = 'never' WHERE session_id = 'c'")
    said = run("openai-sqlite", path)
    for number in range(5, 5 + len(texts)):
        assert f"not copied: item {number} of session 'bad': it" in said
    assert "not copied: session '': session_id must not be empty" in said
    assert "7 could not be read" in said
    assert target.get_items("bad") == target.get_items("c") == TURN
    assert target.get_items("orphan") == [{}]
    assert len(target.list_sessions().sessions) == 4


def test_a_database_in_use_and_after_a_crash(target, tmp_path):
    """With a write-ahead log nothing is left beside the file, and nothing of it is missing."""
    folder = tmp_path / "live"
    folder.mkdir()
    path = folder / "sessions.db"
    session = SQLiteSession("a", path)
    asyncio.run(session.add_items(TURN))
    assert path.with_name("sessions.db-wal").stat().st_size
    run("openai-sqlite", path)
    assert target.get_items("a") == TURN
    asyncio.run(session.add_items(TURN))
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in ("sessions.db", "sessions.db-wal"):
        shutil.copyfile(folder / name, crashed / name)
    session.close()
    before = contents(crashed)
    run("openai-sqlite", crashed / "sessions.db", "--on-conflict", "replace")
    assert target.get_items("a") == TURN + TURN
    assert contents(crashed) == before


def test_branches_and_usage_of_advanced_sessions(target, tmp_path):
    path = tmp_path / "advanced.db"

    async def fill():
        session = AdvancedSQLiteSession(session_id="a", db_path=path, create_tables=True)
        await session.add_items(TURN)
        usage = Usage(requests=1, input_tokens=5, output_tokens=7, total_tokens=12)
        await session.store_run_usage(SimpleNamespace(context_wrapper=SimpleNamespace(usage=usage)))
        await session.add_items([{"role": "user", "content": "And then?"}])
        await session.create_branch_from_turn(2, "other")
        await session.add_items([{"role": "user", "content": "In another town?"}])
        branch = await session.get_items()
        main = await session.get_items(branch_id="main")
        session.close()
        return main, branch

    main, branch = asyncio.run(fill())
    stored(path, "plain", TURN)
    run("openai-sqlite", path)
    assert target.get_items("a") == main != branch
    assert target.get_items("a/other") == branch
    assert target.get_items("plain") == TURN
    assert target.get_metadata("a/other") == {"branch": "other", "branch_of": "a"}
    (turn,) = target.get_metadata("a")["turn_usage"]
    assert (turn["turn"], turn["total_tokens"]) == (1, 12)
    assert turn["input_tokens_details"]["cached_tokens"] == 0
    used = target.get_usage("a", by="turn")[1]
    assert (used.requests, used.input_tokens, used.output_tokens, used.total_tokens) == (
        1,
        5,
        7,
        12,
    )
    assert used.input_tokens_details["cached_tokens"] == 0
    assert target.get_usage("a") == used
    assert target.get_usage("a/other", by="turn") == {}
    assert target.get_usage("plain") is None
    advanced = AdvancedSession("a", store="target")
    assert asyncio.run(advanced.get_turn_usage(1))["total_tokens"] == 12
    target.add_usage("plain", 5)
    assert as_json("openai-sqlite", path)["same"] == 3


def test_usage_of_advanced_sessions_that_is_not_as_usual(target, tmp_path):
    path = tmp_path / "advanced.db"

    async def fill():
        session = AdvancedSQLiteSession(session_id="a", db_path=path, create_tables=True)
        await session.add_items([{"role": "system", "content": "Be brief."}, *TURN, *TURN, *TURN])
        session.close()

    asyncio.run(fill())
    numbers = {0: (1, 5), 1: (1, None), 2: (1, "many"), 3: (0, 0), 4: (2, 7), 9: (3, 9)}
    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(
            "INSERT INTO turn_usage (session_id, branch_id, user_turn_number, requests,"
            " total_tokens, input_tokens_details) VALUES ('a', 'main', ?, ?, ?, '[')",
            [(number, *counts) for number, counts in numbers.items()],
        )
        # The second turn has the number 4 there.
        database.execute(
            "UPDATE message_structure SET user_turn_number = 4 WHERE user_turn_number = 2"
        )
    said = run("openai-sqlite", path)
    assert "not copied: usage of turn 2 of session 'a': usage['total_tokens'] must be" in said
    by_turn = target.get_usage("a", by="turn")
    assert {turn: (used.requests, used.total_tokens) for turn, used in by_turn.items()} == {
        0: (1, 5),
        1: (1, 0),
        2: (2, 7),
    }
    assert target.get_usage("a").requests == 7


def test_a_source_that_is_none(target, tmp_path):
    with pytest.raises(CommandError, match="there is no file"):
        run("openai-sqlite", tmp_path / "nowhere")
    text = tmp_path / "text"
    text.write_text("no database" * 1000)
    with pytest.raises(CommandError, match="cannot be read as a database of SQLite"):
        run("openai-sqlite", text)
    with pytest.raises(CommandError, match="openai-sqlite has no --table-prefix; it has --sess"):
        run("openai-sqlite", text, "--table-prefix", "x")
    with pytest.raises(CommandError, match="invalid choice: 'openai'"):
        run("openai", text)


def test_sqlalchemy_on_sqlite(target, tmp_path):
    folder = tmp_path / "sdk"
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{folder}/sessions.db"
    names = {"sessions_table": "own_sessions", "messages_table": "own messages"}

    async def fill():
        for session_id, items in {"a": NASTY, "漢字 '; --": TURN, "empty": []}.items():
            session = SQLAlchemySession.from_url(session_id, url=url, create_tables=True, **names)
            await session.add_items(items)
            await session._engine.dispose()

    asyncio.run(fill())
    before = contents(folder)
    options = ["--sessions-table", "own_sessions", "--messages-table", "own messages"]
    found = as_json("openai-sqlalchemy", url, *options)
    assert found["written"] == 2
    assert contents(folder) == before
    assert target.get_items("a") == NASTY
    with pytest.raises(CommandError, match="SOURCE must be the URL of an engine"):
        run("openai-sqlalchemy", "no url")


def test_sessions_since_a_time(target, tmp_path):
    path = tmp_path / "sessions.db"
    for session_id in ("old", "new"):
        stored(path, session_id, TURN)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE agent_sessions SET updated_at = '2020-01-01' WHERE session_id = 'old'"
        )
    assert as_json("openai-sqlite", path, "--since", "1d")["written"] == 1
    assert target.exists("new")
    assert not target.exists("old")
    assert as_json("openai-sqlite", path, "--since", "2019-12-31")["written"] == 1
    with pytest.raises(CommandError, match="has no --user: it does not say whose sessions are"):
        run("openai-sqlite", path, "--user", "ada")
    with pytest.raises(CommandError, match="--since must be a time"):
        run("openai-sqlite", path, "--since", "yesterday")
