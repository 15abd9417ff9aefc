"""Placeholders for images, audio and files; nothing is ever loaded or decoded."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from parlant_store.admin.formatting import cut
from parlant_store.admin.transcript.entries import Part
from parlant_store.admin.transcript.reading.partial_json import length_of

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?[^,]{0,200}?(?P<base64>;base64)?,")

# What base64 of these begins with.
_TYPES = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}


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
    return _part(_("Audio"), _name(known), content.size)


def file_part(file: Mapping[str, Any]) -> Part:
    """A file by its name and size, or by its address or its id."""
    names = map(_name, (file.get("filename"), file.get("file_url"), file.get("file_id")))
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


def _name(value: object) -> str:
    return cut(value) or "" if isinstance(value, str) else ""


def _part(*words: str | None) -> Part:
    return Part(", ".join(word for word in words if word), "attachment")
