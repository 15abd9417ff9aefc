"""docs/redis.md is followed here; the other pages are in tests/docs."""

import os
import re
import shlex

import pytest

from parlant_store.backends.redis import RedisBackend
from tests.backends.redis.conftest import stores_on
from tests.contract.snapshot_values import said
from tests.docs.pages import ROOT, blocks_of, check_options, installable
from tests.docs.projects import manage, project_of
from tests.servers import redis_servers

PAGE = ROOT / "docs" / "redis.md"
BLOCKS = blocks_of(PAGE)
COMMANDS = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]


@pytest.fixture
def folder(tmp_path):
    """A Django project with what the page tells to put into its settings."""
    return project_of(tmp_path, PAGE)


def test_every_block_is_run():
    assert {block.file or block.language for block in BLOCKS} == {"sh", "settings.py", "python"}


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line, folder, valkey):
    match shlex.split(line):
        case ["pip", "install", requirement]:
            installable(requirement)
        case ["python", "manage.py", "check"]:
            manage(folder, "check", "--fail-level", "WARNING", REDIS_URL=valkey.url)
        case _:
            pytest.fail(f"teach {os.path.basename(__file__)} to run {line}")


def test_code(folder):
    (block,) = [block for block in BLOCKS if block.language == "python" and not block.file]
    code = re.sub(r"^(.*\S)  # (.*)$", r"assert \1 == \2", block.text, flags=re.M)
    assert "assert" in code
    with redis_servers.server(redis_servers.valkey()) as own:
        manage(folder, "shell", "-c", code, REDIS_URL=own.url)
        with own.client() as client:
            assert client.get("parlant:shards") == b"64"


def test_the_table_of_options_is_complete():
    check_options(PAGE, RedisBackend)


def test_the_table_of_keys_is_complete():
    rows = re.findall(r"^\| `(prefix:\S+)` \| ([\w ]+) \|", PAGE.read_text("utf-8"), re.M)
    described = {re.sub(r"NAME|ID", "", key.replace("{tag}:", "")): type_ for key, type_ in rows}
    types = {"zset": "sorted set"}
    with redis_servers.server(redis_servers.valkey()) as own, stores_on(url=own.url) as make:
        store = make(prefix="prefix")
        items = [*said("hello"), {"type": "function_call_output", "output": "rain"}]
        store.save_snapshot("s", items, state={"a": 1}, user_id="ada", ttl_seconds=100)
        store.set_metadata("s", {"a": 1})
        store.branch("s", "b")
        with own.client() as client:
            found = {}
            for key in client.scan_iter():
                name = re.sub(r"\{\d+\}:", "", key.decode())
                name = re.sub(r"(session|items|texts|turns|request):.*", r"\1:", name, flags=re.S)
                type_ = client.type(key).decode()
                found[name] = types.get(type_, type_)
            assert found == described
            (session,) = client.scan_iter("*:session:*b")
            fields = {field.decode() for field in client.hkeys(session)}
    (row,) = re.findall(r"^\| `prefix:\{tag\}:session:NAME` .*$", PAGE.read_text("utf-8"), re.M)
    assert fields == set(re.findall(r"`(\w+)`", row))
