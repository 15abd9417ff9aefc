"""A page of a session's items: read from the database as far as it is shown, or from a store."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.db.models import F, Q, Value
from django.db.models.functions import Left, Length, Right, StrIndex, Substr
from django.http import QueryDict
from django.utils.formats import localize
from django.utils.translation import gettext as _

from parlant_store.admin.formatting import NAME, cut
from parlant_store.admin.transcript.entries import (
    Entry,
    Jump,
    Reading,
    Transcript,
    code_part,
)
from parlant_store.admin.transcript.formats.items import read, summary_entry
from parlant_store.admin.transcript.options import Options, options_of
from parlant_store.admin.transcript.pairing import Edges, pair
from parlant_store.admin.transcript.presentation import present
from parlant_store.admin.transcript.reading import partial_json
from parlant_store.admin.transcript.reading.find import (
    CONTEXT,
    Failed,
    bound_note,
    nearest_failed,
    places_found,
)
from parlant_store.admin.transcript.reading.paging import read_page
from parlant_store.models import Session, SessionItem
from parlant_store.types import TimedItem

PAGE = 100
"""How many items the page of a session shows."""

READ = 20_000
"""How many characters of an item's JSON it reads at once."""

END = 1_000
"""How many characters of a longer item's end it reads, where a call's id and name may be."""


class Row(NamedTuple):
    """An item, as far as it is read."""

    key: int
    position: int
    created_at: datetime
    tokens: int | None
    failed_calls: int | None
    role: str | None
    data: str


class Rest(NamedTuple):
    """What else is read of a long item."""

    length: int
    gap: int
    """How far behind what was read the next quote is, from 1; 0 when there is none."""

    tail: str
    """What follows, from the character before that quote on."""

    end: str


_ROW = (
    "key",
    "position",
    "created_at",
    "tokens",
    "failed_calls",
    Left("role", NAME + 1),
    Left("data", READ + 1),
)
_MESSAGES = Q(role__in=["user", "assistant", "system", "developer"])
_GAP = StrIndex(Substr("data", READ + 1), Value('"'))
_REST = (Length("data"), _GAP, Substr("data", F("gap") + (READ - 1), READ), Right("data", END))


def session_transcript(
    session: Session, params: QueryDict, url_of: Callable[[int], str]
) -> Transcript:
    """The page that ``params`` ask for; ``url_of`` gives the page of the item of a key."""
    options = options_of(params)
    items = SessionItem.objects.filter(session=session)
    rows, first, last, edges = read_page(items, "position", options, PAGE, _ROW, _MESSAGES)
    entries = pair(_readings([Row._make(row) for row in rows], url_of), edges)
    found = places_found(items, "position", session.next_position, options.terms)
    url = partial(_url, options)
    failed = Failed()
    if session.failed_calls and edges != Edges():
        failed = nearest_failed(items, "position", first, last)
    transcript = Transcript(
        [*(_summary(session.state) if edges.is_first else []), *entries],
        before=None if edges.is_first else first,
        after=None if edges.is_last else last,
        latest=session.next_position,
        heading=_("Items"),
        note=bound_note(session.next_position, is_searched=bool(options.terms)),
        on_other_pages=failed.jumps(_label, url),
    )
    return present(
        transcript,
        options,
        [Jump(_label(position), url(position)) for position in found if position < first],
        [Jump(_label(position), url(position)) for position in found if position > last],
    )


def _url(options: Options, position: int) -> str:
    """The address of an item on another page."""
    return options.url(f"item-{position}", max(-1, position - 1 - min(CONTEXT, PAGE // 2)))


def _label(position: int) -> str:
    return _("item %(position)s") % {"position": localize(position)}


def items_transcript(
    items: Sequence[TimedItem], params: QueryDict, *, first: int = 1, is_whole: bool = True
) -> Transcript:
    """The latest items that a store gave, numbered from ``first`` on.

    is_whole: whether there are none before them.
    """
    readings = (_numbered(*timed, number) for number, timed in enumerate(items, first))
    entries, options = pair(readings, Edges(is_first=is_whole)), options_of(params)
    is_partial = options.terms and not is_whole
    note = _("Only the items on this page are searched.") if is_partial else ""
    return present(Transcript(entries, heading=_("Items"), note=note), options)


def _numbered(item: object, written_at: datetime | None, number: int) -> Reading:
    fields = {"at": written_at, "anchor": f"item-{number}", "label": _label(number)}
    return _placed(read(item), fields)


def _summary(state: object) -> list[Entry]:
    """What selectools keeps of messages that are no longer there."""
    summary = state.get("summary") if isinstance(state, dict) else None
    return [summary_entry(summary)] if isinstance(summary, str) and summary else []


def _readings(rows: list[Row], url_of: Callable[[int], str]) -> Iterable[Reading]:
    rests = _rests([row.key for row in rows if len(row.data) > READ])
    for row in rows:
        rest = rests.get(row.key)
        try:
            item, is_whole = _item(row.data, rest)
            reading = read(item, cut(row.role))
        except (ValueError, RecursionError):
            reading, is_whole = _damaged(row), rest is None
        fields = {
            "at": row.created_at,
            "anchor": f"item-{row.position}",
            "label": _label(row.position),
            "url": url_of(row.key),
            "tokens": row.tokens,
        }
        if row.failed_calls and not is_whole:
            reading = _failed(reading)
        yield _placed(reading, fields, is_whole=is_whole)


def _failed(reading: Reading) -> Reading:
    """``reading`` of an item whose failed call is said behind what is read of it."""
    if not reading.answers:
        return reading
    last = reading.answers[-1]
    last = last._replace(entry=last.entry._replace(status=last.entry.status or "failed"))
    return reading._replace(answers=(*reading.answers[:-1], last))


def _placed(reading: Reading, fields: dict[str, Any], *, is_whole: bool = True) -> Reading:
    """``reading`` with what is known of its row; only one of its elements has the anchor."""
    entry, answers = reading
    if entry is not None:
        entry = entry._replace(**fields, is_cut=not is_whole and not _is_said(entry))
        fields = fields | {"anchor": "", "tokens": None}
    placed = []
    for answer in answers:
        is_cut = not is_whole and not _is_said(answer.entry)
        output = answer.entry._replace(**fields, is_cut=is_cut and entry is None)
        placed.append(answer._replace(entry=output))
        fields = fields | {"anchor": "", "tokens": None}
    return Reading(entry, tuple(placed))


def _is_said(entry: Entry) -> bool:
    """Whether a part says that it is cut."""
    parts = [*entry.parts, *(part for call in entry.calls for part in call.parts)]
    return any(part.is_cut for part in parts)


def _rests(keys: list[int]) -> dict[int, Rest]:
    if not keys:
        return {}
    items = SessionItem.objects.filter(key__in=keys).annotate(gap=_GAP)
    return {key: Rest._make(rest) for key, *rest in items.values_list("key", *_REST)}


def _item(data: str, rest: Rest | None) -> tuple[Any, bool]:
    """The item as far as it was read, and whether that is all of it; ValueError when it is none."""
    if rest is None:
        return json.loads(data), True
    head = data[:READ]
    if not (rest.gap and partial_json.ends_in_base64(head + rest.tail[:1])):
        item = partial_json.beginning(head)
        last = partial_json.last_fields(rest.end)
        return ({**last, **item} if isinstance(item, dict) else item), False
    shortened = head + partial_json.left_out(rest.gap - 1) + rest.tail[1:]
    is_whole = READ + rest.gap - 2 + len(rest.tail) == rest.length
    return (json.loads if is_whole else partial_json.beginning)(shortened), is_whole


def _damaged(row: Row) -> Reading:
    return Reading(Entry(cut(row.role) or _("No role"), parts=(code_part(row.data[:READ]),)))
