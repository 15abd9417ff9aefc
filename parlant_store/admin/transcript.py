"""A session's items in order, a page at a time."""

import json
from datetime import datetime
from typing import NamedTuple

from django.db.models import Case, Q, QuerySet, When
from django.db.models.functions import Left
from django.http import QueryDict

from parlant_store import codec
from parlant_store.admin.text import NAME, cut, pretty_text
from parlant_store.models import Session, SessionItem

PAGE = 100
"""How many items the page of a session shows."""

SHOWN = 2_000
"""How many characters of an item it shows."""

READ = 10 * SHOWN
"""How many characters of an item's JSON it reads to find them."""


class Entry(NamedTuple):
    """An item on the page of its session."""

    key: int
    position: int
    created_at: datetime
    role: str | None
    name: str | None
    """The function that a call calls."""
    text: str
    is_code: bool
    is_cut: bool


class Transcript(NamedTuple):
    """A page of a session's items, and the positions that the pages beside it begin from."""

    entries: list[Entry]
    before: int | None
    after: int | None


_ENTRY = (
    "key",
    "position",
    "created_at",
    Left("role", NAME + 1),
    Left("text", SHOWN + 1),
    Case(When(Q(text=None) | Q(text=""), then=Left("data", READ + 1))),
)


def transcript_of(session: Session, params: QueryDict) -> Transcript:
    before, after = _position(params.get("before")), _position(params.get("after"))
    items = SessionItem.objects.filter(session=session)
    if before is None:
        after = -1 if after is None else after
        entries, more = _entries(items.filter(position__gt=after).order_by("position"))
        earlier, later = after >= 0 and items.filter(position__lte=after).exists(), more
    else:
        entries, more = _entries(items.filter(position__lt=before).order_by("-position"))
        entries.reverse()
        earlier, later = more, items.filter(position__gte=before).exists()
        after = before - 1
    first = entries[0].position if entries else after + 1
    last = entries[-1].position if entries else after
    return Transcript(entries, first if earlier else None, last if later else None)


def _entries(items: QuerySet[SessionItem]) -> tuple[list[Entry], bool]:
    rows = list(items.values_list(*_ENTRY)[: PAGE + 1])
    return [_entry(*row) for row in rows[:PAGE]], len(rows) > PAGE


def _entry(
    key: int, position: int, created_at: datetime, role: str | None, text: str, data: str | None
) -> Entry:
    name = None
    if data is not None:
        name, text = _read(data)
    return Entry(
        key=key,
        position=position,
        created_at=created_at,
        role=cut(role),
        name=cut(name),
        text=codec.printable(text[:SHOWN]),
        is_code=data is not None,
        is_cut=len(text) > SHOWN,
    )


def _read(data: str) -> tuple[str | None, str]:
    """The name and the text of an item that is no message, as far as ``data`` goes."""
    try:
        item = json.loads(data)
    except (ValueError, RecursionError):
        return None, data
    match item:
        case {"type": "function_call", "name": str(name), "arguments": str(arguments)}:
            return name, pretty_text(arguments)
        case {"type": "function_call_output", "output": str(output)}:
            return None, output
    return None, pretty_text(data)


def _position(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
