"""Columns of the list of documents, so short that all of them fit a window."""

import re
from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from parlant_store.admin.formatting import list_column
from parlant_store.models import Document

_UTC = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)", re.ASCII)


def fitting_column(name: str, shown: Callable[[str], SafeString | str]) -> Any:
    """A column of the list, as ``shown`` shows its text."""
    text_of = list_column(Document, name)

    @admin.display(description=text_of.short_description)
    def column(document: Document) -> SafeString | str | None:
        text = text_of(document)
        return text and shown(text)

    column.__name__ = name
    return column


def clipped(id_: str) -> SafeString:
    """An id of which the style sheet shows no more than fits; the rest is heard all the same."""
    return format_html('<bdi class="parlant-id" title="{0}">{0}</bdi>', id_)


def short_time(text: str) -> SafeString | str:
    """A time in UTC as ISO 8601 has it, to the second; any other text as it is."""
    found = _UTC.fullmatch(text)
    if not found:
        return text
    return format_html(
        '<time class="parlant-created" datetime="{0}" title="{0}">{1} {2}</time>',
        text,
        *found.groups(),
    )
