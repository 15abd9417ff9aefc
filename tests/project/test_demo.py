"""The demo, run as a user runs it: in processes of its own, on an SQLite file of its own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest

from project.supervisor import Supervised
from tests import processes

ROOT = Path(__file__).resolve().parents[2]
NO_SERVER = "http://127.0.0.1:9"
LOG_IN = (
    "from django.contrib.auth import authenticate as a; print(a(username='admin', password={}))"
)

Environment = dict[str, str]


DEMO = ("-m", "project.demo", "--no-serve")


def without_network(folder: Path) -> Environment:
    """No key, no way out to the network, and a database in ``folder``."""
    inherited = {name: value for name, value in os.environ.items() if "OPENAI" not in name}
    inherited["DJANGO_SETTINGS_MODULE"] = "settings_of_another_project"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NO_SERVER)
    own = {"DATABASE_URL": f"sqlite:///{folder / 'demo.sqlite3'}", "PYTHONPATH": str(folder)}
    return inherited | proxies | own


class Made(NamedTuple):
    """A run of the demo: its database, and what it printed."""

    folder: Path
    output: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The first run, on an empty database."""
    folder = tmp_path_factory.mktemp("demo")
    return Made(folder, demo(without_network(folder)))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An empty database."""
    return without_network(tmp_path)


@pytest.fixture
def again(environment: Environment, made: Made, tmp_path: Path) -> Environment:
    """The database that the first run has left."""
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True)
    return environment


def run(environment: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def manage(environment: Environment, *arguments: str) -> str:
    own = {"DJANGO_SETTINGS_MODULE": "project.settings"}
    process = processes.run("manage.py", *arguments, env=environment | own)
    assert process.returncode == 0, process.stderr
    return process.stdout


def demo(environment: Environment) -> str:
    """What the demo prints; it must succeed and complain of nothing."""
    process = run(environment, *DEMO)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def agent(environment: Environment, message: str) -> subprocess.CompletedProcess[str]:
    return processes.run("-m", "project.demo_agent", "session-1", message, env=environment)


def password_in(output: str) -> str:
    return re.search(r"as admin with the password (\S+)", output)[1]


def test_the_second_process_remembers(made):
    asked = made.output.index("The second process is asked:  Where do I live?")
    assert "It answers:  You live in Lisbon." in made.output[asked:]


def test_what_is_stored_is_printed(made, again):
    output = made.output
    (session_id,) = re.findall(r"keeps session (\S+) of user ada", output)
    lines = [line.split(maxsplit=2) for line in output.splitlines() if line.startswith("  ")]
    assert lines == [
        ["0", "user", "My name is Ada and I live in Lisbon."],
        ["1", "function_call", 'weather {"city": "Lisbon"}'],
        ["2", "function_call_output", "Lisbon: sunny, 24 degrees"],
        ["3", "assistant", "Nice to meet you, Ada. The weather in Lisbon: sunny, 24 degrees."],
        ["4", "user", "Where do I live?"],
        ["5", "assistant", "You live in Lisbon."],
    ]
    code = f"from parlant_store import store; print(store.get_session({session_id!r}).item_count)"
    assert manage(again, "shell", "-c", code).split()[-1] == "6"


def test_an_agent_that_was_told_nothing_fails(again):
    process = agent(again, "Where do I live?")
    assert process.returncode == 1
    assert process.stdout == ""
    assert "'session-1' did not tell it" in process.stderr


def test_an_agent_knows_nothing_but_its_session(again):
    assert agent(again, "My name is Kari and I live in Oslo.").returncode == 0
    assert agent(again, "Where do I live?").stdout == "You live in Oslo.\n"
    code = "from parlant_store import store; print(store.delete_session('session-1'))"
    assert manage(again, "shell", "-c", code).split()[-1] == "True"
    assert agent(again, "Where do I live?").returncode == 1


def test_the_demo_fails_when_the_second_process_remembers_nothing(again, tmp_path):
    # Python imports it at its start.
    Path(tmp_path, "sitecustomize.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from project import settings\n"
        'settings.PARLANT_STORES = {"default": {"OPTIONS": {"ttl_seconds": 0.001}}}\n'
    )
    process = processes.run(*DEMO, env=again | processes.forking())
    assert process.returncode == 1
    assert "The second process is asked 'Where do I live?' and failed" in process.stderr
    assert "Traceback" not in process.stderr


WITHOUT_AGENTS = """
from project import demo
demo._say_to_agent = lambda what, session_id, message: demo.REMEMBERED
demo._show = lambda session_id: None
demo.main()
"""
"""Only the admin is the matter; an agent's process takes seconds to import the SDK."""


def test_it_names_a_taken_port(again):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = processes.run("-c", WITHOUT_AGENTS, "--port", str(port), env=again)
    assert process.returncode == 1
    assert f"Another program listens on port {port} of 127.0.0.1." in process.stderr
    assert "Traceback" not in process.stderr
    assert "The admin is at" not in process.stdout


def check_it_ran_again(made: Made, environment: Environment, output: str) -> None:
    """The agents remember as in the first run, and admin has another password."""
    assert "The user admin is new." in made.output
    assert "The user admin was here and has a new password." in output
    assert "It answers:  You live in Lisbon." in output
    passwords = [password_in(printed) for printed in (made.output, output)]
    code = "; ".join(LOG_IN.format(repr(password)) for password in passwords)
    assert manage(environment, "shell", "-c", code).split()[-2:] == ["None", "admin"]


@contextmanager
def serving(environment: Environment) -> Iterator[tuple[Supervised, str]]:
    """The demo as it serves, and what it has printed up to then."""
    pipe, forking = subprocess.PIPE, processes.forking()
    with Supervised(
        [forking[processes.EXECUTABLE], "-m", "project.demo", "--port", "0"],
        stop_signal=signal.SIGINT,
        cwd=ROOT,
        env=environment | forking,
        stdout=pipe,
        stderr=pipe,
        text=True,
    ) as process:
        printed = ""
        while "until Ctrl-C" not in printed:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            printed += line
        yield process, printed


def log_in(url: str, password: str) -> tuple[OpenerDirector, str]:
    """A browser's cookies and the page that comes after the login."""
    cookies = CookieJar()
    browser = build_opener(HTTPCookieProcessor(cookies))
    assert browser.open(url).status == 200
    (token,) = [cookie.value for cookie in cookies if cookie.name == "csrftoken"]
    form = {"username": "admin", "password": password, "csrfmiddlewaretoken": token}
    with browser.open(f"{url}login/?next=/admin/", urlencode(form).encode()) as response:
        return browser, response.read().decode()


def test_it_runs_again_and_serves_the_admin_until_ctrl_c(made, again):
    with serving(again) as (process, printed):
        (url,) = re.findall(r"The admin is at (http://127\.0\.0\.1:\d+/admin/)", printed)
        browser, page = log_in(url, password_in(printed))
        assert "Log out" in page
        static = url.replace("/admin/", "/static/admin/css/base.css")
        assert browser.open(static).status == 200
        process.stop()
        errors = process.stderr.read()
    assert process.returncode == 0
    assert "Traceback" not in errors
    check_it_ran_again(made, again, printed)
