"""Django's list of conversations: sessions of every framework and Parlant's sessions."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import IGNORED_PARAMS, SEARCH_VAR, ChangeList
from django.core.paginator import Paginator
from django.db import router
from django.db.models import QuerySet
from django.http import HttpRequest

from parlant_store.admin.conversations.conversation import (
    ACTIVITY,
    FORM_PARAMETERS,
    ORDERS,
    criteria_of,
)
from parlant_store.admin.conversations.header import Links
from parlant_store.admin.conversations.local import Access, Database, read_page, select_keys
from parlant_store.admin.conversations.search import streams
from parlant_store.admin.conversations.search.selection import KINDS, SESSION
from parlant_store.admin.views.base import configured_stores
from parlant_store.backends.orm import OrmBackend
from parlant_store.models import Session


class ConversationPaginator(Paginator):  # type: ignore[type-arg]
    """Pages over a list that is bounded; ``object_list`` has no rows, the list reads them."""

    def __init__(self, number: int, per_page: int) -> None:
        self.limit = streams.MAX_ROWS
        super().__init__(range(min(number, self.limit)), per_page)
        self.is_bounded = number > self.limit


class ConversationList(ChangeList):
    """Reads the rows of a page from all local databases, whatever the filters are."""

    model_admin: Any
    notes: Sequence[str] = ()

    def get_filters_params(self, params: Any = None) -> Any:
        found = super().get_filters_params(params)
        # The first one is that of the filter with the form.
        return {name: value for name, value in found.items() if name not in FORM_PARAMETERS[1:]}

    def get_filters(self, request: HttpRequest) -> Any:
        filters: Any = self.list_filter
        own = {spec.parameter_name for spec in filters} | set(FORM_PARAMETERS)
        if set(self.filter_params) - own - set(IGNORED_PARAMS):
            raise IncorrectLookupParameters
        specs, has_filters, rest, duplicates, is_active = super().get_filters(request)
        is_active = is_active or any(self.filter_params.get(name) for name in FORM_PARAMETERS[:4])
        return specs, has_filters, rest, duplicates, is_active

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return the sessions that an action may select; the rows of the list are others."""
        (self.filter_specs, self.has_filters, _rest, _duplicates, self.has_active_filters) = (
            self.get_filters(request)
        )
        self.clear_all_filters_qs = self.get_query_string(
            new_params={name: None for name in self.filter_params if name != SEARCH_VAR}
        )
        self.criteria = criteria_of(request.GET)
        self.access: Access = self.model_admin.access(request)
        if request.POST.get("select_across") == "1" and "confirmed" not in request.POST:
            keys = all_keys(self.model_admin, request)[SESSION]
            return self.root_queryset.filter(pk__in=keys)
        return self.root_queryset if self.access.sessions else self.root_queryset.none()

    def get_results(self, request: HttpRequest) -> None:
        start = (max(1, min(self.page_num, streams.MAX_ROWS)) - 1) * self.list_per_page
        links = Links(self.model_admin, request)
        page = read_page(
            databases(self.criteria.store),
            self.criteria,
            self.access,
            links,
            start=start,
            size=self.list_per_page,
        )
        self.paginator = ConversationPaginator(page.total, self.list_per_page)
        if not 1 <= self.page_num <= self.paginator.num_pages:
            raise IncorrectLookupParameters
        self.result_list: Any = page.conversations
        self.result_count = self.paginator.count
        self.notes = page.notes
        # Django shows the number beside the search if the two differ.
        self.full_result_count = None if self.criteria.has_filters else self.result_count
        self.show_full_result_count = False
        self.show_admin_actions = bool(page.conversations)
        self.can_show_all = False
        self.multi_page = self.paginator.num_pages > 1

    def url_for_result(self, result: Any) -> str:
        url: str = result.url
        return url

    @property
    def orders(self) -> Iterator[tuple[Any, str, bool]]:
        """Yield the title, the address and whether it is the present one, of each order."""
        for order, title in ORDERS.items():
            value = None if order == ACTIVITY else order
            yield title, self.get_query_string({"order": value}), order == self.criteria.order


def databases(store: str) -> list[Database]:
    """Return the databases of all local stores, or of the one that is asked for."""
    own, writes = router.db_for_read(Session), router.db_for_write(Session)
    found = [Database(own, "")]
    local = {
        alias: local_store.using
        for alias, local_store, _error in configured_stores()
        if isinstance(local_store, OrmBackend)
    }
    for alias, using in local.items():
        if using not in (None, own, writes, *(database.using for database in found)):
            found.append(Database(str(using), alias))
    selected = local.get(store, "") if store else ""
    if selected == "":
        return found
    return [one for one in found if one.using == selected] or found[:1]


def all_keys(admin: Any, request: HttpRequest) -> dict[int, list[int]]:
    """Return the keys of all rows of the list that actions may select, by their kinds."""
    criteria = criteria_of(request.GET)
    own = [one for one in databases(criteria.store) if not one.alias]
    if not own:
        return {kind: [] for kind in KINDS}
    return select_keys(own[0], criteria, admin.access(request), streams.MAX_ROWS + 1)
