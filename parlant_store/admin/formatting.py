"""Names and JSON as people read them."""

import json
import re
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from parlant_store.content import codec
from parlant_store.models import Document, Session

NAME = 80
"""How many characters of a name or a text fit a list."""

PRETTY = 10_000_000
"""How long indented JSON may become; deep nesting makes it far longer than what was stored."""

NOTHING = "-"
"""What pages show for null; Django does so in lists."""


def column_name(column: str | None) -> str | None:
    return codec.from_column(column) if column else None


def breakable(name: str) -> SafeString:
    """A collection's name, which may be broken behind its underscores."""
    parts = re.findall("[^_]*_+|[^_]+", name)
    return format_html_join(mark_safe("<wbr>"), "{}", ((part,) for part in parts))


def session_name(session: Session) -> str:
    names = (cut(column_name(session.namespace)), cut(column_name(session.session_id)))
    return "/".join(name for name in names if name)


def cut(text: str | None) -> str | None:
    if text is None or len(text) <= NAME:
        return text and codec.printable(text)
    return codec.printable(text[: NAME - 1]) + "…"


def pretty(value: object, limit: int = PRETTY) -> str:
    """Indented JSON, unless that is longer than ``limit``.

    Lone surrogates stand in it as the escapes that JSON has for them.
    """
    text = _indented(value, limit) or json.dumps(value, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def _indented(value: object, limit: int) -> str | None:
    parts, length = [], 0
    try:
        for part in json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(value):
            parts.append(part)
            length += len(part)
            if length > limit:
                return None
    except RecursionError:
        return None
    return "".join(parts)


def pretty_text(text: str) -> str:
    """JSON text, indented; as it is when it is no JSON."""
    try:
        return pretty(json.loads(text))
    except (ValueError, RecursionError):
        return codec.printable(text)


def pre(text: str) -> SafeString:
    return format_html('<pre class="parlant-json" dir="ltr">{}</pre>', text)


def list_column(model: type[Model], name: str) -> Any:
    """A name as a column of a list."""
    field = model_field(model, name)

    @admin.display(description=field.verbose_name)
    def column(row: Model) -> str | None:
        return cut(column_name(getattr(row, name)))

    column.__name__ = name
    return column


def full_name(model: type[Model], name: str) -> Any:
    """A name as a field of a page, at its full length."""
    field = model_field(model, name)

    @admin.display(description=field.verbose_name)
    def full(row: Any) -> str:
        names = row.data if isinstance(row, Document) else json.loads(row.full_names or "{}")
        text = names.get(field.column)
        shown = codec.printable(text) if isinstance(text, str) else column_name(getattr(row, name))
        return shown or NOTHING

    full.__name__ = name
    return full


def model_field(model: type[Model], name: str) -> Any:
    return model._meta.get_field(name)


def grouped(number: int) -> str:
    """``number`` as people read it: "10,000"."""
    return number_format(number, force_grouping=True)


def rounded(estimate: float) -> int:
    """An estimate's first two digits: the others say nothing."""
    return int(round(estimate, 2 - len(str(int(estimate)))))
