"""The demo, run as a user runs it: in processes of its own, on an SQLite file of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import pytest

from project.supervisor import Supervised

ROOT = Path(__file__).resolve().parents[2]
NO_SERVER = "http://127.0.0.1:9"
LOG_IN = (
    "from django.contrib.auth import authenticate as a; print(a(username='admin', password={}))"
)

Environment = dict[str, str]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """No key, no way out to the network, and an empty database."""
    inherited = {name: value for name, value in os.environ.items() if "OPENAI" not in name}
    inherited["DJANGO_SETTINGS_MODULE"] = "settings_of_another_project"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NO_SERVER)
    own = {"DATABASE_URL": f"sqlite:///{tmp_path / 'demo.sqlite3'}", "PYTHONPATH": str(tmp_path)}
    return inherited | proxies | own


def run(environment: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def manage(environment: Environment, *arguments: str) -> str:
    own = {"DJANGO_SETTINGS_MODULE": "project.settings"}
    process = run(environment | own, "manage.py", *arguments)
    assert process.returncode == 0, process.stderr
    return process.stdout


def demo(environment: Environment, *arguments: str) -> str:
    """What the demo prints; it must succeed and complain of nothing."""
    process = run(environment, "-m", "project.demo", "--no-serve", *arguments)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def agent(environment: Environment, message: str) -> subprocess.CompletedProcess[str]:
    return run(environment, "-m", "project.demo_agent", "session-1", message)


def password_in(output: str) -> str:
    return re.search(r"as admin with the password (\S+)", output)[1]


def test_the_second_process_remembers(environment):
    output = demo(environment)
    asked = output.index("The second process is asked:  Where do I live?")
    assert "It answers:  You live in Lisbon." in output[asked:]


def test_what_is_stored_is_printed(environment):
    output = demo(environment)
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
    assert manage(environment, "shell", "-c", code).split()[-1] == "6"


def test_it_runs_again_and_admin_gets_another_password(environment):
    first, second = demo(environment), demo(environment)
    assert "The user admin is new." in first
    assert "The user admin was here and has a new password." in second
    assert "It answers:  You live in Lisbon." in second
    code = LOG_IN.format(repr(password_in(first)))
    assert manage(environment, "shell", "-c", code).split()[-1] == "None"
    code = LOG_IN.format(repr(password_in(second)))
    assert manage(environment, "shell", "-c", code).split()[-1] == "admin"


def test_an_agent_that_was_told_nothing_fails(environment):
    manage(environment, "migrate", "--verbosity", "0")
    process = agent(environment, "Where do I live?")
    assert process.returncode == 1
    assert process.stdout == ""
    assert "'session-1' did not tell it" in process.stderr


def test_an_agent_knows_nothing_but_its_session(environment):
    manage(environment, "migrate", "--verbosity", "0")
    assert agent(environment, "My name is Kari and I live in Oslo.").returncode == 0
    assert agent(environment, "Where do I live?").stdout == "You live in Oslo.\n"
    code = "from parlant_store import store; print(store.delete_session('session-1'))"
    assert manage(environment, "shell", "-c", code).split()[-1] == "True"
    assert agent(environment, "Where do I live?").returncode == 1


def test_the_demo_fails_when_the_second_process_remembers_nothing(environment, tmp_path):
    # Python imports it at its start.
    Path(tmp_path, "sitecustomize.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from project import settings\n"
        'settings.PARLANT_STORES = {"default": {"OPTIONS": {"ttl_seconds": 0.001}}}\n'
    )
    process = run(environment, "-m", "project.demo", "--no-serve")
    assert process.returncode == 1
    assert "The second process is asked 'Where do I live?' and failed" in process.stderr
    assert "Traceback" not in process.stderr


def test_a_taken_port_is_named(environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = run(environment, "-m", "project.demo", "--port", str(port))
    assert process.returncode == 1
    assert f"Another program listens on port {port} of 127.0.0.1." in process.stderr
    assert "Traceback" not in process.stderr
    assert "The admin is at" not in process.stdout


@contextmanager
def serving(environment: Environment) -> Iterator[tuple[Supervised, str]]:
    """The demo as it serves, and what it has printed up to then."""
    pipe = subprocess.PIPE
    with Supervised(
        [sys.executable, "-m", "project.demo", "--port", "0"],
        stop_signal=signal.SIGINT,
        cwd=ROOT,
        env=environment,
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


def test_the_admin_is_served_until_ctrl_c(environment):
    with serving(environment) as (process, printed):
        (url,) = re.findall(r"The admin is at (http://127\.0\.0\.1:\d+/admin/)", printed)
        browser, page = log_in(url, password_in(printed))
        assert "Log out" in page
        static = url.replace("/admin/", "/static/admin/css/base.css")
        assert browser.open(static).status == 200
        process.stop()
        errors = process.stderr.read()
    assert process.returncode == 0
    assert "Traceback" not in errors
