"""The Django project of the benchmarks: a database and a store for each alias."""

from pathlib import Path
from typing import Any

import django
from django.conf import settings

from parlant_store.standalone import database

SYNCHRONOUS = {"sqlite": "NORMAL", "sqlite_full": "FULL"}
"""How each of the stores on SQLite waits for the disk."""

POOL = 8
"""How many connections the pools of both sides have: one for each of a store's threads."""


def configure(
    folder: Path, uris: dict[str, str], remote: dict[str, Any] | None = None, **others: Any
) -> None:
    """Set Django up on files of ``folder`` and on PostgreSQL, by the alias of each URI.

    The alias "pool" gets a pool of connections. ``remote`` are stores that are in no database,
    ``others`` further settings.
    """
    databases = {name: database(uri) for name, uri in uris.items()}
    for name, synchronous in SYNCHRONOUS.items():
        databases[name] = database(f"sqlite:///{folder / name}.sqlite3")
        databases[name]["OPTIONS"]["init_command"] = (
            f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}"
        )
    if "pool" in databases:
        options = databases["pool"].setdefault("OPTIONS", {})
        options["pool"] = {"min_size": POOL, "max_size": POOL}
    databases["default"] = databases.pop("sqlite")
    stores: dict[str, Any] = {name: {"OPTIONS": {"using": name}} for name in databases}
    stores |= remote or {}
    settings.configure(
        DATABASES=databases,
        PARLANT_STORES={"sqlite": stores.pop("default")} | stores,
        **{"INSTALLED_APPS": ["parlant_store"], "USE_TZ": True} | others,
    )
    django.setup()
    from django.core.management import call_command
    from django.db import connections

    for name in databases:
        call_command("migrate", database=name, verbosity=0)
    # A pool has as many connections as the store has threads: none is left for this one.
    connections.close_all()
