"""Items as entries of a transcript, in the words of whichever framework they came from.

The Responses API's items (openai.types.responses.ResponseInputItemParam), the messages of
chat completions, and selectools' messages (selectools.types.Message.to_dict).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from parlant_store.admin.formatting import cut, pretty
from parlant_store.admin.transcripts.entries import FOLDED, Call, Entry, Part, code_part, text_part
from parlant_store.admin.transcripts.images import file_part, image_part

KINDS: Any = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
}
"""How an entry of a role looks."""

_SHOWN_ELSEWHERE = {"type", "id", "call_id", "status", "name", "output", "error", "outputs"}


MANY = 50
"""How many parts of a message are shown, and how many calls."""


class Said(NamedTuple):
    """An item as an entry, and the id of the call that it answers.

    "" when it answers one and does not say which; None when it answers none.
    """

    entry: Entry
    answers: str | None = None


def said(item: object, role: str | None = None) -> Said:
    """``item`` as an entry; ``role`` is the heading of one that says none."""
    if not isinstance(item, Mapping):
        return Said(Entry(role or _("No role"), parts=(_json(item),)))
    type_, role = _str(item.get("type")), _str(item.get("role"))
    if type_.endswith("_call_output") or role == "tool":
        return _output(item)
    if type_ == "reasoning":
        return Said(Entry(_("Reasoning"), "reasoning", parts=_reasoning(item)))
    if type_.endswith("_call"):
        return Said(_call(item, type_))
    if role:
        return Said(_message(item, role))
    return Said(Entry(cut(type_) or _("No role"), parts=(_json(item),)))


def heading_of(role: str) -> str:
    names = {
        "user": _("User"),
        "assistant": _("Assistant"),
        "system": _("System"),
        "developer": _("Developer"),
        "tool": _("Tool"),
    }
    return names.get(role) or cut(role) or ""


def parts_of(content: object) -> tuple[Part, ...]:
    """A message's content, or a tool's output: a text, or parts of several kinds."""
    if content is None or content in ("", []):
        return ()
    if isinstance(content, str):
        return (text_part(content),)
    if isinstance(content, list) and all(isinstance(piece, (str, Mapping)) for piece in content):
        shown = tuple(part for part in map(_piece, content[:MANY]) if part.text)
        return shown + _more(len(content) - MANY)
    return (_piece(content),)


def _piece(piece: object) -> Part:
    if isinstance(piece, str):
        return text_part(piece)
    if not isinstance(piece, Mapping):
        return _json(piece)
    match piece:
        case {"type": "thinking", "thinking": str(text)}:
            return text_part(text)._replace(kind="reasoning")
        case {"type": "reasoning_text" | "reasoning", "text": str(text)}:
            return text_part(text)._replace(kind="reasoning")
        case {"text": str(text)}:
            return text_part(text)
        case {"refusal": str(text)}:
            return text_part(_("Refused: %(text)s") % {"text": text})
        case {"image_url": {"url": url}} | {"image_url": str(url)}:
            return image_part(url)
        case {"image_base64": str(data)}:
            return image_part(data, piece.get("media_type"))
        case {"type": "image", "source": {"data": str(data), **source}}:
            return image_part(data, source.get("media_type"))
        case {"type": "image", "url": str(url)}:
            return image_part(url)
        case {"type": "input_image" | "image_file" | "computer_screenshot"}:
            return image_part(None)
        case {"type": "input_audio", "input_audio": dict(file)} | {
            "type": "file",
            "file": dict(file),
        }:
            return file_part(file)
        case {"type": "input_file" | "file"}:
            return file_part(piece)
    return _json(piece)


def _message(item: Mapping[str, Any], role: str) -> Entry:
    parts = [*_thoughts(item), *parts_of(item.get("content"))]
    beside = parts_of(item.get("content_parts"))
    # selectools says the text of an image's message twice.
    parts = [part for part in parts if part not in beside] + list(beside)
    if isinstance(item.get("image_base64"), str):
        parts.append(image_part(item["image_base64"]))
    if isinstance(item.get("refusal"), str):
        parts.append(_piece({"refusal": item["refusal"]}))
    listed = item.get("tool_calls")
    made = (
        [call for call in listed if isinstance(call, Mapping)] if isinstance(listed, list) else []
    )
    calls = tuple(map(_made_call, made[:MANY]))
    parts += _more(len(made) - MANY)
    if not parts and not calls:
        parts.append(Part(_("No text."), "note"))
    return Entry(heading_of(role), KINDS.get(role, "other"), parts=tuple(parts), calls=calls)


def _thoughts(item: Mapping[str, Any]) -> Iterable[Part]:
    for name in ("reasoning_content", "reasoning"):
        if isinstance(item.get(name), str) and item[name]:
            yield text_part(item[name])._replace(kind="reasoning")


def _reasoning(item: Mapping[str, Any]) -> tuple[Part, ...]:
    pieces = [
        piece["text"]
        for name in ("summary", "content")
        for piece in (item.get(name) if isinstance(item.get(name), list) else None) or ()
        if isinstance(piece, Mapping) and isinstance(piece.get("text"), str)
    ]
    if pieces:
        return (text_part("\n\n".join(pieces))._replace(kind="reasoning"),)
    return (Part(_("Nothing of it can be read."), "note"),)


def _call(item: Mapping[str, Any], type_: str) -> Entry:
    """A call that is an item of its own; what a hosted tool gave is in the item too."""
    name = _str(item.get("name")) or ("" if type_ == "function_call" else type_)
    outputs = tuple(
        Entry(_("Tool output"), "tool", parts=_outcome(item[name]))
        for name in ("output", "error", "outputs")
        if item.get(name)
    )
    is_waiting = "call_id" in item or type_ == "function_call"
    id_ = _str(item.get("call_id")) or _str(item.get("id"))
    call = Call(None, _arguments(item), outputs, id_ if is_waiting else None)
    return Entry(_("Tool call"), "tool", name=cut(name), calls=(call,))


def _arguments(item: Mapping[str, Any]) -> tuple[Part, ...]:
    match item:
        case {"arguments": arguments}:
            return _given(arguments)
        case {"type": "image_generation_call", "result": str(data)}:
            return (image_part(data, f"image/{item.get('output_format') or 'png'}"),)
        case {"input": str(text)} | {"code": str(text)}:
            return (code_part(text),)
    rest = {name: value for name, value in item.items() if name not in _SHOWN_ELSEWHERE}
    return (_json(rest),) if rest else ()


def _made_call(call: Mapping[str, Any]) -> Call:
    """One of a message's ``tool_calls``."""
    function = call.get("function")
    called = function if isinstance(function, Mapping) else call
    given = (
        called[name] for name in ("arguments", "parameters", "args", "input") if name in called
    )
    return Call(cut(_str(called.get("name"))), _given(next(given, None)), id=_str(call.get("id")))


def _output(item: Mapping[str, Any]) -> Said:
    given = (item.get(name) for name in ("output", "content", "tool_result"))
    parts = _outcome(next(filter(None, given), None))
    name = _str(item.get("tool_name")) or _str(item.get("name"))
    entry = Entry(
        _("Tool output"),
        "tool",
        name=cut(name),
        parts=parts or (Part(_("It is empty."), "note"),),
    )
    answers = _str(item.get("tool_call_id")) or _str(item.get("call_id"))
    if not answers and "role" not in item:
        answers = _str(item.get("id"))
    return Said(entry, answers)


def _outcome(value: object) -> tuple[Part, ...]:
    """What a tool gave: JSON indented, also where it is written in a text."""
    if isinstance(value, str):
        inner = _parsed(value)
        return (_json(inner),) if isinstance(inner, (dict, list)) else parts_of(value)
    return parts_of(value)


def _given(value: object) -> tuple[Part, ...]:
    """What a tool was given, likewise."""
    if not isinstance(value, str):
        return () if value is None else (_json(value),)
    inner = _parsed(value)
    return (code_part(value) if inner is None else _json(inner),) if value else ()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _more(number: int) -> tuple[Part, ...]:
    """A note on what is not shown."""
    if number <= 0:
        return ()
    words = ngettext("%(number)s more is not shown.", "%(number)s more are not shown.", number)
    return (Part(words % {"number": number}, "note"),)


def _json(value: object) -> Part:
    return code_part(pretty(value, 2 * FOLDED))


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""
