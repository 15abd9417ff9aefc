"""Expiry over Supabase."""

from typing import Any

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.columns import due, name_of
from parlant_store.backends.contract.expiry import FIRST_STEP, Expired, Pace
from parlant_store.backends.contract.retention import Place, Sweep
from parlant_store.backends.supabase.client import Connection, is_overdue
from parlant_store.backends.supabase.rest.shapes import (
    DUE_DOCUMENTS,
    DUE_SESSIONS,
    EXPIRED,
    RETIRED,
    Shape,
    boolean,
)
from parlant_store.exceptions import StoreUnavailable
from parlant_store.sql.functions import MAX_DELETED
from parlant_store.types import ExpiredDocument, ExpiredSession, JSONObject

ITEMS_PER_ROW = MAX_DELETED // FIRST_STEP
"""Limit on the items that a step deletes, for each of its rows."""


class SupabaseExpiry(BaseBackend):
    """Expiry of a Supabase store: each batch is one call."""

    connection: Connection

    def _is_overdue(self, exc: StoreUnavailable) -> bool:
        return is_overdue(exc)

    def _expire(self, batch_size: int) -> Expired:
        arguments = {"now": self.clock(), "limit": batch_size}
        return _expired(self._make_step("expire", EXPIRED, batch_size, arguments))

    def _retire(self, sweep: Sweep, after: Place) -> tuple[Expired, Place]:
        row = self._make_step("retire", RETIRED, sweep.limit, _step(sweep, after))
        return _expired(row), row["v_after"]

    def _make_step(self, function: str, shape: Shape, rows: int, arguments: JSONObject) -> Any:
        """Make a step, which hides sessions that have more items than it may delete.

        The limit on items is proportional to ``rows``. If a step for a single row takes too long,
        it is made again with a limit of 0.
        """
        try:
            return self.connection.write(function, shape, **arguments, items=ITEMS_PER_ROW * rows)
        except StoreUnavailable as exc:
            if rows > 1 or not is_overdue(exc):
                raise
        return self.connection.write(function, shape, **arguments, items=0)

    def delete_hidden(self) -> None:
        pace = Pace(MAX_DELETED, self.step_seconds)
        while self._in_time(
            pace, lambda limit: self.connection.write("delete_hidden", boolean, limit=limit)
        ):
            pass

    def _list_expired(
        self, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        page = self.connection.read(
            "list_due", DUE_DOCUMENTS if sweep.documents else DUE_SESSIONS, **_step(sweep, after)
        )
        return due(sweep.documents, page["rows"]), page["after"]


def _step(sweep: Sweep, after: Place) -> JSONObject:
    """Return the arguments of a step."""
    return {
        "rule": sweep.as_json(),
        "after": after,
        "limit": sweep.limit,
        "examine": sweep.examined,
    }


def _expired(row: dict[str, Any]) -> Expired:
    """Return the deleted sessions and documents from the row that the functions return."""
    names = (row["v_namespaces"], row["v_session_ids"], row["v_names"])
    rows = zip(*(column or () for column in (*names, row["v_items"])), strict=True)
    return Expired(
        [(name_of(*names), items) for *names, items in rows],
        row["v_documents"],
        has_hidden=row["v_is_hidden"],
        threads=row.get("v_threads", 0),
        has_threads=row.get("v_has_threads", False),
    )
