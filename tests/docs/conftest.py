"""Projects as the pages say, with and without tables."""

import os
import shutil
from pathlib import Path

import pytest
from django.conf import settings

from tests.docs.projects import manage, settings_told, write_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Django project with all that the README tells to put into its settings."""
    return write_project(tmp_path, settings_told())


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the project's databases as migrate makes them."""
    folder = write_project(tmp_path_factory.mktemp("tables"), settings_told())
    manage(folder, "migrate")
    return folder


@pytest.fixture
def migrated(project: Path, tables: Path) -> Path:
    """The project with its tables."""
    for file in tables.glob("*.sqlite3*"):
        shutil.copy(file, project)
    return project


@pytest.fixture
def tested_project(project: Path) -> Path:
    """The project with one database: the one of this run."""
    more = ["DATABASE_ROUTERS = []", 'del DATABASES["replica"]']
    if "postgresql" in settings.DATABASES["default"]["ENGINE"]:
        address = os.environ["DATABASE_URL"]
        more.append(f'DATABASES["default"] = environ.Env.db_url_config({address!r})')
        name = f"test_docs_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
        more.append(f'DATABASES["default"]["TEST"] = {{"NAME": {name!r}}}')
        more.append('DATABASES["default"]["ATOMIC_REQUESTS"] = True')
    with Path(project, "settings.py").open("a") as file:
        file.write("\n".join(["", *more, ""]))
    return project
