"""What manage.py supabase_check prints, and the project that it checks."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from parlant_store import stores
from tests.sql.supabase.catalogs import catalog, everything

BACKEND = "parlant_store.backends.supabase.SupabaseBackend"
ODD = "Ten'ant {x} -"
NAME = f"parlant_store_check_{os.getpid()}"

Check = Callable[..., str]


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as session:
        for statement in statements:
            session.execute(statement)


def contents(dsn: str) -> dict[str, list[str]]:
    """All that a test may have changed, but for the answers that are kept for repeated requests."""
    queries = {
        "settings": "select * from pg_db_role_setting",
        "roles": "select oid, rolname, rolbypassrls, rolsuper, rolinherit from pg_roles",
        "memberships": "select roleid, member from pg_auth_members",
    }
    tables = ("document", "session", "session_item")
    with psycopg.connect(dsn, autocommit=True) as session:
        found = everything(session) | catalog(session, queries=queries)
        if session.execute("select to_regclass('parlant_store_request')").fetchone() != (None,):
            rows = {name: f"select count(*) from public.parlant_store_{name}" for name in tables}
            found |= catalog(session, queries=rows)
    return found


def failed(printed: str) -> list[str]:
    """The failures, each with its mend on one line."""
    return re.findall(r"^FAIL  (.*\n      .*)$", printed, re.MULTILINE)


def the_failure(printed: str) -> str:
    (failure,) = failed(printed)
    return failure


@contextmanager
def configured(settings: Any, **options: Any) -> Iterator[None]:
    settings.PARLANT_STORES = {"mine": {"BACKEND": BACKEND, "OPTIONS": options}}
    yield
    stores.forget()
