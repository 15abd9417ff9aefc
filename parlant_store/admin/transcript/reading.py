"""What the address of a transcript asks for, which rows are read, and how much of them."""

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connections, router
from django.db.models import BooleanField, F, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Concat, StrIndex
from django.http import QueryDict
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from parlant_store.content import text_search

MAX_FIND = 200
"""Limit on the characters of the words that are searched for."""

MAX_PLACE = 2**53

MAX_SEARCHED = 10_000
"""Limit on the items or events that are searched: the last ones."""

MAX_FOUND = 100
CONTEXT = 10
"""How many items or events are shown before one that a link leads to, if a page holds them."""

MAX_PASSED = 1_000
"""Limit on the items or events among which a page of messages only looks for some."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?P<end>"?)|[\[\]{},]', re.DOTALL)
_HALF_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*(?P<half>\\(?:u[0-9a-fA-F]{0,3})?)$")
_CLOSERS = {"{": "}", "[": "]"}
# Quotes inside of a text are escaped, so this is never the inside of one; and as no bracket
# stands before the last, these are fields of the outermost object.
_LAST_FIELDS = re.compile(r'(?:,\s*"\w+"\s*:\s*(?:"[^"\\]*"|true|false|null|-?[\d.]+)\s*)+\}\s*$')
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{200}\Z")
_LEFT_OUT = re.compile(r"…\+(?P<number>\d+)\Z")


class Options(NamedTuple):
    """The parameters: ``before``, ``after``, ``show``, ``calls``, ``source``, ``find``."""

    params: QueryDict
    before: int | None = None
    """The place that the page ends before; None for a page that begins after ``after``."""

    after: int | None = None
    messages_only: bool = False
    calls_open: bool = False
    source: bool = False
    """Whether Markdown is shown as it is written."""

    find: str = ""
    terms: Sequence[Sequence[str]] = ()
    """What is searched for, as the index has it (content.text_search)."""

    def url(self, anchor: str, after: int) -> str:
        """The address of an entry of another page, which begins behind ``after``."""
        params = self.params.copy()
        params.pop("before", None)
        params["after"] = str(after)
        return f"?{params.urlencode()}#{anchor}"


def options_of(params: QueryDict) -> Options:
    find = " ".join(params.get("find", "").replace("\0", " ").split())[:MAX_FIND]
    return Options(
        params,
        _place(params.get("before")),
        _place(params.get("after")),
        messages_only=params.get("show") == "messages",
        calls_open=params.get("calls") == "open",
        source=params.get("source") == "1",
        find=find,
        terms=text_search.terms(find),
    )


def _place(text: str | None) -> int | None:
    """A position or an offset; none when it is no number."""
    try:
        return None if text is None else max(-1, min(int(text), MAX_PLACE))
    except ValueError:
        return None


class _Matches(Func):
    """Whether words, as PostgreSQL keeps them, match a query."""

    template = "(%(expressions)s::tsquery)"
    arg_joiner = " @@ "
    output_field = BooleanField()


def nearest_failed(
    rows: QuerySet[Any], place: str, first: int, last: int
) -> tuple[int | None, int | None]:
    """Where the nearest failed calls are, before a page and after it.

    place: the field with the position or offset of a row.
    first, last: those of the rows on the page.
    """
    failed = rows.filter(failed_calls__gt=0)
    before = {f"{place}__lt": first, f"{place}__gte": first - MAX_SEARCHED}
    after = {f"{place}__gt": last, f"{place}__lte": last + MAX_SEARCHED}
    return (
        failed.filter(**before).order_by(f"-{place}").values_list(place, flat=True).first(),
        failed.filter(**after).order_by(place).values_list(place, flat=True).first(),
    )


def bound_note(number: int, *, is_searched: bool) -> str:
    """What a search leaves out of a conversation of so many items or events."""
    if not is_searched or number <= MAX_SEARCHED:
        return ""
    limit = number_format(MAX_SEARCHED, force_grouping=True)
    return _("Only the last %(limit)s of this conversation are searched.") % {"limit": limit}


def places_found(
    rows: QuerySet[Any], place: str, last: int, terms: Sequence[Sequence[str]]
) -> list[int]:
    """Where in a conversation all terms are found, in order.

    place: the field with the position or offset of a row.
    last: that of the last row.
    """
    if not terms:
        return []
    rows = rows.filter(**{f"{place}__gt": last - MAX_SEARCHED}, terms__isnull=False)
    vendor = connections[rows.db or router.db_for_read(rows.model)].vendor
    for term in terms:
        if vendor == "postgresql":
            query = text_search.tsquery([list(term)], others=True)
            rows = rows.filter(_Matches(F("terms"), Value(query, output_field=TextField())))
        else:
            words = Concat(Value(" "), Cast("terms", TextField()))
            found = StrIndex(words, Value(f" {' '.join(term)}"))
            rows = rows.alias(found=found).filter(found__gt=0)
    return list(rows.order_by(place).values_list(place, flat=True)[:MAX_FOUND])


class Edges(NamedTuple):
    """What lies beside a page."""

    is_first: bool = True
    is_last: bool = True


class Page(NamedTuple):
    """Rows of a page in order, and the places where it begins and ends."""

    rows: list[Any]
    first: int
    last: int
    edges: Edges


def read_page(
    rows: QuerySet[Any], place: str, options: Options, size: int, columns: Any, messages: Q
) -> Page:
    """The page that ``options`` ask for.

    place: the field with the position or offset of a row, the second of ``columns``.
    messages: the rows that are messages.
    """
    if options.before is not None:
        return _backward(rows, place, options.before, size, columns, _only(options, messages))
    after = -1 if options.after is None else options.after
    # Events without an offset, if there are any, are on the first page.
    read = rows if after < 0 else rows.filter(**{f"{place}__gt": after})
    limit = after + MAX_PASSED
    only = _only(options, messages)
    if only is not None:
        read = read.filter(only, **{f"{place}__lte": limit})
    shown = list(read.order_by(place).values_list(*columns)[: size + 1])
    is_full = len(shown) > size
    shown = shown[:size]
    is_first = after < 0 or not rows.filter(**{f"{place}__lte": after}).exists()
    if is_full or only is None:
        last = shown[-1][1] if shown else after
        return Page(shown, _first(shown, after + 1), last, Edges(is_first, not is_full))
    is_last = not rows.filter(**{f"{place}__gt": limit}).exists()
    return Page(shown, _first(shown, after + 1), limit, Edges(is_first, is_last))


def _backward(
    rows: QuerySet[Any], place: str, before: int, size: int, columns: Any, only: Q | None
) -> Page:
    read = rows.filter(**{f"{place}__lt": before})
    limit = before - MAX_PASSED
    if only is not None:
        read = read.filter(only, **{f"{place}__gte": limit})
    shown = list(read.order_by(f"-{place}").values_list(*columns)[: size + 1])
    is_full = len(shown) > size
    shown = shown[:size][::-1]
    is_last = not rows.filter(**{f"{place}__gte": before}).exists()
    last = shown[-1][1] if shown else before - 1
    if is_full or only is None:
        return Page(shown, _first(shown, before), last, Edges(not is_full, is_last))
    is_first = not rows.filter(**{f"{place}__lt": limit}).exists()
    return Page(shown, limit, before - 1, Edges(is_first, is_last))


def _only(options: Options, messages: Q) -> Q | None:
    return messages if options.messages_only else None


def _first(shown: list[Any], nothing: int) -> int:
    return nothing if not shown or shown[0][1] is None else int(shown[0][1])


def beginning(text: str) -> Any:
    """The value that ``text`` is the beginning of, as far as it goes; a cut text ends in "…".

    Raises ValueError when it is none, RecursionError when it is nested too deeply.
    """
    stack: list[str] = []
    closed: list[str] = []
    before_last, is_open = 0, False
    for match in _TOKEN.finditer(text):
        sign = match[0]
        if sign[0] == '"':
            is_open = not match["end"]
        elif sign in "]}":
            closed += [stack.pop()] if stack else []
        else:
            stack += [_CLOSERS[sign]] if sign != "," else []
            before_last, closed = match.start() if sign == "," else match.end(), []
    ends = "".join(reversed(stack))
    try:
        return json.loads((_without_half_escape(text) + '…"' if is_open else text) + ends)
    except ValueError:
        return json.loads(text[:before_last] + "".join(closed) + ends)


def _without_half_escape(text: str) -> str:
    half = _HALF_ESCAPE.search(text[-20:])
    return text[: len(text) - len(half["half"])] if half else text


def last_fields(end: str) -> dict[str, Any]:
    """The fields that an object ends with, as long as they are plain; ``end`` is its end."""
    match = _LAST_FIELDS.search(end)
    fields: dict[str, Any] = json.loads("{" + match[0].lstrip(",")) if match else {}
    return fields


def ends_in_base64(text: str) -> bool:
    return bool(_BASE64.search(text))


def left_out(number: int) -> str:
    """What stands at the end of a text of which ``number`` characters were not read."""
    return f"…+{number}"


def length_of(text: str) -> int | None:
    """How long ``text`` was, with what was left out of it; None when it was cut."""
    match = _LEFT_OUT.search(text)
    if match:
        return match.start() + int(match["number"])
    return None if text.endswith("…") else len(text)
