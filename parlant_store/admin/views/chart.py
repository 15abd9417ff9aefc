"""Charts of figures by day: SVG without scripts, styles or colours of its own."""

from collections.abc import Callable, Sequence
from datetime import date
from itertools import count
from typing import NamedTuple

from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from parlant_store.admin.formatting import grouped, rounded
from parlant_store.admin.views.activity import Figure

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
