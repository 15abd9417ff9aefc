"""Expiry by rules on SQLite."""

import json
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import due, name_of
from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.retention import Place, Sweep
from parlant_store.backends.orm.base.filters import Sql
from parlant_store.backends.orm.base.retention import RetentionRules
from parlant_store.backends.orm.base.sessions import LIVE, adapted
from parlant_store.backends.orm.database.statements import Row, fetch, write
from parlant_store.backends.orm.sqlite.related_documents import (
    DOCUMENTS_OF_D,
    IN_KEYS,
    IS_OF_SESSIONS,
    SESSION_OF_D,
    related_collections,
    related_documents,
    related_keys,
)
from parlant_store.types import ExpiredDocument, ExpiredSession


class _Page(NamedTuple):
    """The rows that a step reads."""

    source: str
    order: str
    """The columns of a row's place in the pass."""

    where: str
    params: list[Any]


class SQLiteRetention(RetentionRules):
    """Each step that deletes rows is one transaction, which has the write lock."""

    def find(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[list[int], Place]:
        return _step(connection, sweep, after)

    def related(self, connection: BaseDatabaseWrapper, keys: list[int]) -> list[tuple[int, int]]:
        return related_documents(connection, keys)

    def retire(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[Expired, Place]:
        with write(connection):
            keys, place = _step(connection, sweep, after)
            if sweep.documents:
                keys += related_keys(connection, keys)
                _delete(connection, "parlant_store_document", "key", keys)
                return Expired([], len(keys)), place
            rows = _sessions(connection, keys)
            _delete(connection, "parlant_store_session_item", "session_key", keys)
            _delete(connection, "parlant_store_session", "key", keys)
        return Expired([(name_of(*names), items) for _, *names, items in rows], 0), place

    def list_expired(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        keys, place = _step(connection, sweep, after)
        if not sweep.documents:
            return due(sweep.documents, _sessions(connection, keys)), place
        if sweep.rule is not None:
            keys += related_keys(connection, keys)
        sql = (
            "SELECT key, collection, CASE WHEN instr(id, char(1) || char(3)) > 0"
            " THEN json_extract(data, '$.id') ELSE id END"
            f" FROM parlant_store_document WHERE key {IN_KEYS}"
        )
        return due(sweep.documents, fetch(connection, sql, (json.dumps(keys),))), place


def _step(connection: BaseDatabaseWrapper, sweep: Sweep, after: Place) -> tuple[list[int], Place]:
    """Return the keys of the eligible rows, and the place after which the next step starts."""
    page = _page(connection, sweep, after)
    condition, operands = _condition(connection, sweep)
    # As text: the driver would convert it to a datetime.
    place_of = page.order.replace("expires_at", "CAST(expires_at AS text)")
    # SQLite returns rows as it reads them, and stops at the limit.
    sql = (
        f"SELECT key, due, n, {place_of} FROM ("
        f"SELECT *, {condition} AS due, row_number() OVER () AS n"
        f" FROM (SELECT * FROM {page.source} WHERE {page.where} ORDER BY {page.order} LIMIT %s) d"
        ") WHERE due OR n = %s LIMIT %s"
    )
    params = (*operands, *page.params, sweep.examined, sweep.examined, sweep.limit)
    rows = fetch(connection, sql, params, prepare=None)
    place: Place = None
    if rows and (len(rows) == sweep.limit or rows[-1][2] == sweep.examined):
        place = rows[-1][3:]
    elif page.order == "version, key" and _is_versioned(after):
        place = (None, 0)
    return [key for key, is_due, *_ in rows if is_due], place


def _page(connection: BaseDatabaseWrapper, sweep: Sweep, after: Place) -> _Page:
    table = "parlant_store_document" if sweep.documents else "parlant_store_session"
    if sweep.rule is None:
        now = adapted(connection, sweep.now)
        where, params = "expires_at <= %s", [now]
        if after is not None:
            where, params = f"{where} AND (expires_at, key) > (%s, %s)", [now, *after]
        return _Page(table, "expires_at, key", where, params)
    if sweep.namespace is not None:
        where = "namespace = %s AND session_id > %s"
        return _Page(table, "session_id", where, [sweep.namespace, *(after or ("",))])
    if sweep.collection is None:
        return _Page(table, "key", "key > %s", [*(after or (0,))])
    # Documents without a version come last, as in the index of PostgreSQL.
    if _is_versioned(after):
        where, params = "(version, key) > (%s, %s)", [*(after or ("", 0))]
    else:
        where, params = "version IS NULL AND key > %s", [after[1]]
    # Otherwise SQLite scans all documents by key for those without a version.
    table = f"{table} INDEXED BY parlant_store_doc_version"
    return _Page(table, "version, key", f"collection = %s AND {where}", [sweep.collection, *params])


def _is_versioned(after: Place) -> bool:
    """Whether the pass over a collection is still at the documents with a version."""
    return after is None or after[0] is not None


def _condition(connection: BaseDatabaseWrapper, sweep: Sweep) -> Sql:
    """Return the condition of the rule on the row ``d``."""
    if sweep.rule is None:
        return "TRUE", []
    parts, params = [LIVE], [adapted(connection, sweep.now)]
    if sweep.created_until is not None:
        if sweep.documents:
            parts.append(
                "CASE WHEN creation_utc GLOB '[0-9][0-9][0-9][0-9]-*' THEN creation_utc <= %s"
                " ELSE updated_at <= %s END"
            )
            params += [sweep.created_until_text, adapted(connection, sweep.created_until)]
        else:
            parts.append("created_at <= %s")
            params.append(adapted(connection, sweep.created_until))
    if sweep.updated_until is not None:
        parts.append("updated_at <= %s")
        params.append(adapted(connection, sweep.updated_until))
    if sweep.documents:
        whole, whole_params = _is_whole(connection, sweep)
        parts += whole
        params += whole_params
    return " AND ".join(parts), params


def _is_whole(connection: BaseDatabaseWrapper, sweep: Sweep) -> tuple[list[str], list[Any]]:
    """Return the conditions that delete Parlant sessions and their related documents together."""
    collections = related_collections(connection)
    parts: list[str] = []
    params: list[Any] = []
    if sweep.updated_until is not None:
        parts.append(
            f"NOT ({IS_OF_SESSIONS.format('d.collection')}"
            f" AND EXISTS (SELECT 1 FROM {DOCUMENTS_OF_D} WHERE r.updated_at > %s))"
        )
        params += [collections, adapted(connection, sweep.updated_until)]
    if sweep.collection is None:
        parts += [
            "substr(d.collection, -8) <> 'metadata'",
            f"NOT EXISTS (SELECT 1 FROM {SESSION_OF_D})",
        ]
        params.append(collections)
    return parts, params


def _sessions(connection: BaseDatabaseWrapper, keys: list[int]) -> list[Row]:
    sql = (
        "SELECT key, namespace, session_id, full_names, item_count"
        f" FROM parlant_store_session WHERE key {IN_KEYS}"
    )
    return fetch(connection, sql, (json.dumps(keys),))


def _delete(connection: BaseDatabaseWrapper, table: str, column: str, keys: list[int]) -> None:
    fetch(connection, f"DELETE FROM {table} WHERE {column} {IN_KEYS}", (json.dumps(keys),))
