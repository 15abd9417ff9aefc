"""The list of documents in an order that an index has, whatever it is narrowed to."""

from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from parlant_store.admin.documents.collections import Collection, CollectionFilter, collection_of
from parlant_store.admin.documents.owners import newest_first
from parlant_store.admin.formatting import NAME, grouped
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.options import Rows
from parlant_store.admin.sessions.filters import StateFilter, in_state, order_of
from parlant_store.types import FAILED


class DocumentRows(Rows):
    notes: tuple[str, ...] = ()

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """What the address asks for would sort the table."""
        return newest_first() if collection_of(request) else ("-key",)

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        found = super().get_queryset(request, *args, **kwargs)
        found = self._in_state(found, request.GET.get(StateFilter.parameter_name))
        if collection_of(request).endswith(FAILED):
            found = found.annotate(shown_reason=Left(KT("data__reason"), NAME + 1))
        return found

    def _in_state(self, found: QuerySet[Any], state: str | None) -> QuerySet[Any]:
        condition = in_state(state, timezone.now())
        if condition is None:
            return found
        is_narrowed = self.query or set(self.filter_params) - {StateFilter.parameter_name}
        if state != "live" and not is_narrowed:
            return found.filter(condition).order_by(*order_of(state))
        return self._among_newest(found, condition)

    def _among_newest(self, found: QuerySet[Any], condition: Q) -> QuerySet[Any]:
        """No index serves the state beside these; it is looked for in so many rows only."""
        if not found.values("key")[COUNTED : COUNTED + 1]:
            return found.filter(condition)
        number = {"number": grouped(COUNTED)}
        self.notes += (_("The state was looked for in the newest %(number)s of these.") % number,)
        newest = found.values("key")[:COUNTED]
        rest = self.root_queryset.filter(condition, key__in=newest)
        return self.model_admin.rows(rest).order_by(*found.query.order_by)

    @property
    def failed(self) -> list[Collection]:
        """The collections of failed migrations."""
        found = (spec for spec in self.filter_specs if isinstance(spec, CollectionFilter))
        return [collection for spec in found for collection in spec.failed]
