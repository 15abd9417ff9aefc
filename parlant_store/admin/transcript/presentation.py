"""Entries as a page shows them: as HTML, highlighted, folded, with what is to be noticed."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.utils.formats import localize
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from parlant_store.admin.transcript import markdown
from parlant_store.admin.transcript.entries import (
    OPEN,
    Call,
    Entry,
    Jump,
    Part,
    Problem,
    Status,
    Transcript,
    text_part,
)
from parlant_store.admin.transcript.options import Highlighter, Options

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
        return self._highlighter.matches("\n".join(_texts(entry)))

    def entry(self, entry: Entry) -> Entry:
        return entry._replace(
            parts=tuple(self._part(part) for part in entry.parts),
            calls=tuple(self._call(call) for call in entry.calls),
        )

    def _call(self, call: Call) -> Call:
        texts = [str(part.text) for part in call.parts]
        outputs = tuple(self.entry(output) for output in call.outputs)
        inside = [*texts, *(text for output in outputs for text in _texts(output))]
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


def _texts(entry: Entry) -> Iterator[str]:
    yield str(entry.name or "")
    for part in entry.parts:
        yield str(part.text) + part.rest
    for call in entry.calls:
        yield str(call.name or "")
        for part in call.parts:
            yield str(part.text) + part.rest
        for output in call.outputs:
            yield from _texts(output)
