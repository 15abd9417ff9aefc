"""Items as entries of a transcript, in the words of whichever framework they came from.

The Responses API's items (openai.types.responses.ResponseInputItemParam), the messages of
chat completions and of Anthropic's API, and selectools' messages
(selectools.types.Message.to_dict).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from parlant_store.admin.formatting import cut, mappings, text_of
from parlant_store.admin.transcript.entries import (
    Entry,
    Kind,
    Part,
    Reading,
    Status,
    folded,
    markdown_part,
    note,
)
from parlant_store.admin.transcript.formats import calls
from parlant_store.admin.transcript.formats.content import (
    MAX_PARTS,
    audio_part,
    fields,
    image_part,
    json_part,
    more,
    names_of_tools,
    parts_of,
    prose,
    reasoning_part,
)
from parlant_store.content.failures import is_provider_error

_KINDS: dict[str, Kind] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
"""How a message of a role looks."""


def read(item: object, role: str | None = None) -> Reading:
    """``item`` as an entry; ``role`` is the heading of one that says none."""
    if not isinstance(item, Mapping):
        return Reading(Entry(role or _("No role"), parts=(json_part(item),)))
    type_, said_by = text_of(item.get("type")), text_of(item.get("role"))
    if calls.is_output(item, type_):
        return calls.output_reading(item)
    if calls.is_call(type_):
        return calls.call_reading(item, type_)
    if type_ in _TYPES:
        return _TYPES[type_](item)
    if type_ not in ("", "message"):
        return Reading(_unknown(item, type_))
    if said_by:
        return _message(item, said_by)
    if set(item) == {"id"}:
        return _reference(item)
    return Reading(_unknown(item, type_))


def summary_entry(summary: str) -> Entry:
    """What selectools keeps in place of the messages before."""
    parts = (markdown_part(summary),)
    return Entry(_("Summary of earlier messages"), "system", parts=parts, is_message=True)


def heading_of(role: str) -> str:
    names = {
        "user": _("User"),
        "assistant": _("Assistant"),
        "system": _("System"),
        "developer": _("Developer"),
        "tool": _("Tool"),
    }
    return names.get(role) or cut(role) or ""


def _message(item: Mapping[str, Any], role: str) -> Reading:
    answers = calls.block_answers(item)
    made = calls.message_calls(item)
    parts = tuple(_message_parts(item, role))
    if answers and not parts and not made:
        return Reading(None, answers)
    if not parts and not made:
        parts = (note(_("No text.")),)
    entry = Entry(
        heading_of(role),
        _KINDS.get(role, "other"),
        name=cut(text_of(item.get("name"))),
        parts=parts,
        calls=made,
        status=_status(item, role),
        is_message=bool(parts),
    )
    return Reading(entry, answers)


def _message_parts(item: Mapping[str, Any], role: str) -> Iterable[Part]:
    is_markdown = role == "assistant"
    yield from _reasoning_beside(item)
    beside = parts_of(item.get("content_parts"), markdown=is_markdown)
    # selectools says the text of an image's message twice.
    for part in parts_of(item.get("content"), markdown=is_markdown):
        if part not in beside:
            yield part
    yield from beside
    if isinstance(item.get("image_base64"), str):
        yield image_part(item["image_base64"])
    if isinstance(item.get("audio"), Mapping):
        yield audio_part(item["audio"])
    if isinstance(item.get("refusal"), str):
        yield prose(item["refusal"], markdown=is_markdown)._replace(label=_("Refused"))
    yield from more(calls.number_of_calls(item) - MAX_PARTS)


def _reasoning_beside(item: Mapping[str, Any]) -> Iterable[Part]:
    for name in ("reasoning_content", "reasoning"):
        if isinstance(item.get(name), str) and item[name]:
            yield reasoning_part(item[name])


def _status(item: Mapping[str, Any], role: str) -> Status:
    content = item.get("content")
    if role == "assistant":
        if isinstance(item.get("refusal"), str) or any(
            isinstance(piece.get("refusal"), str) for piece in mappings(content)
        ):
            return "refused"
        if is_provider_error(item):
            return "failed"
    return "incomplete" if item.get("status") in calls.UNFINISHED else ""


def _unknown(item: Mapping[str, Any], type_: str) -> Entry:
    """Of a kind that is not known: all of it, folded."""
    part = folded(json_part(dict(item)), _("What it holds"))
    return Entry(cut(type_) or _("No role"), parts=(part,))


def _reasoning(item: Mapping[str, Any]) -> Reading:
    pieces = [
        piece["text"]
        for name in ("summary", "content")
        for piece in mappings(item.get(name))
        if isinstance(piece.get("text"), str)
    ]
    parts: tuple[Part, ...] = ()
    if pieces:
        parts = (reasoning_part("\n\n".join(pieces))._replace(label=""),)
    elif item.get("encrypted_content"):
        parts = (note(_("It is encrypted: only the provider can read it.")),)
    else:
        parts = (note(_("Nothing of it can be read.")),)
    return Reading(Entry(_("Reasoning"), "reasoning", parts=parts))


def _event(heading: str, *parts: Part, name: str | None = None) -> Reading:
    return Reading(Entry(heading, "event", name=name, parts=parts))


def _reference(item: Mapping[str, Any]) -> Reading:
    words = note(_("The provider keeps the item that this refers to."))
    return _event(_("Item reference"), words, name=cut(text_of(item.get("id"))))


_TYPES: dict[str, Callable[[Mapping[str, Any]], Reading]] = {
    "reasoning": _reasoning,
    "compaction": lambda item: _event(
        _("Compaction"),
        note(_("Earlier items were compacted here: only the provider can read what they said.")),
    ),
    "compaction_trigger": lambda item: _event(
        _("Compaction"), note(_("The provider was asked to compact what is above."))
    ),
    "item_reference": _reference,
    "configuration_update": lambda item: _event(
        _("Settings change"), *fields(item, ("type", "id"))
    ),
    "additional_tools": lambda item: _event(
        _("More tools were given"), *names_of_tools(item.get("tools"))
    ),
    "mcp_list_tools": calls.listed_tools,
    "mcp_approval_request": calls.approval_request,
    "mcp_approval_response": calls.approval_response,
}
