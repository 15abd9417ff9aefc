"""What ``manage.py check`` says about a store in a database of this project."""

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
    """What is wrong with ``connection`` for the store ``alias``."""
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
    """Whether the admin and the project's own queries reach what the store ``alias`` keeps."""
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
            f"models to {routed!r}: there the lists of the admin and queries of the project look.",
            hint=f'Let a router of DATABASE_ROUTERS send the app "parlant_store" to {using!r}.',
            id="parlant_store.W017",
        )
    ]


def check_threads(alias: str, threads: int, count: int) -> list[CheckMessage]:
    """Whether the pool of the database bears the threads of the store ``alias``."""
    if count >= threads or count == 0:
        return []
    return [
        Warning(
            f"the store {alias!r} asks for {threads} threads, and takes {count} connections of "
            "the pool at most, so that half of them are left for the project.",
            hint=f'Set its threads to {count}, or give OPTIONS["pool"] a larger max_size.',
            id="parlant_store.W015",
        )
    ]


def check_server(where: str, threads: int, connection: BaseDatabaseWrapper) -> list[CheckMessage]:
    """How the server is reached, and whether it bears the threads of a store."""
    if connection.vendor != "postgresql":
        return []
    try:
        with connection.cursor() as cursor:
            cursor.execute(_CONNECTION_LIMIT)
            ((limit,),) = cursor.fetchall()
        is_direct = may_prepare(connection)
    except (DatabaseError, InterfaceError):
        return []  # check_contents says that it cannot be reached.
    way = (
        "directly: statements stay prepared"
        if is_direct
        else "through a pooler, or as if through one: no statement is prepared"
    )
    messages: list[CheckMessage] = [
        Info(f"{where} is reached {way}.", id="parlant_store.I001"),
    ]
    if threads > limit:
        messages.append(
            Warning(
                f"{where} has {threads} threads; the server lets this user have {limit} "
                "connections.",
                hint="Set the option threads of the store to less.",
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
    """What a store misses inside the database of ``connection``, which ``where`` names.

    All of it is warnings: ``migrate``, which mends it, would not begin after an error.
    """
    if connection.vendor not in TABLES:
        return []
    try:
        state = state_of(connection)
    except (DatabaseError, InterfaceError) as exc:
        return [
            Warning(
                f"{where} cannot be checked: {str(exc).strip()}",
                hint=f"See that it can be reached with what DATABASES[{connection.alias!r}] says.",
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
    if state.strays:
        yield Warning(
            f"{where} has functions that work on another schema, as {state.strays[0]}: their "
            "schema was renamed or copied.",
            hint=f"Run {command}.",
            id="parlant_store.W013",
        )
    if state.open:
        yield Warning(
            f"{where} lets whoever has the Supabase project's public key, or any of its users, "
            f"use {', '.join(each.name for each in state.open)}.",
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
                hint="Give DATABASES a file as NAME.",
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
    """Supabase's transaction pooler gives each transaction another connection of the server."""
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
                f"{where} uses {port} with prepared statements, which other clients do not find.",
                hint=f'Remove prepare_threshold from DATABASES["{alias}"]["OPTIONS"].',
                id="parlant_store.W003",
            )
        )
    return messages
