"""The package on PYTHONPATH, without being installed: nothing knows its version."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import django
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def run(tmp_path):
    """Runs Python where all that is installed is found, save this package."""
    packages, code = tmp_path / "packages", tmp_path / "code"
    packages.mkdir()
    code.mkdir()
    for entry in Path(django.__file__).parent.parent.iterdir():
        if "parlant_store" not in entry.name:
            (packages / entry.name).symlink_to(entry)
    for name in ("parlant_store", "project"):
        (code / name).symlink_to(ROOT / name)
    # A link would lead Python to the folder of the installed package.
    shutil.copy(ROOT / "manage.py", code)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(code), str(packages)]),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'a.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "project.settings",
    }

    def run(*arguments: str) -> str:
        command = [sys.executable, "-S", *arguments]
        done = subprocess.run(command, cwd=code, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_it_works_without_being_installed(run):
    found = "import importlib.metadata as m; print([d.name for d in m.distributions()])"
    names = run("-c", found)
    assert "django" in names.lower()
    assert "django-parlant-store" not in names
    run("manage.py", "migrate", "--verbosity", "0")
    run("manage.py", "check", "--database", "default", "--fail-level", "WARNING")
    run("manage.py", "store_expire")
    assert run("manage.py", "supabase_sql").startswith(
        "-- The tables and functions of django-parlant-store on Supabase. Made by"
    )
