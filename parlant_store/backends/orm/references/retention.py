"""Expiry and retention rules, in databases with tables that refer to ours."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

from parlant_store.backends.columns import name_of, owner_of
from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.retention import Place, Sweep
from parlant_store.backends.orm.base.retention import RetentionRules
from parlant_store.backends.orm.database.statements import Row, fetch
from parlant_store.backends.orm.references.deletion import (
    Keys,
    ProtectedGroup,
    chunks,
    delete_groups,
    lock_rows,
    writing,
)
from parlant_store.content import codec
from parlant_store.types import ExpiredDocument, ExpiredSession, Protected

Groups = Sequence[tuple[int, ...]]
"""The keys of rows that are deleted together or not at all."""

_SESSIONS = "SELECT key, namespace, session_id, full_names, user_id, item_count FROM {} WHERE {}"
_DOCUMENTS = "SELECT key, collection, data FROM {} WHERE {}"


class ReferencedRetention(RetentionRules):
    """Deletes by Django's ORM the eligible rows of the steps of ``tables``."""

    def __init__(self, tables: RetentionRules) -> None:
        self.tables = tables

    def find(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[list[int], Place]:
        return self.tables.find(connection, sweep, after)

    def related(self, connection: BaseDatabaseWrapper, keys: list[int]) -> list[tuple[int, int]]:
        return self.tables.related(connection, keys)

    def list_expired(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        return self.tables.list_expired(connection, sweep, after)

    def retire(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[Expired, Place]:
        if sweep.rule is None and after is None and connection.vendor == "postgresql":
            fetch(connection, "SELECT parlant_store_forget_requests(%s)", (sweep.limit,))
        keys, place = self.find(connection, sweep, after)
        groups = self._groups(connection, sweep, keys)
        return self._remove(connection, sweep, after, groups), place

    def _groups(self, connection: BaseDatabaseWrapper, sweep: Sweep, keys: list[int]) -> Groups:
        documents: dict[int, list[int]] = defaultdict(list)
        if sweep.documents and sweep.rule is not None:
            for session, document in self.related(connection, keys):
                documents[session].append(document)
        return [(key, *sorted(documents[key])) for key in keys]

    def _remove(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place, groups: Groups
    ) -> Expired:
        model = _model(sweep)
        with writing(connection):
            keys = {key for group in groups for key in group}
            locked = set(lock_rows(connection, model, keys, skip=True))
            # Read again: other transactions may have written to rows before they were locked.
            eligible, _ = self.find(connection, sweep, after)
            groups = self._groups(connection, sweep, eligible)
            groups = [group for group in groups if locked.issuperset(group)]
            rows = _rows(connection, sweep, [group[0] for group in groups])
            protected = delete_groups(connection, model, groups)
        return _expired(sweep, groups, rows, protected)


def _model(sweep: Sweep) -> type[Model]:
    from parlant_store.models import Document, Session

    return Document if sweep.documents else Session


def _rows(connection: BaseDatabaseWrapper, sweep: Sweep, keys: Keys) -> dict[int, Row]:
    """Return the columns for results, by the key of the row."""
    sql, table = (_DOCUMENTS if sweep.documents else _SESSIONS), _model(sweep)._meta.db_table
    rows_by_key: dict[int, Row] = {}
    for chunk in chunks(keys):
        condition = f"key IN ({', '.join(['%s'] * len(chunk))})"
        rows = fetch(connection, sql.format(table, condition), chunk, prepare=None)
        rows_by_key |= {row[0]: row[1:] for row in rows}
    return rows_by_key


def _expired(
    sweep: Sweep, groups: Groups, rows: dict[int, Row], protected_groups: Sequence[ProtectedGroup]
) -> Expired:
    kept = {key for group in protected_groups for key in group.keys}
    deleted = [group for group in groups if group[0] not in kept]
    protected = [_protected(sweep, group, rows) for group in protected_groups]
    if sweep.documents:
        return Expired([], len({key for group in deleted for key in group} - kept), protected)
    sessions = [rows[key] for key, *_ in deleted]
    return Expired([(name_of(*row[:3]), row[-1]) for row in sessions], 0, protected)


def _protected(sweep: Sweep, group: ProtectedGroup, rows: dict[int, Row]) -> Protected:
    row = rows[group.keys[0]]
    if sweep.documents:
        collection, text = row
        document = codec.decode_document(text)
        return Protected(
            kind="document",
            place=codec.unescape(collection),
            id=_text(document.get("id")),
            protected_by=group.protected_by,
            document=document,
        )
    namespace, session_id, full, user_id, _ = row
    name = name_of(namespace, session_id, full)
    return Protected(
        kind="session",
        place=name.namespace,
        id=name.session_id,
        protected_by=group.protected_by,
        user_id=owner_of(user_id, full),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
