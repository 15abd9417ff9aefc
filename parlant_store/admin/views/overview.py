"""The overview of the stores."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from parlant_store.admin.documents.collections import MAX_COUNT as MAX_COUNT
from parlant_store.admin.documents.collections import SHOWN, Collection, collections
from parlant_store.admin.expiry import expiry
from parlant_store.admin.formatting import breakable, column_name, cut, grouped, session_name
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.stores.asking import is_here, link, show
from parlant_store.admin.views import activity as written
from parlant_store.admin.views import statistics as figures
from parlant_store.admin.views.chart import Chart, Charts
from parlant_store.admin.views.stores import viewed_models
from parlant_store.content import codec
from parlant_store.handler import stores
from parlant_store.models import Document, Session, SessionItem


class Store(NamedTuple):
    alias: str
    kind: str
    """The class of its backend."""

    is_here: bool
    url: str
    """Of its own page; "" for one that is in this database."""

    error: str = ""
    """What is wrong with its setting."""


class Kept(NamedTuple):
    """The rows of one table."""

    title: str
    url: str
    """Of their list; "" when it may not be seen."""

    amount: str
    size: str


class Heaped(NamedTuple):
    """The documents of one collection."""

    name: SafeString
    url: str
    amount: str
    size: str
    chart: Chart


class Expiring(NamedTuple):
    title: Any
    cells: list[tuple[figures.Window, str]]
    """Of each model that may be seen, with the address of the list of them, or ""."""


class Large(NamedTuple):
    name: str
    url: str
    session: Session
    expires: Any


def overview(admin: Any, request: HttpRequest) -> HttpResponse:
    """Nothing is read of what may not be seen."""
    models = viewed_models(admin, request)
    charts = Charts()
    context: dict[str, Any] = {"tables": [], "charts": [], "is_estimate": False}
    if Session in models:
        add_sessions(context, admin, request, charts)
    if Document in models:
        add_documents(context, admin, charts)
    return show(
        admin,
        request,
        "overview.html",
        title=_("Overview"),
        stores=list(store_rows(admin)),
        models=[model._meta.verbose_name_plural for model in models],
        sees_sessions=Session in models,
        sees_documents=Document in models,
        expiring=expiring(admin, models),
        looked_at=grouped(COUNTED),
        **context,
    )


def store_rows(admin: Any) -> Iterator[Store]:
    for alias in stores:
        try:
            store = stores[alias]
        except ImproperlyConfigured as exc:
            yield Store(alias, "", False, "", codec.printable(str(exc)))
            continue
        here = is_here(store)
        url = "" if here else link(admin, "stores_sessions", store=alias)
        yield Store(alias, type(store).__name__, here, url)


def add_sessions(context: dict[str, Any], admin: Any, request: HttpRequest, charts: Charts) -> None:
    for model in (Session, SessionItem):
        _add_table(context, admin, model, is_listed=admin.may_view(request, model))
    sessions, items = written.written(written.SESSIONS), written.written(written.ITEMS)
    _add_chart(context, charts, _("Sessions begun"), sessions)
    _add_chart(context, charts, _("Items written"), items)
    found = figures.largest()
    context["largest"] = [_large(admin, session) for session in found.sessions]
    context["is_partial"] = found.is_partial


def add_documents(context: dict[str, Any], admin: Any, charts: Charts) -> None:
    _add_table(context, admin, Document, is_listed=True)
    days = written.written(written.DOCUMENTS)
    _add_chart(context, charts, _("Documents created"), days)
    found = collections()
    shown = found[:SHOWN]
    sizes = figures.document_sizes([collection.name for collection in shown])
    context["collections"] = [
        _heaped(admin, charts, collection, sizes[collection.name], days) for collection in shown
    ]
    context["more_collections"] = SHOWN if len(found) > SHOWN else 0
    context["failed"] = [
        (collection.label, admin.list_url(Document, collection=collection.name))
        for collection in shown
        if collection.is_failed
    ]


def expiring(admin: Any, models: Sequence[type[Model]]) -> list[Expiring]:
    rows = zip(*(figures.expiring(model) for model in models), strict=True)
    return [
        Expiring(
            windows[0].title,
            [
                (window, admin.list_url(model, state=window.state) if window.state else "")
                for model, window in zip(models, windows, strict=True)
            ],
        )
        for windows in rows
    ]


def _add_table(context: dict[str, Any], admin: Any, model: type[Model], *, is_listed: bool) -> None:
    """The table, and the size of the file that has all of them, where there is one."""
    amount = figures.amount(model)
    size = filesizeformat(amount.size)
    context["file"] = size if amount.is_whole_file else ""
    title = str(capfirst(model._meta.verbose_name_plural))
    url = admin.list_url(model) if is_listed else ""
    context["tables"].append(Kept(title, url, str(amount), size))


def _add_chart(context: dict[str, Any], charts: Charts, title: str, days: written.Written) -> None:
    chart = charts.make(title, days.days, days.total, is_estimate=days.is_estimate)
    context["charts"].append(chart)
    context["is_estimate"] |= days.is_estimate


def _large(admin: Any, session: Session) -> Large:
    url = admin.page_url(Session, session.key)
    return Large(session_name(session), url, session, expiry(session.expires_at))


def _heaped(
    admin: Any, charts: Charts, collection: Collection, mean: float, days: written.Written
) -> Heaped:
    name = column_name(collection.name) or ""
    numbers = days.of(collection.name)
    title = _("Documents of %(collection)s per day") % {"collection": cut(name)}
    return Heaped(
        breakable(name),
        admin.list_url(Document, collection=collection.name),
        collection.amount,
        _size(collection, mean),
        charts.make(title, days.days, numbers, is_estimate=days.is_estimate),
    )


def _size(collection: Collection, mean: float) -> str:
    if collection.counted <= MAX_COUNT:
        return _("about %(number)s") % {"number": filesizeformat(collection.counted * mean)}
    if collection.estimate and collection.estimate > MAX_COUNT:
        return _("about %(number)s") % {"number": filesizeformat(collection.estimate * mean)}
    return _("more than %(number)s") % {"number": filesizeformat(MAX_COUNT * mean)}
