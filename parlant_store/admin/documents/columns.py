"""Columns of the list of documents, by collection."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from django.contrib import admin
from django.db import connections, router
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Left
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.documents.lookups import COLUMNS, json_text
from parlant_store.admin.formatting import NAME, NOTHING, breakable, cut, list_column, model_field
from parlant_store.content import codec
from parlant_store.content.related_documents import SESSIONS
from parlant_store.models import Document
from parlant_store.types import FAILED, JSONObject

MAX_FIELDS = 4
"""Limit on the columns for JSON fields of other collections than Parlant's."""

SAMPLE = 25
"""The number of the newest documents whose fields are read."""

SHOWN = "shown_"
"""The prefix of the names of the annotations."""

_UTC = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)", re.ASCII)

# Django takes a name that is a number for an index, which databases refuse if it is large.
_INDEX = re.compile(r"\s*[-+]?[\d_]+\s*")

_FIELDS = """
SELECT f.key FROM (
    SELECT data FROM parlant_store_document WHERE collection = %s
    ORDER BY COALESCE(creation_utc, '') DESC, COALESCE(id, '') DESC LIMIT {limit}
) newest, {each} WHERE {type} NOT IN ('object', 'array', 'null')
GROUP BY f.key ORDER BY count(*) DESC, f.key LIMIT {fields}
"""
_SQLITE = {"each": "json_each(newest.data) f", "type": "f.type"}
_POSTGRESQL = {"each": "jsonb_each(newest.data) f", "type": "jsonb_typeof(f.value)"}


class Field(NamedTuple):
    """A JSON field that is a column of the list."""

    name: str
    """The name of its annotation, without the prefix."""

    paths: tuple[tuple[str, ...], ...]
    """Where it is; the first that is not null."""

    title: Any


def _field(name: str, title: Any, *paths: str) -> Field:
    return Field(name, tuple(tuple(path.split(".")) for path in paths or (name,)), title)


_TEXT = _field(
    "text",
    _("text"),
    "data.message",
    "title",
    "name",
    "text",
    "data.status",
    "data.tool_calls.0.tool_id",
)
_EVENT_TEXT = _field(
    "text", _("text"), "data.message", "data.status", "data.tool_calls.0.tool_id", "data"
)
_REASON = _field("reason", _("reason"))
_OFFSET = _field("offset", _("offset"))
_NAME = _field("name", _("name"))
_DESCRIPTION = _field("description", _("description"))
_KEY = _field("key", _("key"))

_PARLANT: dict[str, tuple[str | Field, ...]] = {
    SESSIONS: (
        "document_id",
        _field("title", _("title")),
        "customer_id",
        "agent_id",
        _field("mode", _("mode")),
    ),
    "events": (
        _OFFSET,
        _field("kind", _("kind")),
        _field("source", _("source")),
        _EVENT_TEXT,
        "session_id",
    ),
    "customers": ("document_id", _NAME),
    "agents": ("document_id", _NAME, _DESCRIPTION, _field("composition_mode", _("composition"))),
    "variables": ("document_id", _NAME, _DESCRIPTION, _field("tool_id", _("tool"))),
    "values": (
        "document_id",
        _field("variable_id", _("variable")),
        _KEY,
        _field("data", _("value")),
    ),
    "guidelines": (
        "document_id",
        _field("condition", _("condition"), "content.condition", "condition"),
        _field("action", _("action"), "content.action", "action"),
    ),
    "relationships": (
        "document_id",
        _field("source", _("source")),
        _field("target", _("target")),
        _field("kind", _("kind")),
    ),
}
"""The columns of Parlant's collections, by the suffix of their names."""

_NAMES = {"document_id": "id"}
"""The JSON fields of columns with another name."""

_MIXED = ("collection", "document_id", _TEXT, "customer_id", "agent_id", "session_id")


def columns_of(collection: str) -> tuple[str | Field, ...]:
    """Return the columns of a list of this collection; "": of all of them."""
    if not collection:
        return (*_MIXED, "creation_utc")
    if collection.endswith(FAILED):
        return ("document_id", _REASON, "customer_id", "agent_id", "session_id", "creation_utc")
    return _parlant_columns(collection) or (
        "document_id",
        *_occurring(collection),
        "creation_utc",
    )


def _parlant_columns(collection: str) -> tuple[str | Field, ...]:
    found = (columns for suffix, columns in _PARLANT.items() if collection.endswith(suffix))
    columns = next(found, ())
    return (*columns, "creation_utc") if columns else ()


def columns_of_documents(
    collection: str, documents: Sequence[JSONObject]
) -> tuple[str | Field, ...]:
    """Return ``columns_of`` a collection of a remote store, by some of its documents."""
    columns = _parlant_columns(collection)
    if columns:
        return columns
    counts = Counter(
        name
        for document in documents[:SAMPLE]
        for name, value in document.items()
        if isinstance(value, (str, int, float))
    )
    names = sorted(counts, key=lambda name: (-counts[name], name))
    return ("document_id", *_shown_fields(names), "creation_utc")


def cell(document: JSONObject, column: str | Field) -> str | None:
    """Return the text of a column of a document."""
    paths = column.paths if isinstance(column, Field) else ((_NAMES.get(column, column),),)
    values = (_at(document, path) for path in paths)
    value = next((value for value in values if value is not None), None)
    if value is None or isinstance(value, str):
        return cut(value)
    return cut(json.dumps(value, ensure_ascii=False))


def title(column: str | Field) -> Any:
    return column.title if isinstance(column, Field) else model_field(Document, column).verbose_name


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        if isinstance(value, list) and name.isdecimal():
            value = value[int(name)] if int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def _occurring(collection: str) -> Iterator[str | Field]:
    """Return the fields that occur most in the newest documents, owners first."""
    connection = connections[router.db_for_read(Document)]
    terms = _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE
    sql = _FIELDS.format(limit=SAMPLE, fields=MAX_FIELDS + len(COLUMNS), **terms)
    with connection.cursor() as cursor:
        cursor.execute(sql, [collection])
        names = [codec.unescape(name) for (name,) in cursor.fetchall()]
    return _shown_fields(names)


def _shown_fields(names: Sequence[str]) -> Iterator[str | Field]:
    """Return the owners and the first MAX_FIELDS others of the names of fields."""
    yield from (name for name in ("session_id", "customer_id", "agent_id") if name in names)
    others = [name for name in names if name not in COLUMNS and not _INDEX.fullmatch(name)]
    for number, name in enumerate(others[:MAX_FIELDS]):
        yield Field(f"field_{number}", ((name,),), codec.printable(name))


def annotated(documents: QuerySet[Any], columns: tuple[str | Field, ...]) -> QuerySet[Any]:
    """Return ``documents`` with the beginning of each field, and the offset of events."""
    fields = [column for column in columns if isinstance(column, Field)]
    if "session_id" in columns and _OFFSET not in fields:
        fields.append(_OFFSET)
    texts = {}
    for field in fields:
        first, *rest = map(json_text, field.paths)
        texts[SHOWN + field.name] = Left(Coalesce(first, *rest) if rest else first, NAME + 1)
    rows: QuerySet[Any] = documents.annotate(**texts)
    return rows


def display(column: str | Field) -> Any:
    """Return the column as Django's list_display has it; cells have a label on phones."""
    shown = _json_column(column) if isinstance(column, Field) else _DISPLAYED[column]

    @admin.display(description=shown.short_description)
    def labelled(document: Any) -> SafeString:
        return labelled_cell(shown.short_description, shown(document))

    labelled.__name__ = shown.__name__
    return labelled


def labelled_cell(label: Any, text: SafeString | str | None) -> SafeString:
    if not text:
        return format_html('<span class="parlant-none">{}</span>', NOTHING)
    return format_html(
        '<span class="parlant-cell" data-label="{}">{}</span>', capfirst(label), text
    )


def _json_column(field: Field) -> Any:
    @admin.display(description=field.title)
    def shown(document: Any) -> SafeString | str | None:
        text = getattr(document, SHOWN + field.name)
        snippet: SafeString | None = document.snippet if field.name == "text" else None
        if snippet:
            return snippet
        return None if text is None else short_time(cut(codec.unescape(str(text))) or "")

    shown.__name__ = field.name
    return shown


def _column(name: str, shown: Callable[[str], SafeString | str]) -> Any:
    """Return a column of the model, with its text as ``shown`` returns it."""
    text_of = list_column(Document, name)

    @admin.display(description=text_of.short_description)
    def column(document: Document) -> SafeString | str | None:
        text = text_of(document)
        return text and shown(text)

    column.__name__ = name
    return column


def _linked(name: str, attribute: str) -> Any:
    """Return a column whose text links to the address in ``attribute`` of the row."""
    text_of = list_column(Document, name)

    @admin.display(description=text_of.short_description)
    def column(document: Document) -> SafeString | None:
        text, url = text_of(document), getattr(document, attribute, "")
        if not (text and url):
            return text and clipped(text)
        return format_html('<a href="{}">{}</a>', url, clipped(text))

    column.__name__ = name
    return column


def clipped(id_: str) -> SafeString:
    """Return an id that the style sheet clips; screen readers read all of it."""
    return format_html('<bdi class="parlant-id" title="{0}">{0}</bdi>', id_)


def short_time(text: str) -> SafeString | str:
    """Return a time in UTC, in ISO 8601, to the second; any other text as it is."""
    found = _UTC.fullmatch(text)
    if not found:
        return text
    return format_html(
        '<time class="parlant-created" datetime="{0}" title="{0}">{1} {2}</time>',
        text,
        *found.groups(),
    )


_DISPLAYED = {
    "collection": _column("collection", breakable),
    "document_id": _column("document_id", clipped),
    "customer_id": _linked("customer_id", "person_url"),
    "agent_id": _column("agent_id", clipped),
    "session_id": _linked("session_id", "session_url"),
    "creation_utc": _column("creation_utc", short_time),
}
