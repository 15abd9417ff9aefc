"""Columns of the list of documents, by collection."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Left
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.documents.lookups import COLUMNS, json_text
from parlant_store.admin.formatting import NAME, NOTHING, breakable, column_name, cut, model_field
from parlant_store.admin.lookups import NEWEST_FIRST, connection_of, fetch
from parlant_store.content import codec
from parlant_store.content.related_documents import SESSIONS
from parlant_store.models import Document
from parlant_store.types import FAILED, MEMORIES, JSONObject

MAX_FIELDS = 4
"""Limit on the columns for JSON fields of other collections than Parlant's."""

SAMPLE = 25
"""The number of the newest documents whose fields are read."""

SHOWN = "shown_"
"""The prefix of the names of the annotations."""

_UTC = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)", re.ASCII)

# Django takes a name that is a number for an index, which databases refuse if it is large.
_INDEX = re.compile(r"\s*[-+]?[\d_]+\s*")

_FIELDS = f"""
SELECT f.key FROM (
    SELECT data FROM parlant_store_document WHERE collection = %s
    ORDER BY {NEWEST_FIRST} LIMIT {SAMPLE}
) newest, {{each}} WHERE {{type}} NOT IN ('object', 'array', 'null')
GROUP BY f.key ORDER BY count(*) DESC, f.key LIMIT {MAX_FIELDS + len(COLUMNS)}
"""
_SQLITE = {"each": "json_each(newest.data) f", "type": "f.type"}
_POSTGRESQL = {"each": "jsonb_each(newest.data) f", "type": "jsonb_typeof(f.value)"}


class Column(NamedTuple):
    """A column of the list: of the model, or a JSON field."""

    name: str
    """The field of the model, or the name of the annotation without the prefix."""

    title: Any
    paths: tuple[tuple[str, ...], ...]
    """Where it is in the JSON; the first that is not null."""

    is_annotated: bool = True
    """Whether it is no field of the model."""


def _json(name: str, title: Any, *paths: str) -> Column:
    return Column(name, title, tuple(tuple(path.split(".")) for path in paths or (name,)))


def _field(name: str) -> Column:
    json_name = "id" if name == "document_id" else name
    return Column(name, model_field(Document, name).verbose_name, ((json_name,),), False)


_ID = _field("document_id")
_CREATED = _field("creation_utc")
_OWNERS = {name: _field(name) for name in ("session_id", "customer_id", "agent_id")}
_SESSION, _CUSTOMER, _AGENT = _OWNERS.values()
_TEXT = _json(
    "text",
    _("text"),
    *("data.message", "title", "name", "text", "data.status", "data.tool_calls.0.tool_id"),
)
_EVENT_TEXT = _json(
    "text", _("text"), "data.message", "data.status", "data.tool_calls.0.tool_id", "data"
)
_OFFSET = _json("offset", _("offset"))
_NAME = _json("name", _("name"))
_DESCRIPTION = _json("description", _("description"))
_KIND = _json("kind", _("kind"))
_SOURCE = _json("source", _("source"))

_PARLANT: dict[str, tuple[Column, ...]] = {
    SESSIONS: (_ID, _json("title", _("title")), _CUSTOMER, _AGENT, _json("mode", _("mode"))),
    "events": (_OFFSET, _KIND, _SOURCE, _EVENT_TEXT, _SESSION),
    "customers": (_ID, _NAME),
    "agents": (_ID, _NAME, _DESCRIPTION, _json("composition_mode", _("composition"))),
    "variables": (_ID, _NAME, _DESCRIPTION, _json("tool_id", _("tool"))),
    "values": (
        _ID,
        _json("variable_id", _("variable")),
        _json("key", _("key")),
        _json("data", _("value")),
    ),
    "guidelines": (
        _ID,
        _json("condition", _("condition"), "content.condition", "condition"),
        _json("action", _("action"), "content.action", "action"),
    ),
    "relationships": (_ID, _SOURCE, _json("target", _("target")), _KIND),
    MEMORIES: (_ID, _json("text", _("value"), "value"), _CUSTOMER),
}
"""The columns of Parlant's collections and of memories, by the suffix of their names."""


def columns_of(collection: str) -> tuple[Column, ...]:
    """Return the columns of a list of this collection; "": of all of them."""
    if not collection:
        return (_field("collection"), _ID, _TEXT, _CUSTOMER, _AGENT, _SESSION, _CREATED)
    if collection.endswith(FAILED):
        return (_ID, _json("reason", _("reason")), _CUSTOMER, _AGENT, _SESSION, _CREATED)
    return _parlant_columns(collection) or (_ID, *_occurring(collection), _CREATED)


def columns_of_documents(collection: str, documents: Sequence[JSONObject]) -> tuple[Column, ...]:
    """Return ``columns_of`` a collection of a remote store, by some of its documents."""
    if columns := _parlant_columns(collection):
        return columns
    counts = Counter(
        name
        for document in documents[:SAMPLE]
        for name, value in document.items()
        if isinstance(value, (str, int, float))
    )
    names = sorted(counts, key=lambda name: (-counts[name], name))
    return (_ID, *_shown_fields(names), _CREATED)


def _parlant_columns(collection: str) -> tuple[Column, ...]:
    found = (columns for suffix, columns in _PARLANT.items() if collection.endswith(suffix))
    columns = next(found, ())
    return (*columns, _CREATED) if columns else ()


def _occurring(collection: str) -> Iterator[Column]:
    """Return the fields that occur most in the newest documents, owners first."""
    connection = connection_of(Document)
    terms = _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE
    sql = _FIELDS.format(**terms)
    return _shown_fields([codec.unescape(name) for (name,) in fetch(connection, sql, [collection])])


def _shown_fields(names: Sequence[str]) -> Iterator[Column]:
    """Return the owners and the first MAX_FIELDS others of the names of fields."""
    yield from (column for name, column in _OWNERS.items() if name in names)
    others = [name for name in names if name not in COLUMNS and not _INDEX.fullmatch(name)]
    for number, name in enumerate(others[:MAX_FIELDS]):
        yield Column(f"field_{number}", codec.printable(name), ((name,),))


def annotated(documents: QuerySet[Any], columns: tuple[Column, ...]) -> QuerySet[Any]:
    """Return ``documents`` with the beginning of each field, and the offset of events."""
    fields = [column for column in columns if column.is_annotated]
    if _SESSION in columns and _OFFSET not in fields:
        fields.append(_OFFSET)
    texts = {}
    for field in fields:
        first, *rest = map(json_text, field.paths)
        texts[SHOWN + field.name] = Left(Coalesce(first, *rest) if rest else first, NAME + 1)
    rows: QuerySet[Any] = documents.annotate(**texts)
    return rows


def cell(document: JSONObject, column: Column) -> str | None:
    """Return the text of a column of a document of a remote store."""
    values = (_at(document, path) for path in column.paths)
    value = next((value for value in values if value is not None), None)
    if value is None or isinstance(value, str):
        return cut(value)
    return cut(json.dumps(value, ensure_ascii=False))


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        if isinstance(value, list) and name.isdecimal():
            value = value[int(name)] if int(name) < len(value) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def display(column: Column) -> Any:
    """Return the column as Django's list_display has it; cells have a label on phones."""

    @admin.display(description=column.title)
    def shown(document: Any) -> SafeString:
        text = _annotation if column.is_annotated else _value
        return labelled_cell(column.title, text(document, column.name))

    shown.__name__ = column.name
    return shown


def labelled_cell(label: Any, text: SafeString | str | None) -> SafeString:
    if not text:
        return format_html('<span class="parlant-none">{}</span>', NOTHING)
    return format_html(
        '<span class="parlant-cell" data-label="{}">{}</span>', capfirst(label), text
    )


def _annotation(document: Any, name: str) -> SafeString | str | None:
    """Return the text of a JSON field, or what a search found in it."""
    if name == "text" and document.snippet:
        snippet: SafeString = document.snippet
        return snippet
    text = getattr(document, SHOWN + name)
    return None if text is None else _short_time(cut(codec.unescape(str(text))) or "")


def _value(document: Any, name: str) -> SafeString | str | None:
    """Return the text of a field of the model, as a link to the session or person."""
    text = cut(column_name(getattr(document, name)))
    if not text:
        return text
    if name == "collection":
        return breakable(text)
    if name == "creation_utc":
        return _short_time(text)
    # The style sheet clips ids; screen readers read all of one.
    clipped = format_html('<bdi class="parlant-id" title="{0}">{0}</bdi>', text)
    urls = {"customer_id": "person_url", "session_id": "session_url"}
    url = getattr(document, urls[name], "") if name in urls else ""
    return format_html('<a href="{}">{}</a>', url, clipped) if url else clipped


def _short_time(text: str) -> SafeString | str:
    """Return a time in UTC, in ISO 8601, to the second; any other text as it is."""
    found = _UTC.fullmatch(text)
    if not found:
        return text
    return format_html(
        '<time class="parlant-created" datetime="{0}" title="{0}">{1} {2}</time>',
        text,
        *found.groups(),
    )
