"""Numbers of days as bars: SVG without script, style or a colour of its own."""

from collections.abc import Sequence
from datetime import date
from itertools import count
from typing import NamedTuple

from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from parlant_store.admin.formatting import grouped, rounded

WIDTH, GAP, HEIGHT = 16, 4, 60
"""Of a bar, between two of them, and of the highest."""


class Day(NamedTuple):
    name: str
    number: str


class Chart(NamedTuple):
    """What was written in a number of days: as a picture, and as rows of a table."""

    title: str
    svg: SafeString
    days: list[Day]
    total: str
    highest: str

    @property
    def first(self) -> str:
        return self.days[0].name


class Charts:
    """Makes the charts of one page: their parts have ids of their own there."""

    def __init__(self) -> None:
        self._ids = count(1)

    def make(
        self, title: str, days: Sequence[date], numbers: Sequence[int], *, is_estimate: bool
    ) -> Chart:
        """A chart of ``numbers``; ``is_estimate``: their first two digits are all they say."""
        named = [
            Day(date_format(day, "MONTH_DAY_FORMAT"), _number(number, is_estimate))
            for day, number in zip(days, numbers, strict=True)
        ]
        svg = _svg(next(self._ids), title, named, numbers)
        total, highest = _number(sum(numbers), is_estimate), _number(max(numbers), is_estimate)
        return Chart(title, svg, named, total, highest)


def _number(number: int, is_estimate: bool) -> str:
    if not (is_estimate and number):
        return grouped(number)
    return _("about %(number)s") % {"number": grouped(rounded(number))}


def _svg(id_: int, title: str, days: Sequence[Day], numbers: Sequence[int]) -> SafeString:
    """The title and the description are what screen readers say of it."""
    highest = max(1, *numbers)
    said = [_("%(day)s: %(number)s") % {"day": day.name, "number": day.number} for day in days]
    bars = (
        (place * (WIDTH + GAP), HEIGHT - _height(number, highest), _height(number, highest), text)
        for place, (number, text) in enumerate(zip(numbers, said, strict=True))
    )
    return format_html(
        '<svg class="parlant-chart" viewBox="0 0 {width} {whole}" preserveAspectRatio="none"'
        ' role="img" aria-labelledby="chart-{id}-title" aria-describedby="chart-{id}-desc">'
        '<title id="chart-{id}-title">{title}</title><desc id="chart-{id}-desc">{desc}</desc>'
        '<rect class="parlant-ground" x="0" y="{height}" width="{width}" height="1"/>{bars}</svg>',
        id=str(id_),
        title=title,
        desc="; ".join(said),
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
    """None for nothing; at least a line for something."""
    return max(2, round(number / highest * HEIGHT)) if number else 0
