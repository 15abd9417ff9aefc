"""Reads that prolong their sessions, on PostgreSQL: in their own statements."""

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.refresh import Refresh
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.refresh import Refreshes
from parlant_store.backends.orm.base.sessions import KeyColumn, Time, adapted

# The function is called for sessions that are due alone.
_KEY = "CASE WHEN expires_at <= %s THEN parlant_store_refresh(key, %s, %s, %s) ELSE key END AS key"


class PostgreSQLRefreshes(Refreshes):
    def key_column(
        self,
        connection: BaseDatabaseWrapper,
        names: Sequence[SessionName],
        time: Time,
        refresh: Refresh,
    ) -> KeyColumn:
        expires_at, due = (adapted(connection, each) for each in refresh)
        return KeyColumn(_KEY, (due, time.now, expires_at, due))
