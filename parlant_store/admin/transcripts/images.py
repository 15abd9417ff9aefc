"""Words that stand for an image or a file; nothing is ever loaded or decoded."""

import re
from collections.abc import Mapping
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from parlant_store.admin.formatting import cut
from parlant_store.admin.transcripts.cut_json import length_of
from parlant_store.admin.transcripts.entries import Part

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?[^,]{0,200}?(?P<base64>;base64)?,")

# What base64 of these begins with.
_TYPES = {
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}


def image_part(url_or_base64: object, media_type: object = None) -> Part:
    """``url_or_base64`` as the type and size of the image, or as its address."""
    if not isinstance(url_or_base64, str):
        return Part(_("Image"), "image")
    if url_or_base64.startswith("data:"):
        return _from_data_url(url_or_base64)
    if "://" in url_or_base64[:40]:
        return Part(_("Image at %(url)s") % {"url": cut(url_or_base64)}, "image")
    sniffed = (type_ for start, type_ in _TYPES.items() if url_or_base64.startswith(start))
    known = media_type if isinstance(media_type, str) and media_type else next(sniffed, None)
    return _part(_("Image"), cut(known), _size(url_or_base64))


def file_part(file: Mapping[str, Any]) -> Part:
    """A file that is no image, by its name and size."""
    names = (file.get(name) for name in ("filename", "format", "file_id", "file_url"))
    name = next((name for name in names if isinstance(name, str) and name), "")
    data = file.get("file_data", file.get("data"))
    return _part(_("File"), cut(name), _size(data) if isinstance(data, str) else "")


def _from_data_url(url: str) -> Part:
    match = _DATA_URL.match(url)
    if match is None:
        return Part(_("Image"), "image")
    size = _size(url[match.end() :], is_base64=match["base64"] is not None)
    return _part(_("Image"), cut(match["type"]), size)


def _size(data: str, *, is_base64: bool = True) -> str:
    length = length_of(data)
    if length is None:
        return ""
    return filesizeformat(length * 3 // 4 - data[-2:].count("=") if is_base64 else length)


def _part(*words: str | None) -> Part:
    return Part(", ".join(word for word in words if word), "image")
