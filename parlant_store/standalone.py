"""``setup``, for scripts without a Django project."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DEFAULT_URL = "sqlite:///parlant_store.sqlite3"
_arguments: dict[str, Any] = {}


def setup(database_url: str | None = None, *, stores: dict[str, Any] | None = None) -> None:
    """Configure a minimal Django on ``database_url`` and migrate the database.

    ``database_url`` is a URL of django-environ: ``sqlite:///agents.sqlite3``,
    ``postgresql://user:password@host/name``; without it, the environment's DATABASE_URL,
    or an SQLite file parlant_store.sqlite3 in the current folder. ``stores`` is the
    setting PARLANT_STORES.

    A second call with the same arguments does nothing. With other arguments, or if a Django
    project is configured, it raises ImproperlyConfigured.
    """
    url = database_url or os.environ.get("DATABASE_URL") or DEFAULT_URL
    arguments = {"url": url, "stores": stores}
    if not _arguments:
        _configure(url, stores)
        _arguments.update(arguments)
    elif arguments != _arguments:
        raise ImproperlyConfigured(
            "parlant_store.setup() was called before with other arguments; "
            "a process has one set of stores: name them all in the first call"
        )
    _check()
    # On another thread: the caller's may run an event loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_migrate).result()


def _configure(url: str, stores: dict[str, Any] | None) -> None:
    if settings.configured or os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise ImproperlyConfigured(
            "parlant_store.setup() is for scripts without a Django project; here "
            f"{os.environ.get('DJANGO_SETTINGS_MODULE', 'another module')} configures Django: "
            "add parlant_store to INSTALLED_APPS and use the stores directly"
        )
    entry = database(url)
    if entry["NAME"] in ("", ":memory:"):
        raise ImproperlyConfigured(
            "database_url names an SQLite database in memory, which each thread has its own of; "
            "name a file, as in sqlite:///agents.sqlite3"
        )
    own = {} if stores is None else {"PARLANT_STORES": stores}
    settings.configure(
        DATABASES={"default": entry},
        INSTALLED_APPS=["parlant_store"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        **own,
    )
    django.setup()


def database(url: str) -> dict[str, Any]:
    """Return an entry of DATABASES for ``url``, on SQLite with the recommended options."""
    import environ

    try:
        entry: dict[str, Any] = environ.Env.db_url_config(url)
        vendor = entry["ENGINE"].rpartition(".")[2]
    except (environ.ImproperlyConfigured, KeyError, ValueError):
        vendor = ""
    if vendor not in ("sqlite3", "postgresql"):
        raise ImproperlyConfigured(
            "database_url names no database that parlant_store works on: SQLite and PostgreSQL, "
            "as in sqlite:///agents.sqlite3 or postgresql://user:password@host/name"
        )
    if vendor == "sqlite3":
        entry["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        } | entry.get("OPTIONS", {})
    return entry


def _check() -> None:
    from parlant_store.checks import check_stores

    serious = [message for message in check_stores(None) if message.is_serious()]
    if serious:
        raise ImproperlyConfigured("; ".join(f"{m.msg} {m.hint or ''}".strip() for m in serious))


def _migrate(attempts: int = 20) -> None:
    """Migrate; try again if another process migrates at the same time."""
    from django.core.management import call_command
    from django.db import DatabaseError, connection

    from parlant_store.backends.orm.database.errors import errors

    with errors:
        for remaining in reversed(range(attempts)):
            try:
                call_command("migrate", verbosity=0, interactive=False)
                return
            except DatabaseError:
                if remaining == 0:
                    raise
                time.sleep(0.1)
            finally:
                connection.close()
