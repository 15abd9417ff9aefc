"""The events of a Parlant session, read a page at a time in the order of their offsets."""

from collections.abc import Callable
from typing import Any

from django.db.models import BigIntegerField, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce, Left
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.documents.event_entries import MESSAGE, READ, Event, entries_of
from parlant_store.admin.documents.links import EVENTS
from parlant_store.admin.transcripts.entries import Transcript
from parlant_store.content.related_documents import sessions_prefix
from parlant_store.models import Document
from parlant_store.sql.index_expressions import IndexedField

PAGE = 100

NAME = 200
"""How many characters of a name are read."""

_LAST = 2**53


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
    _text("data__data", READ),
)
"""Those of an Event."""


def transcript_of(
    session: Document, params: QueryDict, url_of: Callable[[int], str]
) -> Transcript | None:
    """A page of the session's events; None when it has none, or is no Parlant session.

    url_of: gives the page of the event of this key.
    """
    name = events_collection(session)
    if name is None:
        return None
    events = Document.objects.filter(collection=name, session_id=session.document_id)
    events = events.annotate(at_offset=_Offset("data", "offset"))
    last = events.order_by("-at_offset").values_list("at_offset").first()
    if last is None:
        return None
    after = _place(params.get("after"))
    last_offset = max(last[0] or 0, 0)
    before, after = _place(params.get("before")), -1 if after is None else after
    return _page(events, last_offset, before, after, url_of)


def events_collection(session: Document) -> str | None:
    """Where the events of ``session`` are, if it is a Parlant session."""
    prefix = sessions_prefix(session.collection)
    return None if session.document_id is None or prefix is None else prefix + EVENTS


def _page(
    events: QuerySet[Any],
    last: int,
    before: int | None,
    after: int,
    url_of: Callable[[int], str],
) -> Transcript:
    if before is None:
        # Those without an offset, if there are any, are on the first page.
        rest = events if after < 0 else events.filter(at_offset__gt=after)
        shown, later = _read(rest.order_by("at_offset"))
        earlier = after >= 0
    else:
        shown, earlier = _read(events.filter(at_offset__lt=before).order_by("-at_offset"))
        shown.reverse()
        later = before <= last
        after = before - 1
    start = shown[0].offset if shown else after + 1
    end = shown[-1].offset if shown else after
    return Transcript(
        entries_of(shown, url_of),
        before=start if earlier else None,
        after=end if later else None,
        latest=last + 1,
        heading=_("Events"),
    )


def _read(events: QuerySet[Any]) -> tuple[list[Event], bool]:
    rows = list(events.values_list(*_COLUMNS)[: PAGE + 1])
    return [Event(*row) for row in rows[:PAGE]], len(rows) > PAGE


def _place(text: str | None) -> int | None:
    """An offset that a page is asked for; none when it is no number."""
    try:
        return None if text is None else max(-1, min(int(text), _LAST))
    except ValueError:
        return None
