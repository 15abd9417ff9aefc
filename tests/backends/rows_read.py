"""How much a database reads for a call, however long that takes."""

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.db import connection, transaction

from tests.conftest import VENDOR


def analyze() -> None:
    """Have the database plan by what the stores' tables hold now."""
    models = apps.get_app_config("parlant_store").get_models()
    tables = ", ".join(model._meta.db_table for model in models)
    with connection.cursor() as cursor:
        # PostgreSQL would look at a hundred tables of its own as well.
        cursor.execute(f"ANALYZE {tables}" if VENDOR == "postgresql" else "ANALYZE")


def rows_read(operation: Callable[[], Any]) -> dict[str, tuple[int, int]]:
    """Rows that PostgreSQL reads, by table: in scans, and through indexes."""
    with transaction.atomic():
        before = _counters()
        operation()
        after = _counters()
    return {
        table: (after[table][0] - before[table][0], after[table][1] - before[table][1])
        for table in after
    }


def _counters() -> dict[str, tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables"
            " WHERE relname LIKE 'parlant_store_%'"
        )
        return {name: (scanned, fetched) for name, scanned, fetched in cursor.fetchall()}


def work_of(call: Callable[[], Any]) -> int:
    """Rows read on PostgreSQL; on SQLite, hundreds of steps of its machine."""
    if VENDOR == "postgresql":
        return sum(sum(counts) for counts in rows_read(call).values())
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    connection.ensure_connection()
    connection.connection.set_progress_handler(count, 100)
    try:
        call()
    finally:
        connection.connection.set_progress_handler(None, 0)
    return steps
