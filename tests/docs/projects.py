"""A Django project as the pages say, and its manage.py."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests import processes
from tests.docs.pages import ROOT, blocks, blocks_of, kind

MODULES = ("routers.py", "tenants.py", "views.py")
"""Files that the settings of the project name, or a test."""
BASE = """
from pathlib import Path
from typing import Any

from project.settings import *
BASE_DIR = Path(__file__).parent
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "a.sqlite3"}}
INSTALLED_APPS.remove("parlant_store")
del PARLANT_STORES
"""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of a process that knows nothing of this run of tests."""
    own = ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    inherited = {name: value for name, value in os.environ.items() if name not in own}
    return inherited | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])} | more


def run(folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    options: Any = {"cwd": folder, "env": environment(folder, **more)}
    # pytest rewrites the package when it is imported.
    if command[0] == sys.executable and command[1:3] != ("-m", "pytest"):
        return processes.run(*command[1:], **options)
    return subprocess.run(command, **options, capture_output=True, text=True)


def succeed(folder: Path, *command: str, **more: str) -> str:
    process = run(folder, *command, **more)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


def manage(folder: Path, *command: str, **more: str) -> str:
    """What manage.py of the project in ``folder`` prints."""
    more["DJANGO_SETTINGS_MODULE"] = "settings"
    return succeed(folder, sys.executable, "manage.py", *command, **more)


def settings_told() -> list[str]:
    return [block.text for block in blocks() if kind(block) == "settings.py"]


def write_project(folder: Path, told: list[str]) -> Path:
    Path(folder, "settings.py").write_text("\n".join([BASE, *told]))
    for block in blocks():
        if kind(block) in MODULES:
            Path(folder, kind(block)).write_text(block.text)
    shutil.copy(ROOT / "manage.py", folder)
    return folder


def project_of(folder: Path, page: Path) -> Path:
    """A Django project with what one page tells to put into its settings."""
    settings = [block.text for block in blocks_of(page) if block.file == "settings.py"]
    return write_project(folder, ['INSTALLED_APPS += ["parlant_store"]', *settings])
