"""Expiry over Supabase."""

from typing import Any

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.expiry import Expired
from parlant_store.backends.retention import Place, Sweep
from parlant_store.backends.rows import due, name_of
from parlant_store.backends.supabase.connection import Connection
from parlant_store.types import ExpiredDocument, ExpiredSession, JSONObject


class SupabaseExpiry(BaseBackend):
    """What a store lets go, each batch by one call."""

    connection: Connection

    def _expire(self, batch_size: int) -> Expired:
        return _expired(self.connection.write("expire", now=self.clock(), limit=batch_size))

    def _retire(self, sweep: Sweep, after: Place) -> tuple[Expired, Place]:
        found = self.connection.write("retire", **_step(sweep, after))
        return _expired(found), found["v_after"]

    def _list_expired(
        self, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        found = self.connection.read("list_due", **_step(sweep, after))
        return due(sweep.documents, found["found"]), found["after"]


def _step(sweep: Sweep, after: Place) -> JSONObject:
    """A step of a pass, as the functions take it."""
    return {
        "rule": sweep.as_json(),
        "after": after,
        "limit": sweep.limit,
        "examine": sweep.examined,
    }


def _expired(found: dict[str, Any]) -> Expired:
    """What the functions say that they removed."""
    names = (found["v_namespaces"], found["v_session_ids"], found["v_names"])
    rows = zip(*(column or () for column in (*names, found["v_items"])), strict=True)
    return Expired([(name_of(*names), items) for *names, items in rows], found["v_documents"])
