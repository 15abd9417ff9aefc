"""Outputs of tools, put with their calls."""

from collections.abc import Iterable

from parlant_store.admin.transcripts.dialects import Said
from parlant_store.admin.transcripts.entries import Call, Entry, Part, Text

Place = tuple[int, int]
"""An entry, and a call of it."""


def paired(page: Iterable[Said], no_output: Text, no_call: Text) -> list[Entry]:
    """The entries of a page, each output inside the call that it answers.

    A call that waits for an output is told ``no_output``, an output without a call ``no_call``.
    """
    entries: list[Entry] = []
    outputs: dict[Place, list[Entry]] = {}
    calls = _Calls()
    for entry, answers in page:
        place = None if answers is None else calls.answered_by(answers, entry.name)
        if place is not None:
            outputs.setdefault(place, []).append(entry)
            continue
        if answers is not None:
            entry = entry._replace(parts=(*entry.parts, Part(no_call, "note")))
        calls.add(len(entries), entry.calls)
        entries.append(entry)
    return [
        entry._replace(
            calls=tuple(
                _answered(call, outputs.get((number, place), []), no_output)
                for place, call in enumerate(entry.calls)
            )
        )
        for number, entry in enumerate(entries)
    ]


def _answered(call: Call, outputs: list[Entry], no_output: Text) -> Call:
    outputs = [*call.outputs, *outputs]
    note = no_output if call.id is not None and not outputs else call.note
    return call._replace(outputs=tuple(outputs), note=note)


class _Calls:
    """The calls so far, by their ids, and those without one that still wait."""

    def __init__(self) -> None:
        self.by_id: dict[str, Place] = {}
        self.unnamed: list[tuple[Place, str | None]] = []

    def add(self, number: int, calls: Iterable[Call]) -> None:
        for place, call in enumerate(calls):
            if call.id:
                self.by_id[call.id] = (number, place)
            elif call.id == "":
                self.unnamed.append(((number, place), call.name))

    def answered_by(self, id_: str, name: str | None) -> Place | None:
        if id_:
            return self.by_id.get(id_)
        for index, (place, called) in enumerate(self.unnamed):
            if not name or called == name:
                del self.unnamed[index]
                return place
        return None
