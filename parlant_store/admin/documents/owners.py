"""The documents of a session, of a customer or of an agent, through the indexes on these."""

from typing import Any, NamedTuple

from django.contrib import admin
from django.db import connections, router
from django.db.models import F, Func, OrderBy, QuerySet, TextField
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.documents.collections import STEPPED, collection_of, without_nul
from parlant_store.admin.formatting import column_name, cut
from parlant_store.admin.lookups import COUNTED
from parlant_store.content import codec
from parlant_store.models import Document

OWNERS = ("session_id", "customer_id", "agent_id")
"""The columns that say whose a document is."""

MOST = 100
"""In how many collections the documents of one owner are looked for."""

_ORDER = "COALESCE(creation_utc, '') DESC, COALESCE(id, '') DESC"

# A scalar subquery in the order of the index: PostgreSQL may turn EXISTS into a scan.
_HELD = (
    "SELECT '{column}', name FROM names WHERE (SELECT d.key FROM parlant_store_document d"
    " WHERE d.collection = name AND d.{column} = %s"
    " ORDER BY COALESCE(d.creation_utc, ''), COALESCE(d.id, '') LIMIT 1) IS NOT NULL"
)
_NEWEST = (
    "SELECT key FROM (SELECT key FROM parlant_store_document"
    f" WHERE collection = %s AND {{column}} = %s ORDER BY {_ORDER} LIMIT {COUNTED + 1}) newest"
)


class Owned(NamedTuple):
    """A collection that holds documents of an owner."""

    column: str
    collection: str


class _Or(Func):
    """A column, with "" for null, word for word as the indexes have it."""

    template = "COALESCE(%(expressions)s, '')"
    output_field = TextField()


def newest_first() -> tuple[OrderBy, ...]:
    """The order of the indexes on a collection, on its sessions, customers and agents."""
    columns = ("creation_utc", "document_id")
    return tuple(OrderBy(_Or(F(column)), descending=True) for column in columns)


def owned(values: dict[str, str]) -> list[Owned]:
    """In which collections there are documents whose columns have these values."""
    sql = " UNION ALL ".join(_HELD.format(column=column) for column in values)
    with connections[router.db_for_read(Document)].cursor() as cursor:
        cursor.execute(f"{STEPPED} {sql} LIMIT {MOST}", tuple(values.values()))
        return [Owned(*row) for row in cursor.fetchall()]


def owned_keys(values: dict[str, str]) -> list[int]:
    """The keys of documents that one of these columns has the value of; COUNTED + 1 at most."""
    places = owned(values)
    if not places:
        return []
    sql = " UNION ".join(_NEWEST.format(column=place.column) for place in places)
    params = [part for place in places for part in (place.collection, values[place.column])]
    with connections[router.db_for_read(Document)].cursor() as cursor:
        cursor.execute(f"{sql} ORDER BY key DESC LIMIT {COUNTED + 1}", params)
        return [key for (key,) in cursor.fetchall()]


def owned_by_any(term: str) -> list[int]:
    """The keys of documents of the session, the customer or the agent of this id."""
    return owned_keys(dict.fromkeys(OWNERS, codec.to_column(without_nul(term))))


class OwnerFilter(admin.SimpleListFilter):
    """What a link has narrowed the list to, and the way back; no choice of its own."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = self.value()
        return [(value, cut(column_name(value)) or "")] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = without_nul(self.value() or "")
        column = str(self.parameter_name)
        if collection_of(request):
            return queryset.filter(**{column: value})
        return queryset.filter(key__in=owned_keys({column: value}))


class SessionFilter(OwnerFilter):
    title = _("session")
    parameter_name = "session_id"


class CustomerFilter(OwnerFilter):
    title = _("customer")
    parameter_name = "customer_id"


class AgentFilter(OwnerFilter):
    title = _("agent")
    parameter_name = "agent_id"
