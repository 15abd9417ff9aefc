"""What ``transcript.html`` shows: entries, their parts, calls of tools, and a page of them.

A view puts a Transcript into its context as ``transcript`` and includes the template. Formats
make entries; ``presentation`` turns their texts into HTML. Nothing here knows a model.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.safestring import SafeString

from parlant_store.admin.transcript.reading import Options
from parlant_store.content import codec

OPEN = 1_200
"""How many characters of a text stand open; the rest of a longer one is folded."""

FOLDED = 10_000
"""Limit on the characters of a text on the page, folded ones included."""

Text = str | Promise
"""A text of this package's own, which is translated when it is shown."""

Status = Literal[
    "failed", "refused", "rejected", "waiting", "unanswered", "incomplete", "flagged", ""
]
"""What a reader should notice about an entry or a call; "" for nothing."""

Kind = Literal["user", "assistant", "system", "tool", "reasoning", "event", "other"]
"""How an entry looks: an event is one line between the messages."""


class Part(NamedTuple):
    """A piece of what an entry says; ``text_part`` and its like make and bound one."""

    text: Text
    kind: Literal["text", "markdown", "code", "attachment", "note"] = "text"
    """Prose as it is written, Markdown, columns, what stands for a file, or the page's word."""

    label: Text = ""
    """What the part is, in front of it: "Query"."""

    rest: str = ""
    """What follows ``text``, folded."""

    is_cut: bool = False
    """Whether there is more than the page holds; the template then links to the raw entry."""

    is_folded: bool = False
    """Whether the whole part is folded below its label."""

    is_open: bool = False
    """Whether what is folded of it stands unfolded."""

    preview: str = ""
    """The beginning of a folded part, beside its label."""

    html: SafeString | str = ""
    """``text`` as it is shown."""

    rest_html: SafeString | str = ""


class Call(NamedTuple):
    """A call of a tool, with what it gave."""

    name: str | None
    """The tool; None where the entry names it."""

    parts: tuple[Part, ...] = ()
    """The arguments."""

    outputs: "tuple[Entry, ...]" = ()
    ids: tuple[str, ...] | None = None
    """What outputs name it by, empty when that is unknown; None when it waits for none."""

    note: Text = ""
    """What stands in the place of an output: "No output."."""

    status: Status = ""
    is_approval: bool = False
    """Whether it asks a person to approve a call, and the output is the answer."""

    is_open: bool = False
    preview: str = ""
    """The beginning of the arguments, beside the name of a call that is folded."""


class Entry(NamedTuple):
    """One thing that was said or done."""

    heading: Text
    """Who or what: user, assistant, tool call."""

    kind: Kind = "other"
    name: str | None = None
    """The function or the speaker, beside the heading."""

    parts: tuple[Part, ...] = ()
    calls: tuple[Call, ...] = ()
    status: Status = ""
    labels: tuple[Text, ...] = ()
    """Words beside the heading: "Preamble"."""

    at: datetime | None = None
    days_later: int = 0
    """How many whole days passed since the entry before it."""

    anchor: str = ""
    """The id of its element: "item-5"; none for an output that is no entry of its own."""

    label: Text = ""
    """The text of the link to the raw entry: "item 5"."""

    url: str = ""
    """Where the raw entry is; no link without it."""

    tokens: int | None = None
    is_cut: bool = False
    """Whether something of the entry is not on the page at all."""

    is_message: bool = False
    """Whether it is a message; a page of messages only leaves out all others."""


class Answer(NamedTuple):
    """An output, which belongs to the call of this id; "" when it does not name one."""

    id: str
    entry: Entry


class Reading(NamedTuple):
    """An item or an event: an entry, outputs of earlier calls, or both."""

    entry: Entry | None
    answers: tuple[Answer, ...] = ()


class Jump(NamedTuple):
    """A link to an entry: of this page, or of another one."""

    label: Text
    url: str


class Problem(NamedTuple):
    """The entries of a status, with links to each."""

    status: Status
    label: Text
    """The status and how often it occurs: "2 failed"."""

    jumps: Sequence[Jump]


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

    note: Text = ""
    """What the page does not show, or where a limit cuts."""

    problems: Sequence[Problem] = ()
    on_other_pages: Sequence[Jump] = ()
    """The nearest entries with a failed call on other pages."""

    find: str = ""
    """The words that are searched for."""

    found: Sequence[Jump] = ()
    """The entries that have them, on this page and on others."""

    found_label: Text = ""
    """How many entries match."""

    options: Options | None = None
    """What the address asks for."""

    @property
    def hidden_fields(self) -> list[tuple[str, str]]:
        """What else the address asks for, for the form of a search."""
        params = self.options.params if self.options else QueryDict()
        return [
            (name, value)
            for name, values in params.lists()
            for value in values
            if name not in ("find", "before")
        ]


def text_part(text: str, label: Text = "") -> Part:
    """``text`` as prose, folded where it is long."""
    return _part(text, "text", label)


def markdown_part(text: str, label: Text = "") -> Part:
    """``text`` as Markdown; where to fold it is seen when it is rendered."""
    shown = codec.printable(text[:FOLDED])
    return Part(shown, "markdown", label, is_cut=len(text) > FOLDED)


def code_part(text: str, label: Text = "") -> Part:
    """``text`` as it is written, in columns: JSON, arguments."""
    return _part(text, "code", label)


def note(text: Text) -> Part:
    return Part(text, "note")


def folded(part: Part, label: Text) -> Part:
    """``part`` folded below ``label``."""
    return part._replace(label=label, is_folded=True)


def _part(text: str, kind: Literal["text", "code"], label: Text) -> Part:
    shown = codec.printable(text[:FOLDED])
    end = _end(shown)
    return Part(shown[:end], kind, label, rest=shown[end:], is_cut=len(text) > FOLDED)


def _end(text: str) -> int:
    """Where to fold ``text``: behind OPEN characters, or at a space a little before."""
    if len(text) <= OPEN * 5 // 4:
        return len(text)
    return max(text.rfind(" ", 0, OPEN), text.rfind("\n", 0, OPEN), OPEN * 3 // 4)
