"""Entries as a page shows them: outputs with their calls, as HTML, highlighted and folded."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.utils.formats import localize
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from parlant_store.admin.formatting import Highlighter
from parlant_store.admin.transcript import markdown
from parlant_store.admin.transcript.entries import (
    OPEN,
    Answer,
    Call,
    Entry,
    Jump,
    Part,
    Problem,
    Reading,
    Status,
    Transcript,
    note,
    text_part,
)
from parlant_store.admin.transcript.formats.content import parsed
from parlant_store.admin.transcript.reading import Edges, Options

Place = tuple[int, int]
"""An entry, and a call of it."""

HANDOFF = "transfer_to_"
"""How the name of a tool begins that hands over to another agent (agents.handoffs)."""

MAX_TEXT = 200_000
"""Limit on the characters of all texts on a page; those behind it are cut where they fold."""

MAX_JUMPS = 30
"""Limit on the links to entries of one status, or with the words searched for."""

PREVIEW = 100
"""Limit on the characters of a folded text, or of a call's arguments, that stand beside it."""

_SIGNS = re.compile(r"\*\*|^#+ |`", re.MULTILINE)
STATUSES: tuple[Status, ...] = (
    *("failed", "refused", "rejected", "waiting", "unanswered", "incomplete", "flagged"),
)


def pair(page: Iterable[Reading], edges: Edges) -> list[Entry]:
    """The entries of a page, each output inside the call that it answers."""
    entries: list[Entry] = []
    outputs: dict[Place, list[Entry]] = {}
    calls = _Calls()
    for entry, answers in page:
        for answer in answers:
            place = calls.answered_by(answer)
            if place is not None:
                outputs.setdefault(place, []).append(answer.entry)
            else:
                entries.append(_alone(answer.entry, edges))
        if entry is not None:
            calls.add(len(entries), entry)
            entries.append(entry)
    end = _end(entries)
    paired = [
        entry._replace(
            calls=tuple(
                _answered(call, outputs.get((number, place), []), edges, is_over=number < end)
                for place, call in enumerate(entry.calls)
            )
        )
        for number, entry in enumerate(entries)
    ]
    paired = [_handoff(entry) for entry in paired]
    return _unanswered(paired) if edges.is_last else paired


def _alone(output: Entry, edges: Edges) -> Entry:
    words = _("Its call is missing.") if edges.is_first else _("Its call is not on this page.")
    return output._replace(parts=(*output.parts, note(words)))


def _end(entries: list[Entry]) -> int:
    """The number of the last message: calls before it are over."""
    messages = (number for number, entry in enumerate(entries) if entry.is_message)
    return max(messages, default=-1)


def _answered(call: Call, outputs: list[Entry], edges: Edges, *, is_over: bool) -> Call:
    outputs = [*call.outputs, *outputs]
    status = call.status or next((output.status for output in outputs if output.status), "")
    outputs = [output._replace(status="") for output in outputs]
    call = call._replace(outputs=tuple(outputs), status=status)
    if outputs or call.ids is None:
        return call
    if not edges.is_last and not is_over:
        return call._replace(note=_("No output on this page."))
    if is_over and not call.is_approval:
        return call._replace(note=_("No output."), status=status or "unanswered")
    words = (
        _("Waiting for a person to approve it.")
        if call.is_approval
        else _("No output yet: it runs, or waits for approval.")
    )
    return call._replace(note=words, status=status or "waiting")


def _handoff(entry: Entry) -> Entry:
    """A call that hands over to another agent, as what it is."""
    if len(entry.calls) != 1 or not (entry.name or "").startswith(HANDOFF):
        return entry
    texts = [str(part.text) for output in entry.calls[0].outputs for part in output.parts]
    given = parsed(texts[0]) if len(texts) == 1 else None
    if not isinstance(given, dict) or not isinstance(given.get("assistant"), str):
        return entry
    words = _("Handed to %(agent)s.") % {"agent": given["assistant"][:200]}
    return entry._replace(heading=_("Handoff"), parts=(*entry.parts, note(words)))


def _unanswered(entries: list[Entry]) -> list[Entry]:
    """Mark the last message of a user when nobody answered it and nothing says why."""
    for number in reversed(range(len(entries))):
        entry = entries[number]
        if entry.is_message and entry.kind == "assistant":
            break
        if entry.status in ("failed", "waiting") or any(
            call.status in ("waiting", "unanswered") for call in entry.calls
        ):
            break
        if entry.is_message and entry.kind == "user":
            if not entry.status:
                entries[number] = entry._replace(status="unanswered")
            break
    return entries


class _Calls:
    """The calls so far, by their ids, and those without one that still wait."""

    def __init__(self) -> None:
        self.by_id: dict[str, Place] = {}
        self.unnamed: list[tuple[Place, str | None]] = []

    def add(self, number: int, entry: Entry) -> None:
        for place, call in enumerate(entry.calls):
            for id_ in call.ids or ():
                self.by_id[id_] = (number, place)
            if call.ids == ():
                self.unnamed.append(((number, place), call.name or entry.name))

    def answered_by(self, answer: Answer) -> Place | None:
        if answer.id:
            return self.by_id.get(answer.id)
        for index, (place, called) in enumerate(self.unnamed):
            if not answer.entry.name or called == answer.entry.name:
                del self.unnamed[index]
                return place
        return None


def present(
    transcript: Transcript,
    options: Options,
    found_before: Sequence[Jump] = (),
    found_after: Sequence[Jump] = (),
) -> Transcript:
    """``transcript`` as the page shows it.

    found_before, found_after: what is searched for, on the pages before and after this one.
    """
    entries = list(_chosen(transcript.entries, options))
    presenter = _Presenter(options)
    shown = [presenter.entry(entry) for entry in entries]
    here = [each for entry in entries for each in presenter.found(entry)]
    found = [*found_before, *here, *found_after] if options.terms else []
    return transcript._replace(
        entries=_with_gaps(shown),
        problems=list(_problems(shown)),
        find=options.find,
        found=found[:MAX_JUMPS],
        found_label=_found_label(len(found)) if options.terms else "",
        options=options,
    )


def _chosen(entries: Iterable[Entry], options: Options) -> Iterator[Entry]:
    for entry in entries:
        if not options.messages_only:
            yield entry
        elif entry.is_message:
            parts = tuple(part for part in entry.parts if not part.is_folded)
            yield entry._replace(parts=parts or entry.parts, calls=())


def _with_gaps(entries: list[Entry]) -> list[Entry]:
    shown, last = [], None
    for entry in entries:
        if entry.at and last:
            entry = entry._replace(days_later=max(0, (entry.at - last).days))
        last = entry.at or last
        shown.append(entry)
    return shown


def _problems(entries: list[Entry]) -> Iterator[Problem]:
    found: dict[Status, list[Jump]] = {}
    for entry in entries:
        for status, anchor, label in _statuses(entry):
            found.setdefault(status, []).append(Jump(label, f"#{anchor}"))
    for status in STATUSES:
        if jumps := found.get(status):
            yield Problem(status, _counted(status, len(jumps)), jumps[:MAX_JUMPS])


def _statuses(entry: Entry) -> Iterator[tuple[Status, str, Any]]:
    """What is to be noticed of an entry and its calls: a call counts once."""
    if entry.status and not entry.calls:
        yield entry.status, entry.anchor, entry.label or entry.heading
        return
    statuses = [entry.status, *(call.status for call in entry.calls)]
    for status in statuses:
        if status:
            yield status, entry.anchor, entry.label or entry.heading


def _counted(status: Status, number: int) -> str:
    labels: dict[Status, str] = {
        "failed": ngettext("%(count)s failed", "%(count)s failed", number),
        "refused": ngettext("%(count)s refused", "%(count)s refused", number),
        "rejected": ngettext("%(count)s rejected", "%(count)s rejected", number),
        "waiting": ngettext("%(count)s waiting", "%(count)s waiting", number),
        "unanswered": ngettext("%(count)s unanswered", "%(count)s unanswered", number),
        "incomplete": ngettext("%(count)s incomplete", "%(count)s incomplete", number),
        "flagged": ngettext("%(count)s flagged", "%(count)s flagged", number),
    }
    return labels[status] % {"count": localize(number)}


def _found_label(number: int) -> str:
    if not number:
        return _("Nothing matches.")
    words = ngettext("%(count)s match:", "%(count)s matches:", number)
    return words % {"count": localize(number)}


class _Presenter:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._highlighter = Highlighter(options.terms)
        self._left = MAX_TEXT

    def found(self, entry: Entry) -> Iterator[Jump]:
        """Links to the entry and to its outputs that have what is searched for."""
        calls = tuple(call._replace(outputs=()) for call in entry.calls)
        outputs = [output for call in entry.calls for output in call.outputs]
        parts = [entry._replace(calls=calls), *outputs]
        found = [part for part in parts if part.anchor and self._finds(part)]
        for part in found or [entry]:
            if found or self._finds(entry):
                yield Jump(part.label or part.heading, f"#{part.anchor}")

    def _finds(self, entry: Entry) -> bool:
        return self._highlighter.matches("\n".join(texts_of(entry)))

    def entry(self, entry: Entry) -> Entry:
        return entry._replace(
            parts=tuple(self._part(part) for part in entry.parts),
            calls=tuple(self._call(call) for call in entry.calls),
        )

    def _call(self, call: Call) -> Call:
        texts = [str(part.text) for part in call.parts]
        outputs = tuple(self.entry(output) for output in call.outputs)
        inside = [*texts, *(text for output in outputs for text in texts_of(output))]
        return call._replace(
            parts=tuple(self._part(part) for part in call.parts),
            outputs=outputs,
            is_open=bool(
                self._options.calls_open
                or call.status
                or call.is_approval
                or any(map(self._highlighter.marks, inside))
            ),
            preview=_preview(" ".join(texts)),
        )

    def _part(self, part: Part) -> Part:
        text = str(part.text)
        mark = self._highlighter.mark
        is_found = any(map(self._highlighter.marks, (text, part.rest)))
        if self._left <= 0 and len(text) + len(part.rest) > OPEN:
            part, text = part._replace(rest="", is_cut=True), text[:OPEN]
        self._left -= len(text) + len(part.rest)
        if part.is_folded:
            part = part._replace(preview=_preview(text))
        if part.kind == "markdown":
            html = None if self._options.source else markdown.render(text, mark)
            if html is not None:
                return part._replace(html=html[0], rest_html=html[1], is_open=is_found)
            plain = text_part(text)
            part = part._replace(kind="text", rest=plain.rest)
            text = str(plain.text)
        return part._replace(html=mark(text), rest_html=mark(part.rest), is_open=is_found)


def _preview(text: str) -> str:
    """The beginning of ``text`` in a line, without signs of Markdown."""
    line = " ".join(_SIGNS.sub("", text[: 4 * PREVIEW]).split())
    return line if len(line) <= PREVIEW else line[: PREVIEW - 1] + "…"


def texts_of(entry: Entry) -> Iterator[str]:
    yield str(entry.name or "")
    for part in entry.parts:
        yield str(part.text) + part.rest
    for call in entry.calls:
        yield str(call.name or "")
        for part in call.parts:
            yield str(part.text) + part.rest
        for output in call.outputs:
            yield from texts_of(output)
