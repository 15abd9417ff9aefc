"""What every kind of project has: settings, databases, and what surrounds its calls."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from asgiref.sync import async_to_sync
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

POSTGRESQL, PGBOUNCER, FOLDER = "MATRIX_POSTGRESQL", "MATRIX_PGBOUNCER", "MATRIX_FOLDER"
"""In the environment of a project's process: URLs of servers, and a folder for files."""

SQLITE = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
}
CONTRIB = [
    f"django.contrib.{name}"
    for name in ("admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


@dataclass(frozen=True)
class Place:
    """Where tables of the store are: a database, and on PostgreSQL a schema in it."""

    alias: str
    schema: str = ""


@dataclass(frozen=True)
class Caller:
    """In whose name calls are made; a project without tenants has one."""

    name: str
    place: Place
    enter: Callable[[], AbstractContextManager[Any]] = nullcontext


class Project:
    """One kind of project. Subclasses say what is their own."""

    settings: dict[str, Any] = {}
    options: dict[str, Any] = {}
    """OPTIONS of the stores, beside the short times that all have here."""

    apps: Sequence[str] = ()
    own: Sequence[str] = ()
    """Scenarios of this kind alone."""

    without: Sequence[str] = ()
    """Scenarios that say nothing about this kind."""

    only: Sequence[str] = ()
    """All the scenarios there are for this kind."""

    shares_tables = True
    """Do other threads of the process, with connections of their own, see the tables?"""

    view_can_write = True
    """Can an adapter write within the transaction of a view?"""

    view_store = "default"

    is_in_admin = True
    """Do the admin's pages show what the default store has?"""

    is_plain = False
    """Are its admin's pages asked for what only Django reads as well?"""

    is_atomic = False
    """Has the project ATOMIC_REQUESTS?"""

    enters_tasks = True
    """Has each task of an event loop a caller of its own?"""

    copies: Sequence[Place] = ()
    """Places that may hold rows, because they are copies of others."""

    port = 0
    """Of the pooler that the project talks to."""

    process = "plain"
    """How the scenarios are run: plain, after a fork, or inside a TestCase."""

    def __init__(self, name: str) -> None:
        self.name = name

    def databases(self) -> dict[str, Any]:
        return {"default": self.postgresql()}

    def stores(self) -> dict[str, Any]:
        """The default store, and one that gives up soon."""
        options = {"idle_seconds": 1} | self.options
        return {
            "default": {"OPTIONS": options},
            "hasty": {"OPTIONS": options | {"timeout": 2}},
        }

    def configuration(self) -> dict[str, Any]:
        """The settings of the project."""
        return {
            "SECRET_KEY": "matrix",
            "ALLOWED_HOSTS": ["*"],
            "USE_TZ": True,
            "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
            "DATABASES": self.databases(),
            "INSTALLED_APPS": [*CONTRIB, "parlant_store", *self.apps],
            "MIDDLEWARE": MIDDLEWARE,
            "TEMPLATES": TEMPLATES,
            "ROOT_URLCONF": "tests.matrix.urls",
            "STATIC_URL": "static/",
            "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
            "PARLANT_STORES": self.stores(),
        } | self.settings

    def prepare(self) -> None:
        """Make the databases and migrate."""
        from django.core.management import call_command

        self.create_databases()
        for alias in self.databases():
            call_command("migrate", database=alias, verbosity=0, interactive=False)

    def before_scenario(self) -> None:
        """What happens to the project before each scenario."""

    def callers(self) -> list[Caller]:
        return [Caller("only", self.place)]

    @property
    def place(self) -> Place:
        return Place("default", "public" if self.vendor("default") == "postgresql" else "")

    @property
    def alias(self) -> str:
        return self.callers()[0].place.alias

    @property
    def is_postgresql(self) -> bool:
        return self.vendor(self.alias) == "postgresql"

    def runs(self) -> Sequence[Callable[[Any], Any]]:
        """Ways to run ``function()``, a coroutine function, from sync code."""
        return [lambda function: asyncio.run(function()), run_by_asgiref]

    def vendor(self, alias: str) -> str:
        return "sqlite" if "sqlite" in self.databases()[alias]["ENGINE"] else "postgresql"

    def postgresql(self, alias: str = "default", through: str = POSTGRESQL, **entry: Any) -> Any:
        """An entry of DATABASES: a database of this project's own."""
        server = conninfo_to_dict(os.environ.get(through, "host=/nowhere user=postgres"))
        return {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": server.get("host"),
            "PORT": str(server.get("port", "")),
            "USER": server.get("user"),
            "NAME": self.database_name(alias),
        } | entry

    def sqlite(self, alias: str = "default", **entry: Any) -> Any:
        path = Path(os.environ.get(FOLDER, ""), f"{self.database_name(alias)}.sqlite3")
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(path),
            "OPTIONS": SQLITE,
        } | entry

    def database_name(self, alias: str) -> str:
        return f"matrix_{self.name}_{alias}"

    def create_databases(self) -> None:
        for alias in self.databases():
            if self.vendor(alias) == "sqlite":
                for end in ("", "-wal", "-shm"):
                    Path(self.databases()[alias]["NAME"] + end).unlink(missing_ok=True)
                continue
            name = sql.Identifier(self.database_name(alias))
            with psycopg.connect(os.environ[POSTGRESQL], autocommit=True) as server:
                server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
                server.execute(sql.SQL("CREATE DATABASE {}").format(name))

    def connect(self, alias: str | None = None) -> "psycopg.Connection[Any]":
        """A connection past Django and any pooler."""
        name = self.database_name(alias or self.alias)
        return psycopg.connect(os.environ[POSTGRESQL], dbname=name, autocommit=True)

    def texts(self) -> dict[Place, list[str]]:
        """The names of all sessions and collections, wherever there are tables for them."""
        found: dict[Place, list[str]] = {}
        for alias in self.databases():
            if self.vendor(alias) == "sqlite":
                with self.sqlite_connection(alias) as file:
                    found[Place(alias)] = [name for (name,) in file.execute(_TEXTS.format(""))]
                continue
            with self.connect(alias) as server:
                for (schema,) in server.execute(_SCHEMAS).fetchall():
                    statement = sql.SQL(_TEXTS).format(
                        sql.SQL("{}.").format(sql.Identifier(schema))
                    )
                    rows = server.execute(statement).fetchall()
                    found[Place(alias, schema)] = [name for (name,) in rows]
        return found

    @contextmanager
    def sqlite_connection(self, alias: str) -> Iterator[sqlite3.Connection]:
        file = sqlite3.connect(self.databases()[alias]["NAME"], isolation_level=None)
        try:
            yield file
        finally:
            file.close()

    @contextmanager
    def locked(self, session_id: str) -> Iterator[None]:
        """Another process's transaction holds what a write to the session needs."""
        place = self.callers()[0].place
        if not self.is_postgresql:
            with self.sqlite_connection(place.alias) as file:
                file.execute("BEGIN IMMEDIATE")
                try:
                    yield
                finally:
                    file.execute("ROLLBACK")
            return
        with self.connect(place.alias) as server, server.transaction(force_rollback=True):
            statement = "SELECT FROM {}.parlant_store_session WHERE session_id = %s FOR UPDATE"
            schema = sql.Identifier(place.schema)
            assert server.execute(sql.SQL(statement).format(schema), [session_id]).rowcount == 1
            yield

    def waiting(self) -> int:
        """How many statements wait for a lock at the server; of SQLite nobody knows."""
        if not self.is_postgresql:
            return 0
        with self.connect() as server:
            row = server.execute(_WAITING).fetchone()
        return int(row[0]) if row else 0


def run_by_asgiref(function: Callable[[], Any]) -> Any:
    """As sync views run async code: what is sync in it comes back to the caller's thread."""

    async def main() -> Any:
        return await function()

    return async_to_sync(main)()


_TEXTS = (
    "SELECT session_id FROM {0}parlant_store_session UNION ALL "
    "SELECT collection FROM {0}parlant_store_document"
)
_SCHEMAS = (
    "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relname = 'parlant_store_session' AND c.relkind = 'r'"
)
_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND state = 'active' AND wait_event_type = 'Lock'"
)
