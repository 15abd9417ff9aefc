"""The events of a Parlant session, read a page at a time in the order of their offsets."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from django.db.models import BigIntegerField, Q, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Left
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.documents.links import EVENTS
from parlant_store.admin.transcript.entries import Entry, Jump, Reading, Transcript
from parlant_store.admin.transcript.formats.parlant_events import (
    MESSAGE,
    READ,
    Event,
    session_entry,
    traced,
)
from parlant_store.admin.transcript.options import Options, options_of
from parlant_store.admin.transcript.pairing import pair
from parlant_store.admin.transcript.presentation import present
from parlant_store.admin.transcript.reading.find import (
    CONTEXT,
    bound_note,
    nearest_failed,
    places_found,
)
from parlant_store.admin.transcript.reading.paging import read_page
from parlant_store.content.related_documents import sessions_prefix
from parlant_store.models import Document
from parlant_store.sql.index_expressions import IndexedField

PAGE = 100

NAME = 200
"""How many characters of a name are read."""

METADATA = 2_000
"""How many characters of an event's metadata are read."""


_MAX = 2**53


class _Offset(IndexedField):
    output_field = BigIntegerField()  # type: ignore[assignment]


def _text(path: str, length: int = NAME) -> Left:
    return Left(KT(path), length + 1)


_COLUMNS: tuple[Any, ...] = (
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
"""Those of an Event."""


def events_transcript(
    session: Document, params: QueryDict, url_of: Callable[[int], str]
) -> Transcript | None:
    """A page of the session's events; None when it has none, or is no Parlant session.

    url_of: gives the page of the event of this key.
    """
    name = events_collection(session)
    if name is None:
        return None
    options = options_of(params)
    events = Document.objects.filter(collection=name, session_id=session.document_id)
    events = events.annotate(at_offset=_Offset("data", "offset"))
    last = events.order_by("-at_offset").values_list("at_offset").first()
    data = session.data if isinstance(session.data, dict) else {}
    about = session_entry(data)
    if last is None:
        return present(Transcript([about]), options) if about else None
    transcript = _page(events, max(last[0] or 0, 0), options, url_of)
    if about and transcript.before is None:
        transcript = transcript._replace(entries=[about, *transcript.entries])
    first, end = transcript.before, transcript.after
    url = partial(_url, options)
    if session.failed_calls and (first is not None or end is not None):
        failed = nearest_failed(
            events, "at_offset", 0 if first is None else first, _MAX if end is None else end
        )
        transcript = transcript._replace(on_other_pages=failed.jumps(_label, url))
    found = places_found(events, "at_offset", last[0] or 0, options.terms)
    note = bound_note(last[0] or 0, is_searched=bool(options.terms))
    transcript = transcript._replace(note=note)
    return present(
        transcript,
        options,
        [Jump(_label(at), url(at)) for at in found if first is not None and at < first],
        [Jump(_label(at), url(at)) for at in found if end is not None and at > end],
    )


def _url(options: Options, offset: int) -> str:
    """The address of an event on another page."""
    return options.url(f"event-{offset}", max(-1, offset - 1 - min(CONTEXT, PAGE // 2)))


def _label(offset: int) -> str:
    return gettext("event %(offset)s") % {"offset": offset}


def events_collection(session: Document) -> str | None:
    """Where the events of ``session`` are, if it is a Parlant session."""
    prefix = sessions_prefix(session.collection)
    return None if session.document_id is None or prefix is None else prefix + EVENTS


def _page(
    events: QuerySet[Any], last: int, options: Options, url_of: Callable[[int], str]
) -> Transcript:
    page = read_page(events, "at_offset", options, PAGE, _COLUMNS, Q(data__kind="message"))
    return Transcript(
        pair(_readings([Event(*row) for row in page.rows], url_of), page.edges),
        before=None if page.edges.is_first else page.first,
        after=None if page.edges.is_last else page.last,
        latest=last + 1,
        heading=_("Events"),
    )


def _readings(events: list[Event], url_of: Callable[[int], str]) -> Iterator[Reading]:
    for event, reading in zip(events, traced(events), strict=True):
        assert reading.entry is not None
        yield Reading(_placed(reading.entry, event, url_of(event.key)))


def _placed(entry: Entry, event: Event, url: str) -> Entry:
    if event.offset is None or event.offset < 0:
        return entry._replace(anchor=f"event-of-{event.key}", label=gettext("event"), url=url)
    return entry._replace(anchor=f"event-{event.offset}", label=_label(event.offset), url=url)
