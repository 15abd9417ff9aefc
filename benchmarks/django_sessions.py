"""openai-django-sessions and ours, side by side in one process and on the same databases.

    python -m benchmarks.django_sessions [--rounds 5] [--sizes 10 1000 10000]
        [--only sqlite|postgresql]

It needs Python 3.12 or later; see benchmarks/sessions.py for how the two are compared.
"""

import argparse
import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async

from benchmarks.databases import SYNCHRONOUS, configure
from benchmarks.workloads import Comparison, Side, show_heads, turns
from tests.servers.postgresql import postgresql

APP = "openai_django_sessions"
TARGET = 5


class Router:
    """Lets the other package's models use the database ``alias``."""

    alias = "default"

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return self.alias if model._meta.app_label == APP else None

    db_for_write = db_for_read


def theirs(alias: str) -> Side:
    from openai_django_sessions import DjangoSession

    return Side(f"django {alias}", DjangoSession)


def create_tables(alias: str) -> None:
    from django.db import connections
    from openai_django_sessions.models import get_models

    with connections[alias].schema_editor() as editor:
        for model in get_models():
            editor.create_model(model)


def their_pragmas(alias: str) -> tuple[str, int]:
    from django.db import connections

    with connections[alias].cursor() as cursor:
        return (
            cursor.execute("PRAGMA journal_mode").fetchone()[0],
            cursor.execute("PRAGMA synchronous").fetchone()[0],
        )


async def run(databases: dict[str, str], comparison: Comparison) -> None:
    from benchmarks.peers import our_pragmas, ours

    for store, label in databases.items():
        Router.alias = "default" if store == "sqlite" else store
        # Its statements run on asgiref's one thread, as Django's own async methods do.
        await sync_to_async(create_tables)(Router.alias)
        if store in SYNCHRONOUS:
            pragmas = await sync_to_async(their_pragmas)(Router.alias)
            assert pragmas == await our_pragmas(store), f"theirs has {pragmas}"
        await comparison.show(
            label, "openai-django-sessions, turns", TARGET, (theirs(store), ours(store)), turns
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1_000, 10_000])
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    args = parser.parse_args()
    databases = {name: f"SQLite, synchronous={value}" for name, value in SYNCHRONOUS.items()}
    uris: dict[str, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if args.only == "postgresql":
            databases = {}
        if args.only != "sqlite":
            uris["postgresql"] = stack.enter_context(postgresql()).get_uri()
            databases["postgresql"] = "PostgreSQL"
        configure(
            folder,
            uris,
            INSTALLED_APPS=["parlant_store", APP],
            DATABASE_ROUTERS=[Router()],
        )
        show_heads(args.sizes)
        asyncio.run(run(databases, Comparison(args.sizes, args.rounds)))
        from parlant_store import stores

        stores.close_all()


if __name__ == "__main__":
    main()
