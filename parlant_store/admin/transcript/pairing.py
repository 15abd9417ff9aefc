"""Outputs of tools put with their calls, and what has no answer."""

from collections.abc import Iterable
from typing import NamedTuple

from django.utils.translation import gettext as _

from parlant_store.admin.transcript.entries import Answer, Call, Entry, Reading, note
from parlant_store.admin.transcript.formats.content import parsed

Place = tuple[int, int]
"""An entry, and a call of it."""

HANDOFF = "transfer_to_"
"""How the name of a tool begins that hands over to another agent (agents.handoffs)."""


class Edges(NamedTuple):
    """What lies beside a page."""

    is_first: bool = True
    is_last: bool = True


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
        if entry.status == "failed" or any(
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
