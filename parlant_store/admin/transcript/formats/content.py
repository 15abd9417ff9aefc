"""What a message or an output says, as parts: text, reasoning, files, sources, JSON."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from parlant_store.admin.formatting import cut, mappings, pretty, text_of
from parlant_store.admin.transcript.entries import (
    FOLDED,
    Part,
    code_part,
    folded,
    markdown_part,
    note,
    text_part,
)
from parlant_store.admin.transcript.reading import length_of

MAX_PARTS = 50
"""Limit on the parts of a message that are shown, and on its calls."""

MAX_SOURCES = 20

MAX_SOURCE = 300
"""Limit on the characters of a title or an address."""

MAX_NAMES = 100
"""Limit on the names of tools in a list."""

CALL_BLOCKS = ("tool_use", "server_tool_use", "tool_result")
"""Parts of a message that are calls and outputs (anthropic.types.MessageParam)."""

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?[^,]{0,200}?(?P<base64>;base64)?,")
# What base64 of these begins with.
_TYPES = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}


def parts_of(content: object, *, markdown: bool = False) -> tuple[Part, ...]:
    """A message's content, or a tool's output: a text, or parts of several kinds."""
    if content is None or content in ("", []):
        return ()
    if isinstance(content, str):
        return (prose(content, markdown=markdown),)
    if isinstance(content, list) and all(isinstance(piece, (str, Mapping)) for piece in content):
        blocks = [piece for piece in content if not _is_call(piece)]
        parts = (part for piece in blocks[:MAX_PARTS] for part in _piece(piece, markdown))
        return tuple(part for part in parts if part.text) + more(len(blocks) - MAX_PARTS)
    if isinstance(content, Mapping):
        return tuple(_piece(content, markdown))
    return (json_part(content),)


def prose(text: str, *, markdown: bool) -> Part:
    return markdown_part(text) if markdown else text_part(text)


def reasoning_part(text: str) -> Part:
    return folded(markdown_part(text), _("Reasoning"))


def outcome(value: object) -> tuple[Part, ...]:
    """What a tool gave: JSON indented, also where it is written in a text."""
    if isinstance(value, str):
        inner = parsed(value)
        return (json_part(inner),) if isinstance(inner, (dict, list)) else parts_of(value)
    return parts_of(value)


def arguments(value: object) -> tuple[Part, ...]:
    """What a tool was given, likewise."""
    if not isinstance(value, str):
        return () if value is None else (json_part(value),)
    inner = parsed(value)
    return (code_part(value) if inner is None else json_part(inner),) if value else ()


def fields(item: Mapping[str, Any], hidden: Iterable[str]) -> tuple[Part, ...]:
    """The fields of ``item`` that say something, as JSON."""
    rest = {name: value for name, value in item.items() if name not in hidden and value is not None}
    return (json_part(rest),) if rest else ()


def lines(values: Iterable[object], label: str) -> tuple[Part, ...]:
    """Texts, a line each; what is none is left out."""
    shown = [value for value in values if isinstance(value, str) and value]
    return (text_part("\n".join(shown), label),) if shown else ()


def names_of_tools(tools: object) -> tuple[Part, ...]:
    """The names of tools and what they are for, a line each."""
    listed = mappings(tools)
    shown = []
    for tool in listed[:MAX_NAMES]:
        function = tool.get("function")
        inner = function if isinstance(function, Mapping) else tool
        name = text_of(inner.get("name")) or text_of(tool.get("type"))
        words = text_of(inner.get("description"))
        shown.append(f"{name}: {words}" if words else name)
    return (*lines(shown, _("Tools")), *more(len(listed) - MAX_NAMES))


def more(number: int) -> tuple[Part, ...]:
    """A note on what is not shown."""
    if number <= 0:
        return ()
    words = ngettext("%(number)s more is not shown.", "%(number)s more are not shown.", number)
    return (note(words % {"number": number}),)


def json_part(value: object, label: str = "") -> Part:
    return code_part(pretty(value, 2 * FOLDED), label)


def error_text(error: object) -> tuple[Part, ...]:
    """An error of a hosted tool: its message, or what it consists of."""
    if isinstance(error, Mapping):
        if isinstance(error.get("message"), str):
            words = [_name(error.get("code")), error["message"]]
            return (text_part(": ".join(filter(None, words)), _("Error")),)
        if isinstance(error.get("content"), list):
            return parts_of(error["content"])
        return (json_part(error, _("Error")),)
    return (text_part(error, _("Error")),) if isinstance(error, str) else ()


def anything(value: Any, nothing: str = "") -> tuple[Part, ...]:
    """A value of any kind; ``nothing`` is said in the place of one that is empty."""
    if value is None or value in ("", {}, []):
        return (note(nothing or _("It is empty.")),)
    return (text_part(value) if isinstance(value, str) else json_part(value),)


def parsed(text: str) -> Any:
    """The JSON that ``text`` is; None when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def list_of(value: object) -> list[Any]:
    """``value`` when it is a list, else none."""
    return value if isinstance(value, list) else []


def _is_call(piece: object) -> bool:
    return isinstance(piece, Mapping) and piece.get("type") in CALL_BLOCKS


def _piece(piece: object, markdown: bool) -> Iterable[Part]:
    if isinstance(piece, str):
        return (prose(piece, markdown=markdown),)
    if not isinstance(piece, Mapping):
        return (json_part(piece),)
    match piece:
        case {"type": "thinking", "thinking": str(text)}:
            return (reasoning_part(text),)
        case {"type": "reasoning_text" | "reasoning", "text": str(text)}:
            return (reasoning_part(text),)
        case {"type": "redacted_thinking"}:
            return (note(_("Encrypted reasoning: only the provider can read it.")),)
        case {"refusal": str(text)}:
            return (prose(text, markdown=markdown)._replace(label=_("Refused")),)
        case {"text": str(text)}:
            return (prose(text, markdown=markdown), *_sources(piece))
    return _file(piece)


def _file(piece: Mapping[str, Any]) -> Iterable[Part]:
    file_id = piece.get("file_id")
    match piece:
        case {"image_url": {"url": url}} | {"image_url": str(url)}:
            return (image_part(url, file_id=file_id),)
        case {"image_base64": str(data)}:
            return (image_part(data, piece.get("media_type")),)
        case {"type": "image", "source": {"data": str(data), **source}}:
            return (image_part(data, source.get("media_type")),)
        case {"type": "image", "source": {"url": str(url)}} | {"type": "image", "url": str(url)}:
            return (image_part(url),)
        case {"type": "image", "data": str(data)}:
            return (image_part(data, piece.get("mimeType")),)
        case {"type": "input_image" | "image_file" | "computer_screenshot"}:
            return (image_part(None, file_id=file_id),)
        case {"type": "input_audio", "input_audio": dict(audio)}:
            return (audio_part(audio),)
        case {"type": "input_audio" | "output_audio" | "audio"}:
            spoken = lines([piece.get("transcript")], _("Transcript"))
            return (audio_part(piece), *spoken)
        case {"type": "file", "file": dict(file)}:
            return (file_part(file),)
        case {"type": "input_file" | "file"}:
            return (file_part(piece),)
    return (json_part(piece),)


def _sources(piece: Mapping[str, Any]) -> Iterable[Part]:
    """What a text cites: pages by title and address, files by name."""
    cited = mappings(piece.get("annotations"))
    words = dict.fromkeys(filter(None, map(_source, cited)))
    shown = list(words)[:MAX_SOURCES]
    return (*lines(shown, _("Sources")), *more(len(words) - MAX_SOURCES))


def _source(cited: Mapping[str, Any]) -> str:
    inner = cited.get("url_citation")
    cited = inner if isinstance(inner, Mapping) else cited
    names = [text_of(cited.get("title")) or text_of(cited.get("filename"))]
    names.append(
        text_of(cited.get("url")) or (not names[0] and text_of(cited.get("file_id"))) or ""
    )
    return ", ".join(filter(None, (name[:MAX_SOURCE] for name in names)))


def _name(value: object) -> str:
    return str(value) if isinstance(value, (str, int)) else ""


class _Content(NamedTuple):
    """What is known of something that stands in a text: its media type and its size."""

    type: str = ""
    size: str = ""


def image_part(source: object, media_type: object = None, file_id: object = None) -> Part:
    """An image by its type and size, or by its address or its id.

    source: a data URL, base64, or an address; None when there is none.
    """
    if isinstance(source, str) and source and not _is_inline(source):
        return _part(_("Image at %(url)s") % {"url": cut(source)})
    content = _content(source, media_type) if isinstance(source, str) else _Content()
    id_ = cut(file_id) if isinstance(file_id, str) else ""
    return _part(_("Image"), content.type, content.size, id_)


def audio_part(audio: Mapping[str, Any]) -> Part:
    data = audio.get("data", audio.get("audio"))
    known = audio.get("format") or audio.get("id")
    content = _content(data, None, sniff=False) if isinstance(data, str) else _Content()
    return _part(_("Audio"), _cut(known), content.size)


def file_part(file: Mapping[str, Any]) -> Part:
    """A file by its name and size, or by its address or its id."""
    names = map(_cut, (file.get("filename"), file.get("file_url"), file.get("file_id")))
    data = file.get("file_data", file.get("data"))
    content = _content(data, None, sniff=False) if isinstance(data, str) else _Content()
    return _part(_("File"), next(filter(None, names), ""), content.type, content.size)


def _is_inline(source: str) -> bool:
    return source.startswith("data:") or "://" not in source[:40]


def _content(source: str, media_type: object, *, sniff: bool = True) -> _Content:
    known = media_type if isinstance(media_type, str) and media_type else ""
    if source.startswith("data:"):
        match = _DATA_URL.match(source)
        if match is None:
            return _Content()
        size = _size(source[match.end() :], is_base64=match["base64"] is not None)
        return _Content(cut(match["type"]) or "", size)
    sniffed = (type_ for start, type_ in _TYPES.items() if sniff and source.startswith(start))
    return _Content(cut(known or next(sniffed, "")) or "", _size(source))


def _size(data: str, *, is_base64: bool = True) -> str:
    length = length_of(data)
    if length is None:
        return ""
    return filesizeformat(length * 3 // 4 - data[-2:].count("=") if is_base64 else length)


def _cut(value: object) -> str:
    return cut(text_of(value)) or ""


def _part(*words: str | None) -> Part:
    return Part(", ".join(word for word in words if word), "attachment")
