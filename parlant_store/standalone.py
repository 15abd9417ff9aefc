"""Stores in a plain script, where no Django project configures them."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

DEFAULT_URL = "sqlite:///parlant_store.sqlite3"
_done: dict[str, Any] = {}


def setup(database_url: str | None = None, *, stores: dict[str, Any] | None = None) -> None:
    """Configure a minimal Django on ``database_url`` and bring its tables up to date.

    ``database_url`` is as in django-environ: ``sqlite:///agents.sqlite3``,
    ``postgresql://user:password@host/name``; without it, the environment's DATABASE_URL,
    or an SQLite file parlant_store.sqlite3 in the current folder. ``stores`` is the
    setting PARLANT_STORES.

    Calling it again with the same arguments does nothing. Raises ImproperlyConfigured
    when they differ, or when a Django project is configured already.
    """
    url = database_url or os.environ.get("DATABASE_URL") or DEFAULT_URL
    wanted = {"url": url, "stores": stores}
    if not _done:
        _configure(url, stores)
        _done.update(wanted)
    elif wanted != _done:
        raise ImproperlyConfigured(
            "parlant_store.setup() was called before with other arguments; "
            "a process has one set of stores: name them all in the first call"
        )
    _check()
    # On a thread of its own: the caller may be inside a running event loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_migrate).result()


def _configure(url: str, stores: dict[str, Any] | None) -> None:
    if settings.configured or os.environ.get("DJANGO_SETTINGS_MODULE"):
        raise ImproperlyConfigured(
            "parlant_store.setup() is for scripts without a Django project; here "
            f"{os.environ.get('DJANGO_SETTINGS_MODULE', 'another module')} configures Django: "
            "add parlant_store to INSTALLED_APPS and use the stores directly"
        )
    chosen = {} if stores is None else {"PARLANT_STORES": stores}
    settings.configure(
        DATABASES={"default": database(url)},
        INSTALLED_APPS=["parlant_store"],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        **chosen,
    )
    django.setup()


def database(url: str) -> dict[str, Any]:
    """An entry of DATABASES for ``url``, with the options that suit a store on SQLite."""
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
    """Migrate, even if another process is doing the same at this moment."""
    from django.core.management import call_command
    from django.db import DatabaseError, connection

    from parlant_store.backends.orm.connection import errors

    with errors:
        for left in reversed(range(attempts)):
            try:
                call_command("migrate", verbosity=0, interactive=False)
                return
            except DatabaseError:
                if left == 0:
                    raise
                time.sleep(0.1)
            finally:
                connection.close()
