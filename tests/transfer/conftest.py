"""Stores in files of SQLite, beside the one in the test database."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

from parlant_store import stores
from parlant_store.backends.base import BaseBackend
from tests.conftest import VENDOR

# They read tables in the test database.
collect_ignore = (
    [] if VENDOR == "postgresql" else ["test_import_tables.py", "test_import_langgraph_postgres.py"]
)

ORM = "parlant_store.backends.orm.OrmBackend"

MakeOther = Callable[..., BaseBackend]


def add_database(alias: str, path: Path) -> None:
    options: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
    options["OPTIONS"] = {"timeout": 300}
    connections.settings[alias] = connections.settings["default"] | options


def remove_database(alias: str) -> None:
    connections[alias].close()
    del connections[alias]
    del connections.settings[alias]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory, django_db_setup, django_db_blocker) -> Path:
    """A migrated database, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "template.sqlite3"
    with django_db_blocker.unblock():
        add_database("template", path)
        call_command("migrate", "parlant_store", database="template", verbosity=0)
        remove_database("template")
    return path


@pytest.fixture
def other(transactional_db, migrated_file, tmp_path) -> Iterator[MakeOther]:
    """Makes a store with this alias in a database of its own."""
    aliases: list[str] = []
    with ExitStack() as stack:

        def make(alias: str, backend: str = ORM, **options: Any) -> BaseBackend:
            path = tmp_path / f"{alias}.sqlite3"
            shutil.copy(migrated_file, path)
            add_database(alias, path)
            aliases.append(alias)
            entry = {"BACKEND": backend, "OPTIONS": {"using": alias, **options}}
            stack.enter_context(
                override_settings(PARLANT_STORES={**django_settings.PARLANT_STORES, alias: entry})
            )
            return stores[alias]

        yield make
        stores.close_all()
    for alias in aliases:
        remove_database(alias)


@pytest.fixture
def source(other) -> BaseBackend:
    return other("source")


@pytest.fixture
def target(other, source) -> BaseBackend:
    return other("target")
