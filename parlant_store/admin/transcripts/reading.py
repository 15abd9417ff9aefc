"""A page of a session's items, read from the database as far as it is shown."""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import F, QuerySet, Value
from django.db.models.functions import Left, Length, Right, StrIndex, Substr
from django.http import QueryDict
from django.utils.formats import localize
from django.utils.translation import gettext as _

from parlant_store.admin.formatting import NAME, cut
from parlant_store.admin.transcripts import cut_json
from parlant_store.admin.transcripts.dialects import Said, said
from parlant_store.admin.transcripts.entries import Entry, Transcript, code_part
from parlant_store.admin.transcripts.pairs import paired
from parlant_store.models import Session, SessionItem

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


_ROW = ("key", "position", "created_at", "tokens", Left("role", NAME + 1), Left("data", READ + 1))
_GAP = StrIndex(Substr("data", READ + 1), Value('"'))
_REST = (Length("data"), _GAP, Substr("data", F("gap") + (READ - 1), READ), Right("data", END))


def transcript_of(session: Session, params: QueryDict, url_of: Callable[[int], str]) -> Transcript:
    """The page that ``params`` ask for; ``url_of`` says where the item of a key is."""
    before, after = _position(params.get("before")), _position(params.get("after"))
    items = SessionItem.objects.filter(session=session)
    if before is None:
        after = -1 if after is None else after
        rows, more = _rows(items.filter(position__gt=after).order_by("position"))
        earlier, later = after >= 0 and items.filter(position__lte=after).exists(), more
    else:
        rows, more = _rows(items.filter(position__lt=before).order_by("-position"))
        rows.reverse()
        earlier, later = more, items.filter(position__gte=before).exists()
        after = before - 1
    first = rows[0].position if rows else after + 1
    last = rows[-1].position if rows else after
    return Transcript(
        paired(
            _said(rows, url_of),
            _("No output on this page.") if later else _("No output."),
            _("Its call is not on this page.") if earlier else _("Its call is missing."),
        ),
        before=first if earlier else None,
        after=last if later else None,
        latest=session.next_position,
        heading=_("Items"),
    )


def _rows(items: QuerySet[SessionItem]) -> tuple[list[Row], bool]:
    rows = [Row._make(row) for row in items.values_list(*_ROW)[: PAGE + 1]]
    return rows[:PAGE], len(rows) > PAGE


def _said(rows: list[Row], url_of: Callable[[int], str]) -> Iterable[Said]:
    rests = _rests([row.key for row in rows if len(row.data) > READ])
    for row in rows:
        rest = rests.get(row.key)
        try:
            item, is_whole = _item(row.data, rest)
            entry, answers = said(item, cut(row.role))
        except (ValueError, RecursionError):
            (entry, answers), is_whole = _damaged(row), rest is None
        yield Said(_placed(entry, row, url_of, is_whole), answers)


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
    if not (rest.gap and cut_json.ends_in_base64(head + rest.tail[:1])):
        item = cut_json.beginning(head)
        last = cut_json.last_fields(rest.end)
        return ({**last, **item} if isinstance(item, dict) else item), False
    shortened = head + cut_json.left_out(rest.gap - 1) + rest.tail[1:]
    is_whole = READ + rest.gap - 2 + len(rest.tail) == rest.length
    return (json.loads if is_whole else cut_json.beginning)(shortened), is_whole


def _damaged(row: Row) -> Said:
    return Said(Entry(cut(row.role) or _("No role"), parts=(code_part(row.data[:READ]),)))


def _placed(entry: Entry, row: Row, url_of: Callable[[int], str], is_whole: bool) -> Entry:
    is_said = any(part.is_cut for part in entry.parts) or any(
        part.is_cut for call in entry.calls for part in call.parts
    )
    return entry._replace(
        at=row.created_at,
        anchor=f"item-{row.position}",
        label=_("item %(position)s") % {"position": localize(row.position)},
        url=url_of(row.key),
        tokens=row.tokens,
        is_cut=not is_whole and not is_said,
    )


def _position(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
