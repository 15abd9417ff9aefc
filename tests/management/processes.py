"""Commands of manage.py in processes of their own, on the tests' database."""

import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.db import connection

from tests.conftest import VENDOR
from tests.processes import Process

ROOT = Path(__file__).resolve().parents[2]


def database_url() -> str:
    """Names the tests' own database to another process."""
    name = connection.settings_dict["NAME"]
    if VENDOR == "sqlite3":
        return f"sqlite:///{name}"
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl()


def start(*command: str, **options: Any) -> Process:
    own = {"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "project.settings"}
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return Process("manage.py", *command, cwd=ROOT, env=os.environ | own, **given | options)


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    with start(*command, **options) as process:
        said, told = process.communicate(timeout=600)
    return subprocess.CompletedProcess(command, process.returncode, said, told)
