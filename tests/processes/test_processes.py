"""Forked processes are as those that Python starts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE, TimeoutExpired
from typing import Any

import pytest

from tests.processes import Process, forking, run
from tests.processes.client import ADDRESS

pytestmark = pytest.mark.any_database

SHOW = """
import json, os, signal, sys, warnings
handlers = [str(signal.getsignal(getattr(signal, name))) for name in ("SIGINT", "SIGCHLD")]
sys.stdout.write(json.dumps([
    sys.argv, sys.path[0], __name__, os.getcwd(), sys.stdin.read(), dict(os.environ), handlers,
    warnings.filters[0][0], sys.stdout.isatty(), threading.active_count(),
]))
print("an error", file=sys.stderr)
sys.exit(3)
""".replace("import json, ", "import json, threading, ")


@pytest.mark.parametrize("way", ["-c", "-m", "file"])
def test_they_find_what_python_gives_them(tmp_path: Path, way: str) -> None:
    file = tmp_path / "shown.py"
    file.write_text(SHOW)
    program = {"-c": ["-c", SHOW], "-m": ["-m", "shown"], "file": [str(file)]}[way]
    command = ["-W", "error", *program, "a", "b c"]
    options: dict[str, Any] = {"cwd": tmp_path, "env": {"LC_CTYPE": "C.UTF-8", "A": "ä\n"}}
    with Process(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, **options) as process:
        found, errors = process.communicate("given", 600)
    started = subprocess.run(
        [sys.executable, *command], input="given", capture_output=True, text=True, **options
    )
    assert (process.returncode, errors) == (started.returncode, started.stderr) == (3, "an error\n")
    shown, wanted = json.loads(found), json.loads(started.stdout)
    del shown[5][ADDRESS]
    assert shown == wanted


STARTS = """
import subprocess, sys
for code in (
    "import sys; print('django' in sys.modules, sys.stdin.read(), sys.argv[1:]); sys.exit(3)",
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
):
    command = [sys.executable, "-c", code, "a b"]
    done = subprocess.run(command, input="given", stdout=subprocess.PIPE, text=True)
    print(done.returncode, *done.stdout.splitlines())
"""


def test_what_they_start_is_forked_where_it_is_wanted() -> None:
    done = run("-c", STARTS, env=os.environ | forking())
    assert (done.stdout.splitlines(), done.stderr) == (["3 True given ['a b']", "-15"], "")
    assert run("-c", STARTS).stdout.splitlines()[0] == "3 False given ['a b']"


def test_an_exception_ends_them() -> None:
    done = run("-c", "print('begun')\n1/0")
    assert (done.returncode, done.stdout) == (1, "begun\n")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_what_is_to_happen_at_the_end_does() -> None:
    code = (
        "import atexit, threading, time\n"
        "atexit.register(print, 'at exit')\n"
        "def late():\n    threading.main_thread().join()\n    print('a thread')\n"
        "threading.Thread(target=late).start()"
    )
    assert run("-c", code).stdout == "a thread\nat exit\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_end_them(number: int) -> None:
    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\nprint('begun', flush=True)"
    command = ["-c", code + "\ninput()"]
    with Process(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert process.poll() is None
        with pytest.raises(TimeoutExpired):
            process.wait(0.01)
        process.send_signal(number)
        assert process.wait(600) == -number
        process.kill()


def test_they_start_others_that_end_by_themselves(tmp_path: Path) -> None:
    inner = "import sys, pathlib; pathlib.Path('done').write_text(sys.stdin.read())"
    code = (
        "from subprocess import PIPE\nfrom tests.processes import Process\n"
        f"process = Process('-c', {inner!r}, stdin=PIPE, cwd={str(tmp_path)!r})\n"
        "process.stdin.write('more')\nprocess.stdin.flush()"
    )
    assert run("-c", code).returncode == 0
    deadline = time.monotonic() + 600
    while not (tmp_path / "done").exists() or (tmp_path / "done").read_text() != "more":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_server_ends_with_the_process_that_started_it() -> None:
    environment = {name: value for name, value in os.environ.items() if name != ADDRESS}
    code = (
        "import os\nfrom tests.processes import run\nfrom tests.processes.client import server\n"
        "assert run('-c', '1').returncode == 0\nprint(server(), flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": os.getcwd()},
        stdout=PIPE,
        text=True,
    )
    deadline = time.monotonic() + 600
    while os.path.exists(os.path.dirname(done.stdout.strip())):
        assert time.monotonic() < deadline
        time.sleep(0.02)
