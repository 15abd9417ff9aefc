"""Small Django projects in processes of their own, each with a database of its own."""

import os
import textwrap
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection, connections

from parlant_store.standalone import database
from tests.conftest import VENDOR
from tests.management.processes import ROOT
from tests.processes import run

_SETTINGS = """
from project.settings import *

ROOT_URLCONF = "project.urls"
ALLOWED_HOSTS = ["*"]
PARLANT_STORES = {{}}
del PARLANT_STORES
DATABASES = {databases!r}
globals().update({more!r})
"""

_BEGIN = """
import django
django.setup()
from django.core.management import CommandError, call_command
from django.db import connection, connections
from parlant_store import store, stores
from parlant_store.exceptions import *

def migrate(**options):
    call_command("migrate", verbosity=0, interactive=False, **options)

def raised(call, *args, **options):
    try:
        call(*args, **options)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"

def checked(*databases):
    from django.core.checks import run_checks
    return {
        message.id: str(message)
        for message in run_checks(tags=["database"], databases=databases or ["default"])
        if message.id.startswith("parlant_store") and message.level >= 30
    }

def admin():
    from django.contrib.auth.models import User
    from django.test import Client
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client

ITEMS = [{"role": "user", "content": "hello"}]
"""


@contextmanager
def fresh_database(folder: Path) -> Iterator[dict[str, Any]]:
    """An entry of DATABASES, of the kind that this run is on, for an empty database."""
    name = f"fresh_{uuid.uuid4().hex}"
    if VENDOR == "sqlite3":
        yield database(f"sqlite:///{folder / name}.sqlite3")
        return
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    keys = ("ENGINE", "HOST", "PORT", "USER", "PASSWORD", "OPTIONS")
    try:
        yield {key: connection.settings_dict[key] for key in keys} | {"NAME": name}
    finally:
        with connections["default"].cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run_project(folder: Path, code: str, databases: dict[str, Any], **settings: Any) -> str:
    """Run ``code`` in a project of these settings; return what it printed."""
    text = _SETTINGS.format(databases=databases, more=settings)
    Path(folder, "own_settings.py").write_text(text)
    own = {
        "DJANGO_SETTINGS_MODULE": "own_settings",
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
    }
    command = ["-W", "error", "-c", _BEGIN + textwrap.dedent(code)]
    done = run(*command, timeout=600, cwd=folder, env=os.environ | own)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
