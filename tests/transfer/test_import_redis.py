"""store_import of what RedisSession of the OpenAI Agents SDK has stored."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from agents.extensions.memory import RedisSession
from django.core.management import CommandError
from redis import Redis

from tests.contract.values import NASTY, numbered
from tests.transfer.imports import as_json, run
from tests.transfer.valkey import dumped
from tests.transfer.valkey import valkey_url as valkey_url

pytestmark = [pytest.mark.orm, pytest.mark.any_database]


def stored(url, session_id, items, **options):
    async def fill():
        session = RedisSession.from_url(session_id, url=url, **options)
        await session.add_items(items)
        await session.close()

    asyncio.run(fill())


def test_sessions_and_their_times(target, valkey_url):
    sessions = {"a": NASTY, "x": numbered(1), "x:y": numbered(2, 3), "漢": [], "*?[a]": numbered(4)}
    for session_id, items in sessions.items():
        stored(valkey_url, session_id, items)
    stored(valkey_url, "limited", numbered(5), ttl=3600)
    with Redis.from_url(valkey_url) as client:
        client.set("agents:sessionless", "another's")
        client.set("else:messages", "another's")
    before = dumped(valkey_url)
    found = as_json("openai-redis", valkey_url)
    assert (found["written"], found["notes"]) == (5, [])
    assert dumped(valkey_url) == before
    for session_id, items in sessions.items():
        assert target.get_items(session_id) == items
    age = datetime.now(UTC) - target.get_session("a").created_at
    assert timedelta(seconds=-5) < age < timedelta(hours=1)
    left = target.get_session("limited").expires_at - datetime.now(UTC)
    assert timedelta(0) < left <= timedelta(hours=1)
    assert target.get_session("a").expires_at is None


def test_ids_that_look_like_keys(target, valkey_url):
    """In Redis the hash of the one has the name of the messages of the other."""
    stored(valkey_url, "x:messages", numbered(1))
    stored(valkey_url, "y", numbered(2))
    run("openai-redis", valkey_url)
    assert target.get_items("x:messages") == numbered(1)
    assert target.get_items("y") == numbered(2)
    assert len(target.list_sessions().sessions) == 2


def test_a_prefix_and_a_namespace(target, valkey_url):
    stored(valkey_url, "a", numbered(1), key_prefix="mine[1]*")
    stored(valkey_url, "b", numbered(2), key_prefix="mine1")
    run("openai-redis", valkey_url, "--key-prefix", "mine[1]*", "--namespace", "shop")
    assert target.get_items("a", namespace="shop") == numbered(1)
    assert len(target.list_sessions().sessions) == 1


def test_what_cannot_be_read_is_named_and_left(target, valkey_url):
    stored(valkey_url, "a", numbered(1))
    with Redis.from_url(valkey_url) as client:
        client.rpush("agents:session:a:messages", "{", b"\xff", '{"a": NaN}', "[]")
        client.rpush(b"agents:session:\xff:messages", "{}")
        client.hset("agents:session:a", "created_at", "never")
        client.rpush("agents:session::messages", "{}")
    said = run("openai-redis", valkey_url)
    for number in range(2, 6):
        assert f"not copied: item {number} of session 'a': it" in said
    assert "it is not in UTF-8" in said
    assert "session '': session_id must not be empty" in said
    assert target.get_items("a") == numbered(1)


def test_a_server_that_is_none(target):
    with pytest.raises(CommandError, match="Redis cannot be read"):
        run("openai-redis", "unix:///nowhere/socket")
    with pytest.raises(CommandError, match="SOURCE must be a URL as redis://host"):
        run("openai-redis", "http://localhost")
