"""The overview of the stores."""

from datetime import date
from functools import partial
from typing import Any, NamedTuple

from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from parlant_store.admin.conversations.conversation import FRAMEWORKS
from parlant_store.admin.documents.collections import collections
from parlant_store.admin.formatting import grouped
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.remote_stores import link, show
from parlant_store.admin.views import failing_tools
from parlant_store.admin.views.activity import (
    active_conversations,
    last_days,
    written_items,
)
from parlant_store.admin.views.chart import Chart, Charts
from parlant_store.admin.views.statistics import Amount, Window, amounts, expiring
from parlant_store.admin.views.stores import store_states, viewed_models
from parlant_store.models import Document, Session, SessionItem


class Table(NamedTuple):
    """The rows of a table of the local database."""

    title: str
    url: str
    """The list; "" if the user may not view it."""

    amount: Amount
    size: str


class Expiring(NamedTuple):
    """The rows in a state, of each model, with the addresses of their lists."""

    title: Any
    cells: list[tuple[Window, str]]


def overview(admin: Any, request: HttpRequest) -> HttpResponse:
    """Show the figures of the models that the user may view; no others are read."""
    models = viewed_models(admin, request)
    tables = _tables(admin, request, models)
    charts, is_estimate = _charts(admin, models)
    failed = [one for one in collections() if one.is_failed] if Document in models else []
    return show(
        admin,
        request,
        "overview.html",
        title=_("Overview"),
        stores=store_states(admin, models),
        tables=tables,
        is_empty=not any(table.amount.counted for table in tables),
        file=tables[0].size if tables[0].amount.is_whole_file else "",
        charts=charts,
        is_estimate=is_estimate,
        tools=failing_tools.failing_tools(models),
        max_conversations=failing_tools.MAX_CONVERSATIONS,
        models=[model._meta.verbose_name_plural for model in models],
        expiring=_expiring(admin, models),
        failed=[(one.label, admin.list_url(Document, collection=one.name)) for one in failed],
        counted=grouped(COUNTED),
        conversations_url=admin.list_url(Session) if Session in models else "",
        failed_url=admin.list_url(Session, failed="yes") if Session in models else "",
        longest_url=admin.list_url(Session, order="length") if Session in models else "",
        people_url=link(admin, "people"),
    )


def _tables(admin: Any, request: HttpRequest, models: list[type[Model]]) -> list[Table]:
    counted: list[type[Model]] = []
    for model in models:
        counted += [Session, SessionItem] if model is Session else [model]
    return [
        Table(
            str(capfirst(model._meta.verbose_name_plural)),
            admin.list_url(model) if admin.may_view(request, model) else "",
            amount,
            filesizeformat(amount.size),
        )
        for model, amount in zip(counted, amounts(counted), strict=True)
    ]


def _charts(admin: Any, models: list[type[Model]]) -> tuple[list[Chart], bool]:
    """Return the charts, and whether any of them has estimates."""
    charts, days = Charts(), last_days()
    figures = []
    for activity in active_conversations(days, models):
        url = partial(_day_url, admin, framework=activity.framework) if Session in models else _none
        title = _("Conversations: %(framework)s") % {"framework": FRAMEWORKS[activity.framework]}
        figures.append((title, activity.figures, url))
    if Session in models:
        items, tokens = written_items(days)
        figures.append((_("Items written"), items, partial(_day_url, admin)))
        if any(figure.number for figure in tokens):
            figures.append((_("Tokens reported by items"), tokens, partial(_day_url, admin)))
    is_estimate = any(one.is_estimate for _title, shown, _url in figures for one in shown)
    return [charts.make(title, days, shown, url) for title, shown, url in figures], is_estimate


def _day_url(admin: Any, day: date, **filters: str) -> str:
    day_filters = {"from": day.isoformat(), "to": day.isoformat()}
    return str(admin.list_url(Session, **day_filters, **filters))


def _none(day: date) -> str:
    return ""


def _expiring(admin: Any, models: list[type[Model]]) -> list[Expiring]:
    return [
        Expiring(
            windows[0].title,
            [
                (window, admin.list_url(model, state=window.state))
                for model, window in zip(models, windows, strict=True)
            ],
        )
        for windows in zip(*expiring(models), strict=True)
    ]
