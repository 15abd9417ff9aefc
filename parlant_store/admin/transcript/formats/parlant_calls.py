"""Calls of tools in an event of a Parlant session (parlant.core.sessions.ToolEventData)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from parlant_store.admin.formatting import cut
from parlant_store.admin.transcript.entries import Call, Entry, Part, note
from parlant_store.admin.transcript.formats.content import anything, json_part, outcome
from parlant_store.content.failures import parlant_call_status


def parlant_call(call: Mapping[str, Any]) -> Call:
    """A call as an entry shows it; ``...`` stands for a result or arguments that were not read."""
    result, arguments = call.get("result"), call.get("arguments")
    outputs: tuple[Entry, ...] = ()
    if isinstance(result, dict):
        outputs = (Entry(_("Tool output"), "tool", parts=tuple(_result(result))),)
    name = call.get("tool_id")
    return Call(
        cut(name) if isinstance(name, str) else None,
        () if arguments is ... else anything(arguments, _("No arguments.")),
        outputs,
        note="" if outputs or result is ... else _("No output."),
        status=parlant_call_status(call) or ("" if outputs or result is ... else "unanswered"),
    )


def handoffs(calls: Sequence[Mapping[str, Any]]) -> Iterator[Part]:
    """Who answers from here on, if a tool changed it."""
    for call in calls:
        match call:
            case {"result": {"control": {"mode": str(mode)}}} if mode:
                yield note(_handoff_words(mode))


def _result(result: Mapping[str, Any]) -> Iterator[Part]:
    data = result.get("data")
    yield from outcome(data) or (note(_("It is empty.")),)
    labels = {
        "metadata": _("Metadata"),
        "control": _("Control"),
        "canned_responses": _("Canned responses"),
        "canned_response_fields": _("Fields of canned responses"),
        "guidelines": _("Guidelines"),
    }
    # PostgreSQL keeps the fields of JSON in no order.
    for name in (*labels, *sorted(result.keys() - labels.keys() - {"data"})):
        if result.get(name):
            yield json_part(result[name], labels.get(name) or cut(name) or "")


def _handoff_words(mode: str) -> str:
    words = {
        "manual": _("Handed to a person: the agent does not answer from here on (mode manual)."),
        "auto": _("Given back to the agent: it answers from here on (mode auto)."),
    }
    return words.get(mode) or _("Mode %(mode)s") % {"mode": cut(mode)}
