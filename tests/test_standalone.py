"""Stores in a script of its own, without a Django project."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes

ROOT = Path(__file__).parents[1]
SETUP = "import parlant_store\nparlant_store.setup({arguments})\n"


def environment_of_a_script() -> dict[str, str]:
    ours = ("DJANGO_SETTINGS_MODULE", "DATABASE_URL")
    variables = {name: value for name, value in os.environ.items() if name not in ours}
    return variables | {"PYTHONPATH": str(ROOT)}


def run(script: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = environment_of_a_script() | environment
    return processes.run("-c", script, cwd=cwd, env=env, timeout=600)


def run_without_imports(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run it in a process that has imported nothing yet."""
    command = [sys.executable, "-c", script]
    env = environment_of_a_script()
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600)


def good(script: str, cwd: Path, **environment: str) -> str:
    done = run(script, cwd, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("arguments", "file", "environment"),
    [
        ("", "parlant_store.sqlite3", {}),
        ("", "env.sqlite3", {"DATABASE_URL": "sqlite:///env.sqlite3"}),
        ("database_url='sqlite:///agents.db'", "agents.db", {"DATABASE_URL": "sqlite:///no.db"}),
    ],
)
def test_three_lines_are_enough(tmp_path, arguments, file, environment):
    script = SETUP.format(arguments=arguments)
    write = script + "parlant_store.store.add_items('s', [{'a': 1}])"
    read = script + "print(parlant_store.store.get_items('s'))"
    good(write, tmp_path, **environment)
    assert good(read, tmp_path, **environment) == "[{'a': 1}]\n"
    assert (tmp_path / file).exists()


def test_inside_a_running_event_loop(tmp_path):
    script = """
import asyncio, parlant_store
async def main():
    parlant_store.setup("sqlite:///a.db")
    from parlant_store.adapters.openai_agents import Session
    await Session("s").add_items([{"a": 1}])
    print(await Session("s").get_items())
asyncio.run(main())
"""
    assert good(script, tmp_path) == "[{'a': 1}]\n"


def test_calling_it_again(tmp_path):
    again = SETUP.format(arguments="'sqlite:///a.db'")
    good(again + again, tmp_path)
    done = run(again + SETUP.format(arguments="'sqlite:///b.db'"), tmp_path)
    assert "ImproperlyConfigured" in done.stderr
    assert "called before with other arguments" in done.stderr


def test_inside_a_project_it_is_not_needed(tmp_path):
    done = run(SETUP.format(arguments=""), tmp_path, DJANGO_SETTINGS_MODULE="project.settings")
    assert "for scripts without a Django project" in done.stderr
    assert "project.settings configures Django" in done.stderr


# Passwords of these tests are written in two parts: since Python 3.13 a traceback shows the code.
def test_wrong_arguments_are_said_before_anything_is_written(tmp_path):
    for arguments, said in (
        ("'sqlite://:memory:'", "in memory"),
        ("'sqlite://'", "in memory"),
        ("'mysql://u:sec' 'ret@h/n'", "works on: SQLite and PostgreSQL"),
        ("'nonsense'", "database_url"),
        ("'sqlite:///a.db', stores={'default': {'OPTIONS': {'x': 1}}}", "which OrmBackend does"),
    ):
        done = run(SETUP.format(arguments=arguments), tmp_path)
        assert done.returncode != 0
        assert said in done.stderr, done.stderr
        assert "secret" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_cannot_be_reached(tmp_path):
    done = run(SETUP.format(arguments="'postgresql://u:sec' 'ret@127.0.0.1:1/n'"), tmp_path)
    assert "StoreUnavailable" in done.stderr
    assert "secret" not in done.stderr


def test_several_scripts_may_begin_at_once(tmp_path):
    script = SETUP.format(arguments="'sqlite:///a.db'") + (
        "parlant_store.store.add_items('s', [{'a': 1}])"
    )
    scripts = [
        processes.Process("-c", script, cwd=tmp_path, env=environment_of_a_script())
        for _ in range(6)
    ]
    assert [each.wait(600) for each in scripts] == [0] * 6
    read = (
        SETUP.format(arguments="'sqlite:///a.db'")
        + "print(len(parlant_store.store.get_items('s')))"
    )
    assert good(read, tmp_path) == "6\n"


def test_importing_needs_no_framework_and_no_driver(tmp_path):
    script = """
import sys
before = set(sys.modules)
import parlant_store
parlant_store.setup("sqlite:///a.db")
parlant_store.store.add_items("s", [{"a": 1}])
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
others = {"psycopg", "agents", "langgraph", "openai", "parlant", "selectools", "redis", "supabase"}
print(sorted(loaded & others))
"""
    done = run_without_imports(script, tmp_path)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize(
    ("module", "adapter", "framework", "extra"),
    [
        ("agents", "openai_agents", "the OpenAI Agents SDK", "openai-agents"),
        ("langgraph", "langgraph", "LangGraph", "langgraph"),
    ],
)
def test_without_its_framework_an_adapter_names_the_extra(
    tmp_path, module, adapter, framework, extra
):
    script = f"""
import sys
sys.modules["{module}"] = None
import parlant_store.adapters.{adapter}
"""
    done = run_without_imports(script, tmp_path)
    assert f"ImproperlyConfigured: {framework} is not installed" in done.stderr
    assert f"pip install 'django-parlant-store[{extra}]'" in done.stderr


def test_a_store_used_before_setup_says_so(tmp_path):
    done = run("from parlant_store import store\nstore.get_items('s')", tmp_path)
    assert "parlant_store.setup" in done.stderr


def test_a_forked_child_uses_threads_of_its_own(tmp_path):
    script = (
        SETUP.format(arguments="'sqlite:///a.db'")
        + """
import asyncio, os
from parlant_store.adapters.openai_agents import Session
asyncio.run(Session("s").add_items([{"a": 1}]))
child = os.fork()
if child == 0:
    asyncio.run(Session("s").add_items([{"b": 1}]))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(asyncio.run(Session("s").get_items()))
"""
    )
    assert good(script, tmp_path) == "[{'a': 1}, {'b': 1}]\n"
