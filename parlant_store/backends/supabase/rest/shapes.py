"""The shapes of answers: predicates that check the JSON values of each function."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

_PLAIN_JSON = re.compile(r"-?[0-9][0-9.eE+-]*|true|false|null")

Shape = Callable[[Any], bool]


def anything(value: Any) -> bool:
    return True


def text(value: Any) -> bool:
    return isinstance(value, str)


def integer(value: Any) -> bool:
    return type(value) is int


def number(value: Any) -> bool:
    return type(value) in (int, float)


def boolean(value: Any) -> bool:
    return isinstance(value, bool)


def document(value: Any) -> bool:
    """JSON as text, mostly an object; only its first and last characters are checked."""
    return isinstance(value, str) and (
        value[:1] + value[-1:] in ("{}", "[]", '""') or _PLAIN_JSON.fullmatch(value) is not None
    )


def moment(value: Any) -> bool:
    """A time in ISO 8601."""
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def optional(shape: Shape) -> Shape:
    """Null, or a value of ``shape``."""
    return lambda value: value is None or shape(value)


def list_of(shape: Shape) -> Shape:
    return lambda value: isinstance(value, list) and all(map(shape, value))


def row(*shapes: Shape) -> Shape:
    """A list with one value for each of ``shapes``."""
    return lambda value: (
        isinstance(value, list)
        and len(value) == len(shapes)
        and all(shape(part) for shape, part in zip(shapes, value, strict=True))
    )


def record(**shapes: Shape) -> Shape:
    """An object with at least these fields."""
    return lambda value: (
        isinstance(value, dict)
        and all(name in value and shape(value[name]) for name, shape in shapes.items())
    )


def session_record(value: Any) -> bool:
    """A session with the texts of its items, and as many times and usages."""
    return _RECORD(value) and len(value["items"]) == len(value["times"]) == len(value["usages"])


_VALUES = list_of(row(integer, text, text, text, text, text))
_WRITES = list_of(row(integer, text, text, integer, text, text, text))
CHECKPOINTS = record(
    checkpoints=list_of(
        row(
            *(integer, integer, text, optional(text), text, optional(text)),
            *(text, optional(text), document, document, text, text),
        )
    ),
    values=_VALUES,
    writes=_WRITES,
)
CHANNEL_HISTORY = record(values=_VALUES, writes=_WRITES)
_THREAD = row(
    *(text, text, optional(text), optional(text), moment, moment, optional(moment)),
    *(optional(text), integer),
)
THREAD = optional(_THREAD)
THREADS = list_of(_THREAD)
CHECKPOINT_INFOS = record(
    checkpoints=list_of(
        row(
            *(integer, text, optional(text), text, optional(text), moment),
            *(document, document, optional(document)),
        )
    ),
    written=list_of(row(integer, text, text, integer, integer, integer)),
)
THREAD_RECORDS = list_of(
    row(
        *(integer, text, text, optional(text), optional(text)),
        *(moment, moment, optional(moment)),
    )
)


def _page(*columns: Shape) -> Shape:
    """Rows that start with their key and that of their thread."""
    return record(rows=list_of(row(integer, integer, *columns)), has_more=boolean)


CHECKPOINT_RECORDS = _page(
    *(text, optional(text), text, optional(text)), *(document, document, text, text, moment)
)
VALUE_RECORDS = _page(text, text, text, text, text)
WRITE_RECORDS = _page(text, text, text, text, integer, text, text, text)
EXPIRED_THREADS = record(v_threads=integer, v_has_threads=boolean)
_EXPIRED = {
    "v_namespaces": optional(list_of(text)),
    "v_session_ids": optional(list_of(text)),
    "v_names": optional(list_of(optional(text))),
    "v_items": optional(list_of(integer)),
    "v_documents": integer,
    "v_is_hidden": boolean,
}
EXPIRED = record(v_threads=integer, v_has_threads=boolean, **_EXPIRED)
RETIRED = record(v_after=anything, **_EXPIRED)
DUE_SESSIONS = record(
    rows=list_of(row(integer, text, text, optional(text), integer)), after=anything
)
DUE_DOCUMENTS = record(rows=list_of(row(integer, text, optional(text))), after=anything)
DELETED = record(v_items=optional(integer), v_is_hidden=boolean)
SESSION = record(
    namespace=text,
    session_id=text,
    full_names=optional(text),
    user_id=optional(text),
    item_count=integer,
    tokens=optional(integer),
    metadata=document,
    created_at=moment,
    updated_at=moment,
    expires_at=optional(moment),
    parent_id=optional(text),
    parent_name=optional(text),
    parent_position=optional(integer),
)
SNAPSHOT = record(
    key=integer, next_position=integer, item_count=integer, state=text, items=list_of(text)
)
REVISION = record(v_key=optional(integer), v_next=optional(integer), v_items=optional(integer))
TAIL = record(deleted=optional(integer), items=optional(integer), is_missing=boolean)
BRANCHED = record(items=optional(integer), is_missing=boolean, is_taken=boolean)
USAGE_ADDED = record(is_found=boolean, is_missing=boolean)
USAGE = row(anything, optional(integer))
USAGE_OF_TURNS = list_of(row(integer, anything))
TURNS = list_of(row(integer, integer, optional(text), anything, moment, integer, optional(text)))
FOUND = record(documents=list_of(document), total=optional(integer))
DOCUMENT = record(document=document, updated_at=moment, expires_at=optional(moment))
UPDATED = record(matched=boolean, document=optional(document))
SUMMARY = row(integer, text, text, integer, number, number, optional(text))
HIT = row(text, text, optional(text), number, text, integer)
_RECORD = record(
    session=SESSION,
    state=document,
    usage=anything,
    last_turn=integer,
    items=list_of(text),
    times=list_of(moment),
    usages=list_of(anything),
)
DOCUMENT_RECORD = row(integer, document, moment, optional(moment))
STORED = list_of(row(integer, document))
MEMORIES = list_of(row(document, moment, optional(integer)))
STATUS = record(
    version=text,
    role=text,
    now=number,
    postgresql=text,
    tables=list_of(
        record(
            name=text,
            secured=boolean,
            policies=list_of(text),
            may=list_of(text),
            open_to=list_of(text),
        )
    ),
    functions=list_of(record(name=text, may=list_of(text))),
    open=list_of(text),
)
