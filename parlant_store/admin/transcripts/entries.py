"""What ``transcript.html`` shows: a page of entries, whatever they were stored as.

A view puts a Transcript into its context as ``transcript`` and includes the template, which
escapes every text. Nothing here knows a model.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from django.utils.functional import Promise

from parlant_store.content import codec

OPEN = 1_200
"""How many characters of a text stand open; the rest of a longer one is folded."""

FOLDED = 10_000
"""How many characters of a text the page holds, folded ones included."""

Text = str | Promise
"""A text of this package's own, which is translated when it is shown."""


class Part(NamedTuple):
    """A piece of what an entry says; ``text_part`` and ``code_part`` make and bound one."""

    text: Text
    kind: Literal["text", "code", "image", "reasoning", "note"] = "text"
    """Prose, what is indented, what stands for an image, what is folded, or the page's word."""

    rest: str = ""
    """What follows ``text``, folded."""

    is_cut: bool = False
    """Whether there is more than the page holds; the template then links to the raw entry."""


class Call(NamedTuple):
    """A call of a tool, with what it gave."""

    name: str | None
    parts: tuple[Part, ...] = ()
    """The arguments."""

    outputs: "tuple[Entry, ...]" = ()
    id: str | None = None
    """What outputs name it by, "" when that is unknown; None when it waits for none."""

    note: Text = ""
    """What stands in the place of an output: "No output."."""


class Entry(NamedTuple):
    """One thing that was said or done."""

    heading: Text
    """Who or what: user, assistant, tool call."""

    kind: Literal["user", "assistant", "system", "tool", "reasoning", "other"] = "other"
    """How it looks."""

    name: str | None = None
    """The function, beside the heading."""

    parts: tuple[Part, ...] = ()
    calls: tuple[Call, ...] = ()
    at: datetime | None = None
    anchor: str = ""
    """The id of its element: "item-5"; none for an output that is no entry of its own."""

    label: Text = ""
    """The text of the link to the raw entry: "item 5"."""

    url: str = ""
    """Where the raw entry is; no link without it."""

    tokens: int | None = None
    is_cut: bool = False
    """Whether something of the entry is not on the page at all."""


class Transcript(NamedTuple):
    """A page of entries, and what leads to the pages beside it."""

    entries: Sequence[Entry]
    before: int | None = None
    """The parameter ``before`` of the page before this one; None on the first."""

    after: int | None = None
    """The parameter ``after`` of the page after this one; None on the last."""

    latest: int | None = None
    """The parameter ``before`` of the last page."""

    heading: Text = ""
    """Of the section: "Items"."""


def text_part(text: str) -> Part:
    """``text`` as prose, folded where it is long."""
    return _part(text, "text")


def code_part(text: str) -> Part:
    """``text`` as it is written, in columns: JSON, arguments."""
    return _part(text, "code")


def _part(text: str, kind: Literal["text", "code"]) -> Part:
    shown = codec.printable(text[:FOLDED])
    end = _end(shown)
    return Part(shown[:end], kind, rest=shown[end:], is_cut=len(text) > FOLDED)


def _end(text: str) -> int:
    """Where to fold ``text``: behind OPEN characters, or at a space a little before."""
    if len(text) <= OPEN * 5 // 4:
        return len(text)
    return max(text.rfind(" ", 0, OPEN), text.rfind("\n", 0, OPEN), OPEN * 3 // 4)
