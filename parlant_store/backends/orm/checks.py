"""The messages of ``manage.py check`` about a store in a Django database."""

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error, Info, Warning
from django.db import DatabaseError, InterfaceError, router
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.orm.database.connection import (
    TRANSACTION_POOLER_PORT,
    begins_by_locking,
    is_in_memory,
    may_prepare,
)
from parlant_store.backends.orm.database.errors import migrate_command
from parlant_store.backends.orm.tables import TABLES
from parlant_store.sql.completion import State, state_of


def check_database(alias: str, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """Check the settings of ``connection`` for the store ``alias``."""
    where = f"the store {alias!r}"
    if connection.vendor not in TABLES:
        return [
            Error(
                f"{where} uses the database {connection.alias!r}, which is "
                f"{connection.display_name}.",
                hint="OrmBackend works on SQLite and PostgreSQL.",
                id="parlant_store.E002",
            )
        ]
    if connection.vendor == "sqlite":
        return _check_sqlite(connection, where)
    return _check_pooler(connection, where)


def check_route(alias: str, using: str | None) -> list[CheckMessage]:
    """Check that the admin and queries of the project use the database of the store ``alias``."""
    from parlant_store.models import Session

    if using is None:
        return []
    try:
        routed = router.db_for_write(Session)
    except Exception:
        return []  # The router needs a request to choose.
    if routed == using:
        return []
    return [
        Warning(
            f"the store {alias!r} uses the database {using!r}, but the database routers send its "
            f"models to {routed!r}, which the admin and queries of the project use.",
            hint=f'Route the app "parlant_store" to {using!r} with a router in DATABASE_ROUTERS.',
            id="parlant_store.W017",
        )
    ]


def check_threads(alias: str, threads: int, count: int) -> list[CheckMessage]:
    """Check that the pool has enough connections for the threads of the store ``alias``."""
    if count >= threads or count == 0:
        return []
    return [
        Warning(
            f"the store {alias!r} has {threads} threads in its options, but uses at most {count} "
            "connections of the pool, so that half of them remain for the project.",
            hint=f'Set its threads to {count}, or raise max_size of OPTIONS["pool"].',
            id="parlant_store.W015",
        )
    ]


def check_server(where: str, threads: int, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """Report a pooler, and check that the server has enough connections for the threads."""
    if connection.vendor != "postgresql":
        return []
    try:
        with connection.cursor() as cursor:
            cursor.execute(_CONNECTION_LIMIT)
            ((limit,),) = cursor.fetchall()
        is_direct = may_prepare(connection)
    except (DatabaseError, InterfaceError):
        return []  # check_contents reports it.
    way = (
        "directly: statements stay prepared"
        if is_direct
        else "through a pooler, or with the settings for one: no statement is prepared"
    )
    messages: list[CheckMessage] = [
        Info(f"{where} is reached {way}.", id="parlant_store.I001"),
    ]
    if threads > limit:
        messages.append(
            Warning(
                f"{where} has {threads} threads, but the server allows this user {limit} "
                "connections.",
                hint="Lower the option threads of the store.",
                id="parlant_store.W016",
            )
        )
    return messages


_CONNECTION_LIMIT = """
    SELECT least(
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int,
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
    )
"""


def check_contents(where: str, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """Check the tables, functions and indexes in the database, which messages call ``where``.

    All messages are warnings: errors would keep ``migrate`` from running, which fixes them.
    """
    if connection.vendor not in TABLES:
        return []
    try:
        state = state_of(connection)
    except (DatabaseError, InterfaceError) as exc:
        return [
            Warning(
                f"{where} cannot be checked: {str(exc).strip()}",
                hint=f"Check the connection settings in DATABASES[{connection.alias!r}].",
                id="parlant_store.W014",
            )
        ]
    if state.tables:
        return [
            Warning(
                f"{where} has no table {', '.join(state.tables)}.",
                hint=f"Run {migrate_command(connection.alias)}.",
                id="parlant_store.W010",
            )
        ]
    return list(_check_completion(where, connection.alias, state))


def _check_completion(where: str, alias: str, state: State) -> Iterator[CheckMessage]:
    command = migrate_command(alias)
    if state.is_secured:
        command = "what manage.py supabase_sql prints, in the SQL editor"
    if state.functions:
        yield Warning(
            f"{where} has no function {', '.join(state.functions)}.",
            hint=f"Run {command}.",
            id="parlant_store.W011",
        )
    elif state.is_outdated:
        yield Warning(
            f"{where} has the functions of another version of the package.",
            hint=f"Run {command}.",
            id="parlant_store.W011",
        )
    if not state.has_index:
        yield Warning(
            f"{where} has no search index.", hint=f"Run {command}.", id="parlant_store.W012"
        )
    if not state.has_triggers:
        yield Warning(
            f"{where} lacks triggers, so that lists of conversations become wrong.",
            hint=f"Run {command}.",
            id="parlant_store.W022",
        )
    if state.strays:
        yield Warning(
            f"{where} has functions for another schema, with {state.strays[0]}: their schema was "
            "renamed or copied.",
            hint=f"Run {command}.",
            id="parlant_store.W013",
        )
    if state.open:
        yield Warning(
            f"{where} allows everybody who has the public key of the Supabase project, or its "
            f"users, to use {', '.join(each.name for each in state.open)}.",
            hint=f"Run {migrate_command(alias)}, as the owner of these.",
            id="parlant_store.W018",
        )


def _check_sqlite(connection: BaseDatabaseWrapper, where: str) -> list[CheckMessage]:
    import sqlite3

    messages: list[CheckMessage] = []
    if sqlite3.sqlite_version_info < (3, 35):
        messages.append(
            Error(
                f"{where} needs SQLite 3.35 or later; this is {sqlite3.sqlite_version}.",
                hint="Install a Python with a newer SQLite, or use PostgreSQL.",
                id="parlant_store.E003",
            )
        )
    if is_in_memory(connection):
        messages.append(
            Warning(
                f"{where} uses an SQLite database in memory, which ends with its connection.",
                hint="Set NAME in DATABASES to a file.",
                id="parlant_store.W006",
            )
        )
    if not begins_by_locking(connection):
        messages.append(
            Warning(
                f"{where} uses an SQLite database whose transactions start without its write lock.",
                hint=(
                    f'Set DATABASES["{connection.alias}"]["OPTIONS"] = {{"transaction_mode": '
                    '"IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}, so that readers '
                    "and writers wait for each other instead of failing."
                ),
                id="parlant_store.W001",
            )
        )
    return messages


def _check_pooler(connection: BaseDatabaseWrapper, where: str) -> list[CheckMessage]:
    """Check the settings for Supabase's transaction pooler."""
    settings, alias = connection.settings_dict, connection.alias
    if str(settings.get("PORT")) != TRANSACTION_POOLER_PORT:
        return []
    messages: list[CheckMessage] = []
    port = f"port {TRANSACTION_POOLER_PORT} of the database {alias!r}, a transaction pooler,"
    if settings.get("DISABLE_SERVER_SIDE_CURSORS") is not True:
        messages.append(
            Warning(
                f"{where} uses {port} with server-side cursors, which end with each transaction.",
                hint=(
                    f'Set DATABASES["{alias}"]["DISABLE_SERVER_SIDE_CURSORS"] = True, or use '
                    "the session pooler, on port 5432."
                ),
                id="parlant_store.W002",
            )
        )
    if settings.get("OPTIONS", {}).get("prepare_threshold") is not None:
        messages.append(
            Warning(
                f"{where} uses {port} with prepared statements, which end with each transaction.",
                hint=f'Remove prepare_threshold from DATABASES["{alias}"]["OPTIONS"].',
                id="parlant_store.W003",
            )
        )
    return messages
