"""The overview of the stores, with charts: SVG without scripts, styles or colours of its own."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from itertools import count
from typing import Any, NamedTuple

from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from parlant_store.admin.conversations.conversation import FRAMEWORKS
from parlant_store.admin.documents.lookups import collections
from parlant_store.admin.formatting import grouped, rounded
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.views.activity import (
    Figure,
    active_conversations,
    last_days,
    written_items,
)
from parlant_store.admin.views.base import link, show
from parlant_store.admin.views.figures import (
    MAX_CONVERSATIONS,
    Amount,
    Window,
    amounts,
    expiring,
    failing_tools,
)
from parlant_store.admin.views.stores import store_states, viewed_models
from parlant_store.models import Document, Session, SessionItem

WIDTH, GAP, HEIGHT = 16, 4, 60
"""The width of a bar, the gap between two, and the height of the highest."""


class Day(NamedTuple):
    name: str
    number: str
    url: str = ""
    """The list of what was counted."""


class Chart(NamedTuple):
    """The figures of some days, as a picture and as the rows of a table."""

    title: str
    svg: SafeString
    days: list[Day]
    total: str
    highest: str

    @property
    def first(self) -> str:
        return self.days[0].name


class Charts:
    """The charts of one page, whose elements have unique ids."""

    def __init__(self) -> None:
        self._ids = count(1)

    def make(
        self,
        title: str,
        days: Sequence[date],
        figures: Sequence[Figure],
        url: Callable[[date], str] = lambda day: "",
    ) -> Chart:
        """Return the chart of ``figures``; ``url`` is the list of what was counted on a day."""
        named = [
            Day(
                date_format(day, "MONTH_DAY_FORMAT"),
                shown(figure),
                url(day) if figure.number else "",
            )
            for day, figure in zip(days, figures, strict=True)
        ]
        numbers = [figure.number for figure in figures]
        is_estimate = any(figure.is_estimate for figure in figures)
        svg = _svg(next(self._ids), title, named, numbers)
        total, highest = (Figure(number, is_estimate) for number in (sum(numbers), max(numbers)))
        return Chart(title, svg, named, shown(total), shown(highest))


def shown(figure: Figure) -> str:
    if not (figure.is_estimate and figure.number):
        return grouped(figure.number)
    return _("about %(number)s") % {"number": grouped(rounded(figure.number))}


def _svg(id_: int, title: str, days: Sequence[Day], numbers: Sequence[int]) -> SafeString:
    """Return the picture; screen readers read its title and its description."""
    highest = max(1, *numbers)
    described = [_("%(day)s: %(number)s") % {"day": day.name, "number": day.number} for day in days]
    bars = (
        (place * (WIDTH + GAP), HEIGHT - _height(number, highest), _height(number, highest), text)
        for place, (number, text) in enumerate(zip(numbers, described, strict=True))
    )
    return format_html(
        '<svg class="parlant-chart" viewBox="0 0 {width} {whole}" preserveAspectRatio="none"'
        ' role="img" aria-labelledby="chart-{id}-title" aria-describedby="chart-{id}-desc">'
        '<title id="chart-{id}-title">{title}</title><desc id="chart-{id}-desc">{desc}</desc>'
        '<rect class="parlant-ground" x="0" y="{height}" width="{width}" height="1"/>{bars}</svg>',
        id=str(id_),
        title=title,
        desc="; ".join(described),
        width=str(len(days) * (WIDTH + GAP) - GAP),
        height=str(HEIGHT),
        whole=str(HEIGHT + 1),
        bars=format_html_join(
            "",
            '<rect class="parlant-bar" x="{}" y="{}" width="' + str(WIDTH) + '" height="{}">'
            "<title>{}</title></rect>",
            ((str(x), str(y), str(height), text) for x, y, height, text in bars),
        ),
    )


def _height(number: int, highest: int) -> int:
    """Return the height of a bar: 0 for nothing, else a visible line at least."""
    return max(2, round(number / highest * HEIGHT)) if number else 0


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
        tools=failing_tools(models),
        max_conversations=MAX_CONVERSATIONS,
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
