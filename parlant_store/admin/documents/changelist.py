"""The list of documents: the collections, or the documents of a filter in the order of an index."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from parlant_store.admin.documents.collections import Collection, collection_of, without_nul
from parlant_store.admin.documents.columns import annotated
from parlant_store.admin.documents.filters import FIELD_FILTERS, CollectionFilter
from parlant_store.admin.documents.links import session_links
from parlant_store.admin.documents.lookups import (
    Found,
    json_text,
    matching,
    newest_first,
    snippets,
)
from parlant_store.admin.filters import StateFilter, in_state, order_of
from parlant_store.admin.formatting import column_name, grouped
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.options import Rows

FOUND = "_parlant_store_found"
"""The attribute of a request with what its search found."""


class DocumentChangeList(Rows):
    model_admin: Any
    notes: Sequence[str] = ()
    collections: list[Collection] | None = None
    """The collections, if no filter is set; the documents are listed otherwise."""

    more_collections = False

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        if self.collections is not None:
            self.title = _("Collections")
        elif collection := column_name(collection_of(request)):
            self.title = collection

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """The order of an index, whatever the address asks for."""
        return newest_first() if collection_of(request) else ("-key",)

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        found = super().get_queryset(request, *args, **kwargs)
        filters = {name for name, values in self.get_filters_params().items() if any(values)}
        if request.method == "GET" and not (self.query or filters):
            self._list_collections()
            return found.none()
        found = self._filtered(request, found, filters)
        return annotated(found, self.model_admin.columns(request))

    def _filtered(
        self, request: HttpRequest, found: QuerySet[Any], filters: set[str]
    ) -> QuerySet[Any]:
        if (search := getattr(request, FOUND, None)) and search.is_partial:
            self._note_bound()
        state = request.GET.get(StateFilter.parameter_name)
        is_in_state, fields = in_state(state, timezone.now()), dict(self._field_values(request))
        others = filters - {StateFilter.parameter_name}
        if is_in_state is not None and state != "live" and not (self.query or others):
            return found.filter(is_in_state).order_by(*order_of(state))
        if is_in_state is not None or fields:
            condition = Q(
                is_in_state or Q(), *(Q((f"has_{name}", fields[name])) for name in fields)
            )
            texts = {f"has_{name}": json_text((name,)) for name in fields}
            found = self._matching(found, matching(found.alias(**texts), condition))
        return found

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.collections is not None:
            # The search form shows the number of results if it is another one.
            self.full_result_count = self.result_count
        self.result_list = rows = list(self.result_list)
        links = session_links(self.model_admin, request, rows)
        search = getattr(request, FOUND, None)
        found = snippets([row.key for row in rows], search.terms) if search else {}
        for row in rows:
            row.snippet = found.get(row.key)
            row.session_url = links.get(row.key, "")
            row.person_url = self.model_admin.person_url(row.customer_id)

    def _list_collections(self) -> None:
        self.collections = []
        for spec in self.filter_specs:
            if isinstance(spec, CollectionFilter):
                self.collections, self.more_collections = spec.collections, spec.has_more
                self.filter_specs = [one for one in self.filter_specs if one is not spec]
                self.has_filters = bool(self.filter_specs)

    def _field_values(self, request: HttpRequest) -> Iterator[tuple[str, str]]:
        for one in FIELD_FILTERS:
            if value := without_nul(request.GET.get(one.parameter_name, "")):
                yield one.parameter_name, value

    def _matching(self, documents: QuerySet[Any], found: Found) -> QuerySet[Any]:
        if found.is_partial:
            self._note_bound()
        rest = self.root_queryset.filter(key__in=found.keys)
        rows: QuerySet[Any] = self.model_admin.rows(rest).order_by(*documents.query.order_by)
        return rows

    def _note_bound(self) -> None:
        text = _(
            "There may be more: only the first matches among the newest %(number)s of these "
            "documents are listed."
        )
        self.notes = (text % {"number": grouped(COUNTED)},)

    @property
    def failed(self) -> list[Collection]:
        """The collections of failed migrations."""
        found = (spec for spec in self.filter_specs if isinstance(spec, CollectionFilter))
        listed = self.collections or [one for spec in found for one in spec.collections]
        return [collection for collection in listed if collection.is_failed]
