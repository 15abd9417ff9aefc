"""The kinds of projects, by name."""

import os
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from tests.matrix import databases, schemas
from tests.matrix.projects import PGBOUNCER, Place, Project
from tests.matrix.watching import STATEMENTS

OTHERS_LOCKS = ("cancel", "timeout", "exit", "held")
"""Scenarios in which somebody else has a connection to the same tables."""


class Sqlite(Project):
    is_plain = True

    def databases(self) -> dict[str, Any]:
        return {"default": self.sqlite()}


class InMemory(Project):
    """Each connection has a database of its own there, and the caller's is the one with tables."""

    shares_tables = False
    without = OTHERS_LOCKS

    def databases(self) -> dict[str, Any]:
        return {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}

    def create_databases(self) -> None:
        """There is none before the first connection."""

    def texts(self) -> dict[Place, list[str]]:
        return {self.place: texts_of_the_connection()}


def texts_of_the_connection() -> list[str]:
    from parlant_store.models import Document, Session

    sessions = Session.objects.values_list("session_id", flat=True)
    return [*sessions, *Document.objects.values_list("collection", flat=True)]


class PostgreSQL(Project):
    is_plain = True
    own = ("broken",)


class Bouncer(Project):
    entry: dict[str, Any] = {}

    def databases(self) -> dict[str, Any]:
        return {"default": self.postgresql(through=PGBOUNCER, **self.entry)}

    @property
    def port(self) -> int:  # type: ignore[override]
        return int(conninfo_to_dict(os.environ[PGBOUNCER])["port"] or 0)


class BouncerLoad(Bouncer):
    """As the project without flags; test_load.py has many processes in it."""

    only = own = ("prepare_load",)

    def stores(self) -> dict[str, Any]:
        return {"default": {}}


class BouncerFlags(Bouncer):
    entry = {"DISABLE_SERVER_SIDE_CURSORS": True, "OPTIONS": {"prepare_threshold": None}}


class Pool(Project):
    def databases(self) -> dict[str, Any]:
        pool = {"min_size": 1, "max_size": 4, "timeout": 60}
        return {"default": self.postgresql(OPTIONS={"pool": pool})}


class WatchingEngine(Project):
    own = ("watched",)
    without = ("timeout", "held")
    seen = STATEMENTS

    def databases(self) -> dict[str, Any]:
        return {"default": self.postgresql(ENGINE="tests.matrix.watching")}


class ExecuteWrapper(WatchingEngine):
    """A wrapper on each connection, as tools for tracing put it there."""

    def databases(self) -> dict[str, Any]:
        return {"default": self.postgresql()}

    def prepare(self) -> None:
        from django.db.backends.signals import connection_created

        super().prepare()
        connection_created.connect(wrap, weak=False)
        from django.db import connections

        connections.close_all()


def wrap(connection: Any, **kwargs: Any) -> None:
    if watch not in connection.execute_wrappers:
        connection.execute_wrappers.append(watch)


def watch(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    STATEMENTS.append(str(sql))
    return execute(sql, params, many, context)


class AtomicPostgreSQL(Project):
    is_atomic = True

    def databases(self) -> dict[str, Any]:
        return {"default": self.postgresql(ATOMIC_REQUESTS=True)}

    def stores(self) -> dict[str, Any]:
        return super().stores() | {"caller": {"OPTIONS": {"threads": 0}}}


class AtomicSqlite(AtomicPostgreSQL):
    """The view's transaction has the one lock for writing from the start."""

    view_can_write = False
    view_store = "hasty"

    def databases(self) -> dict[str, Any]:
        return {"default": self.sqlite(ATOMIC_REQUESTS=True)}


class NaiveTimes(Project):
    settings = {"USE_TZ": False, "TIME_ZONE": "America/Sao_Paulo"}


class NaiveTimesSqlite(NaiveTimes):
    def databases(self) -> dict[str, Any]:
        return {"default": self.sqlite()}


class NoMigrations(Project):
    settings = {"MIGRATION_MODULES": {"parlant_store": None}}
    only = ("incomplete",)
    own = only

    def prepare(self) -> None:
        from django.core.management import call_command

        self.create_databases()
        call_command("migrate", run_syncdb=True, verbosity=0, interactive=False)


class NoMigrationsSqlite(NoMigrations):
    def databases(self) -> dict[str, Any]:
        return {"default": self.sqlite()}


class EmailUser(Project):
    apps = ("tests.matrix.accounts",)
    settings = {"AUTH_USER_MODEL": "accounts.EmailUser"}
    only = ("store", "people", "admin", "view")


class UuidUser(EmailUser):
    settings = {"AUTH_USER_MODEL": "accounts.UuidUser"}


class Debug(Project):
    is_plain = True
    settings = {"DEBUG": True}
    own = ("queries",)


class References(Project):
    apps = ("tests.matrix.ratings",)
    own = ("cascade", "protect")


class ReferencesSqlite(References):
    def databases(self) -> dict[str, Any]:
        return {"default": self.sqlite()}


class InTestCase(Project):
    """The tests of a project: each in a transaction that is rolled back."""

    process = "testcase"
    options = {"threads": 0}
    shares_tables = False
    without = OTHERS_LOCKS
    own = ("nothing_left",)

    def texts(self) -> dict[Place, list[str]]:
        return {self.place: texts_of_the_connection()}


class InTestCaseSqlite(InTestCase):
    def databases(self) -> dict[str, Any]:
        return {"default": self.sqlite()}


class Forked(Project):
    """The process used the store before it was forked."""

    process = "fork"


class ForkedSqlite(Forked):
    def databases(self) -> dict[str, Any]:
        return {"default": self.sqlite()}


class Killed(Project):
    """Before each scenario the server ends every connection."""

    def before_scenario(self) -> None:
        from parlant_store import store
        from tests.matrix.kind_scenarios import kill_connections

        kill_connections(self)
        store.exists("killed")


class ReadOnly(Project):
    """Every transaction is read-only, as at a standby."""

    only = ("read_only",)
    own = only
    settings = {"SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies"}

    def prepare(self) -> None:
        from django.db import connections

        from parlant_store import store, stores
        from tests.matrix.scenarios import eventually
        from tests.matrix.stores import QUESTION
        from tests.matrix.web import client

        super().prepare()
        store.add_items("before", [QUESTION], user_id="ada")
        store.add_items("expired", [QUESTION], ttl_seconds=0.05)
        store.insert_one("before", {"id": "a"})
        eventually(lambda: not store.exists("expired"), "a session expires")
        self.browser = client()
        stores.close_all()
        connections.close_all()
        name = self.database_name("default")
        with self.connect() as server:
            server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")


KINDS: dict[str, type[Project]] = {
    "sqlite": Sqlite,
    "in_memory": InMemory,
    "postgresql": PostgreSQL,
    "pgbouncer": Bouncer,
    "pgbouncer_flags": BouncerFlags,
    "pgbouncer_load": BouncerLoad,
    "pool": Pool,
    "context_router": databases.ContextRouter,
    "context_router_sqlite": databases.ContextRouterSqlite,
    "app_router": databases.AppRouter,
    "replica": databases.Replica,
    "replica_reads": databases.ReplicaReads,
    "second_database": databases.SecondDatabase,
    "tenants": schemas.Tenants,
    "search_path": schemas.SearchPath,
    "renamed": schemas.Renamed,
    "engine": WatchingEngine,
    "execute_wrapper": ExecuteWrapper,
    "atomic_postgresql": AtomicPostgreSQL,
    "atomic_sqlite": AtomicSqlite,
    "naive_times": NaiveTimes,
    "naive_times_sqlite": NaiveTimesSqlite,
    "no_migrations": NoMigrations,
    "no_migrations_sqlite": NoMigrationsSqlite,
    "email_user": EmailUser,
    "uuid_user": UuidUser,
    "debug": Debug,
    "references": References,
    "references_sqlite": ReferencesSqlite,
    "test_case": InTestCase,
    "test_case_sqlite": InTestCaseSqlite,
    "fork": Forked,
    "fork_sqlite": ForkedSqlite,
    "killed": Killed,
    "read_only": ReadOnly,
}


def project(name: str) -> Project:
    return KINDS[name](name)
