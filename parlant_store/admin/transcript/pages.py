"""A page of a conversation: its items or events, read as far as they are shown."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import BigIntegerField, F, Q, QuerySet, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Left, Length, Right, StrIndex, Substr
from django.http import QueryDict
from django.utils.formats import localize
from django.utils.translation import gettext as _

from parlant_store.admin.formatting import NAME, cut
from parlant_store.admin.transcript.entries import Entry, Jump, Reading, Transcript, code_part
from parlant_store.admin.transcript.formats.items import read, summary_entry
from parlant_store.admin.transcript.formats.parlant import (
    MESSAGE,
    READ,
    Event,
    session_entry,
    traced,
)
from parlant_store.admin.transcript.presentation import pair, present
from parlant_store.admin.transcript.reading import (
    CONTEXT,
    Edges,
    Options,
    beginning,
    bound_note,
    ends_in_base64,
    last_fields,
    left_out,
    nearest_failed,
    options_of,
    places_found,
    read_page,
)
from parlant_store.content.related_documents import sessions_prefix
from parlant_store.models import Document, Session, SessionItem
from parlant_store.sql.index_expressions import IndexedField
from parlant_store.types import TimedItem

PAGE = 100
"""How many items or events a page shows."""

END = 1_000
"""How many characters of a longer item's end it reads, where a call's id and name may be."""

EVENT_NAME = 200
"""How many characters of a name are read of an event."""

METADATA = 2_000
"""How many characters of an event's metadata are read."""

_MESSAGES = Q(role__in=["user", "assistant", "system", "developer"])
_GAP = StrIndex(Substr("data", READ + 1), Value('"'))
_REST = (Length("data"), _GAP, Substr("data", F("gap") + (READ - 1), READ), Right("data", END))


class _Source(NamedTuple):
    """The items or events of a conversation in the database."""

    rows: QuerySet[Any]
    place: str
    """The field with the position or offset, the second of ``columns``."""

    columns: tuple[Any, ...]
    messages: Q
    """The rows that are messages."""

    read: Callable[[list[Any]], Iterable[Reading]]
    anchor: str
    label: Callable[[int], str]
    heading: str
    last: int
    """No row has a greater place."""

    end: int
    """The place before which the last page ends."""

    has_failed: bool


def session_transcript(
    session: Session, params: QueryDict, url_of: Callable[[int], str]
) -> Transcript:
    """The page that ``params`` ask for; ``url_of`` gives the page of the item of a key."""
    source = _Source(
        SessionItem.objects.filter(session=session),
        "position",
        _ROW,
        _MESSAGES,
        lambda rows: _item_readings([Row._make(row) for row in rows], url_of),
        "item",
        item_label,
        _("Items"),
        session.next_position,
        session.next_position,
        bool(session.failed_calls),
    )
    return _transcript(source, options_of(params), _summary(session.state))


def events_transcript(
    session: Document, params: QueryDict, url_of: Callable[[int], str]
) -> Transcript | None:
    """A page of the session's events; None when it has none, or is no Parlant session.

    url_of: gives the page of the event of this key.
    """
    prefix = sessions_prefix(session.collection)
    if session.document_id is None or prefix is None:
        return None
    options = options_of(params)
    events = Document.objects.filter(collection=f"{prefix}events", session_id=session.document_id)
    events = events.annotate(at_offset=_Offset("data", "offset"))
    last = events.order_by("-at_offset").values_list("at_offset").first()
    about = session_entry(session.data if isinstance(session.data, dict) else {})
    if last is None:
        return present(Transcript([about]), options) if about else None
    source = _Source(
        events,
        "at_offset",
        _EVENT,
        Q(data__kind="message"),
        lambda rows: _event_readings([Event(*row) for row in rows], url_of),
        "event",
        _event_label,
        _("Events"),
        last[0] or 0,
        max(last[0] or 0, 0) + 1,
        bool(session.failed_calls),
    )
    return _transcript(source, options, [about] if about else [])


def items_transcript(
    items: Sequence[TimedItem], params: QueryDict, *, first: int = 1, is_whole: bool = True
) -> Transcript:
    """The latest items that a store gave, numbered from ``first`` on.

    is_whole: whether there are none before them.
    """
    readings = (
        placed(
            read(item),
            {"at": written_at, "anchor": f"item-{number}", "label": item_label(number)},
        )
        for number, (item, written_at) in enumerate(items, first)
    )
    entries, options = pair(readings, Edges(is_first=is_whole)), options_of(params)
    is_partial = options.terms and not is_whole
    note = _("Only the items on this page are searched.") if is_partial else ""
    return present(Transcript(entries, heading=_("Items"), note=note), options)


def _transcript(source: _Source, options: Options, about: Sequence[Entry]) -> Transcript:
    """A page of the source; ``about`` stands before its first entry."""

    def jump(place: int, text: str = "%(entry)s") -> Jump:
        after = max(-1, place - 1 - min(CONTEXT, PAGE // 2))
        url = options.url(f"{source.anchor}-{place}", after)
        return Jump(text % {"entry": source.label(place)}, url)

    rows, place = source.rows, source.place
    page = read_page(rows, place, options, PAGE, source.columns, source.messages)
    edges = page.edges
    entries = pair(source.read(page.rows), edges)
    failed: tuple[int | None, int | None] = (None, None)
    if source.has_failed and edges != Edges():
        failed = nearest_failed(rows, place, page.first, page.last)
    texts = (_("Failed before this page: %(entry)s"), _("Failed after this page: %(entry)s"))
    found = places_found(rows, place, source.last, options.terms)
    transcript = Transcript(
        [*(about if edges.is_first else []), *entries],
        before=None if edges.is_first else page.first,
        after=None if edges.is_last else page.last,
        latest=source.end,
        heading=source.heading,
        note=bound_note(source.last, is_searched=bool(options.terms)),
        on_other_pages=[
            jump(at, text) for at, text in zip(failed, texts, strict=True) if at is not None
        ],
    )
    return present(
        transcript,
        options,
        [jump(at) for at in found if not edges.is_first and at < page.first],
        [jump(at) for at in found if not edges.is_last and at > page.last],
    )


def placed(reading: Reading, fields: dict[str, Any], *, is_whole: bool = True) -> Reading:
    """``reading`` with what is known of its row; only one of its elements has the anchor."""
    entry, answers = reading
    if entry is not None:
        entry = entry._replace(**fields, is_cut=not is_whole and not _has_cut_part(entry))
        fields = fields | {"anchor": "", "tokens": None}
    placed = []
    for answer in answers:
        is_cut = not is_whole and entry is None and not _has_cut_part(answer.entry)
        placed.append(answer._replace(entry=answer.entry._replace(**fields, is_cut=is_cut)))
        fields = fields | {"anchor": "", "tokens": None}
    return Reading(entry, tuple(placed))


def _has_cut_part(entry: Entry) -> bool:
    """Whether a part says that it is cut."""
    parts = [*entry.parts, *(part for call in entry.calls for part in call.parts)]
    return any(part.is_cut for part in parts)


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


_ROW = (*Row._fields[:5], Left("role", NAME + 1), Left("data", READ + 1))


def item_label(position: int) -> str:
    return _("item %(position)s") % {"position": localize(position)}


def _summary(state: object) -> list[Entry]:
    """What selectools keeps of messages that are no longer there."""
    summary = state.get("summary") if isinstance(state, dict) else None
    return [summary_entry(summary)] if isinstance(summary, str) and summary else []


def _item_readings(rows: list[Row], url_of: Callable[[int], str]) -> Iterator[Reading]:
    rests = _rests([row.key for row in rows if len(row.data) > READ])
    for row in rows:
        rest = rests.get(row.key)
        try:
            item, is_whole = _item(row.data, rest)
            reading = read(item, cut(row.role))
        except (ValueError, RecursionError):
            damaged = Entry(cut(row.role) or _("No role"), parts=(code_part(row.data[:READ]),))
            reading, is_whole = Reading(damaged), rest is None
        fields = {
            "at": row.created_at,
            "anchor": f"item-{row.position}",
            "label": item_label(row.position),
            "url": url_of(row.key),
            "tokens": row.tokens,
        }
        if row.failed_calls and not is_whole and reading.answers:
            # What says so is behind what was read.
            *others, last = reading.answers
            last = last._replace(entry=last.entry._replace(status=last.entry.status or "failed"))
            reading = reading._replace(answers=(*others, last))
        yield placed(reading, fields, is_whole=is_whole)


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
    if not (rest.gap and ends_in_base64(head + rest.tail[:1])):
        item = beginning(head)
        last = last_fields(rest.end)
        return ({**last, **item} if isinstance(item, dict) else item), False
    shortened = head + left_out(rest.gap - 1) + rest.tail[1:]
    is_whole = READ + rest.gap - 2 + len(rest.tail) == rest.length
    return (json.loads if is_whole else beginning)(shortened), is_whole


class _Offset(IndexedField):
    output_field = BigIntegerField()  # type: ignore[assignment]


def _text(path: str, length: int = EVENT_NAME) -> Left:
    return Left(KT(path), length + 1)


_EVENT: tuple[Any, ...] = (
    "key",
    "at_offset",
    "creation_utc",
    _text("data__source"),
    _text("data__kind"),
    Coalesce(_text("data__trace_id"), _text("data__correlation_id")),
    _text("data__deleted"),
    _text("data__data__message", MESSAGE),
    _text("data__data__participant__display_name"),
    _text("data__data__tool_calls__0__tool_id"),
    _text("data__metadata", METADATA),
    _text("data__data", READ),
)
"""The columns of an Event."""


def _event_label(offset: int) -> str:
    return _("event %(offset)s") % {"offset": offset}


def _event_readings(events: list[Event], url_of: Callable[[int], str]) -> Iterator[Reading]:
    for event, entry in zip(events, traced(events), strict=True):
        fields: dict[str, Any] = {"anchor": f"event-of-{event.key}", "label": _("event")}
        if event.offset is not None and event.offset >= 0:
            fields = {"anchor": f"event-{event.offset}", "label": _event_label(event.offset)}
        yield Reading(entry._replace(**fields, url=url_of(event.key)))
