"""Expiry by rules on PostgreSQL."""

import json
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import due, name_of
from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.retention import Place, Sweep
from parlant_store.backends.orm.base.retention import RetentionRules
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.backends.orm.postgresql.arrays import array
from parlant_store.backends.orm.postgresql.requests import fetch_once
from parlant_store.types import ExpiredDocument, ExpiredSession

_PARAMETERS = "%s::jsonb, %s::jsonb, %s::bigint, %s::bigint"
_RETIRE = (
    "SELECT v_namespaces, v_session_ids, v_names, v_items, v_documents, v_after::text"
    f" FROM parlant_store_retire({_PARAMETERS}, NULL)"
)
_FIND = f"SELECT v_keys, v_after::text FROM parlant_store_due({_PARAMETERS})"
_RELATED = "SELECT session, document FROM parlant_store_related_documents(%s::bigint[])"
_LIST = f"SELECT parlant_store_list_due({_PARAMETERS})::text"


class PostgreSQLRetention(RetentionRules):
    """Each step is one call of a function in sql/functions/retention.sql."""

    def find(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[list[int], Place]:
        ((keys, place),) = fetch(connection, _FIND, _parameters(sweep, after))
        return keys, None if place is None else json.loads(place)

    def related(self, connection: BaseDatabaseWrapper, keys: list[int]) -> list[tuple[int, int]]:
        rows = fetch(connection, _RELATED, (array(map(str, keys)),))
        return [(session, document) for session, document in rows]

    def retire(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[Expired, Place]:
        ((*sessions, documents, place),) = fetch_once(
            connection, _RETIRE, _parameters(sweep, after)
        )
        rows = zip(*(column or () for column in sessions), strict=True)
        expired = [(name_of(*names), items) for *names, items in rows]
        return Expired(expired, documents), None if place is None else json.loads(place)

    def list_expired(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        ((text,),) = fetch(connection, _LIST, _parameters(sweep, after))
        step = json.loads(text)
        return due(sweep.documents, step["rows"]), step["after"]


def _parameters(sweep: Sweep, after: Place) -> list[Any]:
    place = None if after is None else json.dumps(after)
    return [json.dumps(sweep.as_json()), place, sweep.limit, sweep.examined]
