"""The connection to PostgreSQL that one test leaves to the next."""

from copy import deepcopy
from functools import cache
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.utils import Error
from django.dispatch import receiver
from psycopg.pq import TransactionStatus


@cache
def usual_settings() -> dict[str, Any]:
    """Those of the database, as they are at the first call; tests may change them."""
    return deepcopy(connections.settings[DEFAULT_DB_ALIAS])


@receiver(connection_created)
def _note_settings(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    vars(connection)["settings_when_opened"] = deepcopy(connection.settings_dict)


def reset_connections() -> None:
    """Close this thread's connections, or leave nothing in them of the test that used them.

    A new connection to PostgreSQL reads the catalog, which takes longer than most tests.
    """
    for each in connections.all(initialized_only=True):
        if not (_is_reusable(each) and _is_reset(each)):
            each.close()


def _is_reusable(connection: BaseDatabaseWrapper) -> bool:
    """Whether it is as every test opens it, and neither in a transaction nor of a pool."""
    raw = connection.connection
    usual = usual_settings()
    return (
        raw is not None
        and connection.vendor == "postgresql"
        and raw.info.transaction_status == TransactionStatus.IDLE
        and connection.settings_dict == usual == vars(connection).get("settings_when_opened")
        and not usual["OPTIONS"].get("pool")
        # PgBouncer's are on a port.
        and raw.info.host.startswith("/")
        and connection.get_autocommit()
        and not (connection.in_atomic_block or connection.errors_occurred)
    )


def _is_reset(connection: BaseDatabaseWrapper) -> bool:
    raw = connection.connection
    threshold = raw.prepare_threshold
    raw.prepare_threshold = 5
    try:
        with raw.transaction(force_rollback=True):
            pass  # psycopg forgets the statements that it has prepared
        psycopg.Cursor(raw).execute("DISCARD ALL", prepare=False)
        connection.init_connection_state()
    except (psycopg.Error, Error):
        return False
    finally:
        raw.prepare_threshold = threshold
    return True
