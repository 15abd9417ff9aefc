"""Reads that prolong their sessions, on SQLite: by a statement of its own, where one is due."""

import json
from collections.abc import Sequence

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import columns
from parlant_store.backends.contract.refresh import Refresh
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.refresh import Refreshes
from parlant_store.backends.orm.base.sessions import PLAIN, KeyColumn, Time, adapted
from parlant_store.backends.orm.database.connection import no_busy_timeout
from parlant_store.backends.orm.database.errors import is_locked, is_read_only
from parlant_store.backends.orm.database.statements import fetch

_IS_DUE = "expires_at > %s AND expires_at <= %s"
_DUE = (
    "SELECT session.key FROM json_each(%s) AS name CROSS JOIN parlant_store_session AS session"
    " ON session.namespace = json_extract(name.value, '$[0]')"
    f" AND session.session_id = json_extract(name.value, '$[1]') AND {_IS_DUE}"
)
_PROLONG = (
    "UPDATE parlant_store_session SET expires_at = %s"
    f" WHERE key IN (SELECT value FROM json_each(%s)) AND {_IS_DUE}"
)


class SQLiteRefreshes(Refreshes):
    def key_column(
        self,
        connection: BaseDatabaseWrapper,
        names: Sequence[SessionName],
        time: Time,
        refresh: Refresh,
    ) -> KeyColumn:
        expires_at, due = (adapted(connection, each) for each in refresh)
        is_due = (time.now, due)
        # Only a write takes the lock.
        keys = fetch(connection, _DUE, (json.dumps([columns(name) for name in names]), *is_due))
        if keys:
            params = (expires_at, json.dumps([key for (key,) in keys]), *is_due)
            try:
                with no_busy_timeout(connection):
                    fetch(connection, _PROLONG, params)
            except OperationalError as exc:
                if not (is_locked(exc) or is_read_only(exc)):
                    raise
        return PLAIN
