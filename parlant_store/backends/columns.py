"""Conversion between names or documents and the columns of a row, for all backends."""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from parlant_store.backends.contract.validation import SessionName
from parlant_store.content import codec
from parlant_store.content.events import searched
from parlant_store.content.items import searched_text
from parlant_store.content.query import Filter
from parlant_store.content.related_documents import SESSIONS
from parlant_store.content.text_search import snippet, texts_by_owner
from parlant_store.content.usage import decode_usage, usage_of
from parlant_store.types import (
    PROMOTED,
    ExpiredDocument,
    ExpiredSession,
    JSONObject,
    Replacement,
    SearchHit,
    StoredDocument,
    Turn,
    Usage,
)

logger = logging.getLogger("parlant_store")

MAX_SNIPPETS = 5
"""Limit on the items of a session in the results of a search."""


StoredWords = Callable[[list[str] | None, list[str] | None], str | None]
"""``text_search.tsvector`` or ``text_search.stored_words``."""

NOT_SEARCHED: dict[str, str | int | None] = {"terms": None, "failed_calls": None}
"""The columns for search of most documents."""

REPLACED = (
    *(f"{name} = excluded.{name}" for name in (*PROMOTED, "data", "updated_at", "expires_at")),
    "terms = excluded.terms",
    "failed_calls ="
    " CASE WHEN d.active_minute IS NULL THEN excluded.failed_calls ELSE d.failed_calls END",
)
"""The columns of the document d that an insert replaces, as SQL; Parlant sessions keep figures."""


class Columns(NamedTuple):
    """The names of a session in the form of its columns."""

    namespace: str
    session_id: str


@lru_cache(maxsize=1_000)
def columns(name: SessionName) -> Columns:
    return Columns(codec.to_column(name.namespace), codec.to_column(name.session_id))


def full_names(name: SessionName, user_id: str | None = None) -> str | None:
    """Return the names that the columns shorten, as JSON text; None if there are none."""
    names = {"namespace": name.namespace, "session_id": name.session_id, "user_id": user_id}
    long = {what: text for what, text in names.items() if text and codec.is_long(text)}
    return json.dumps(long) if long else None


def name_of(namespace: str, session_id: str, full: str | None) -> SessionName:
    """Return the name of a session from its columns; reverses ``columns`` and ``full_names``."""
    if full is None:
        return SessionName(codec.unescape(namespace), codec.unescape(session_id))
    names = json.loads(full)
    return SessionName(
        names.get("namespace", codec.unescape(namespace)),
        names.get("session_id", codec.unescape(session_id)),
    )


def owner_of(user_id: str | None, full: str | None) -> str | None:
    """Return the owner of a session from its columns."""
    names = {} if full is None else json.loads(full)
    owner: str | None = names.get("user_id", user_id and codec.unescape(user_id))
    return owner


def parent_of(parent_id: str | None, parent_name: str | None) -> str | None:
    """Return the id of a session's parent from its columns; reverses ``parent_columns``."""
    if parent_name is not None:
        # A user of Supabase may write any text.
        with suppress(ValueError, RecursionError):
            name = json.loads(parent_name)
            if isinstance(name, str):
                return name
    return None if parent_id is None else codec.unescape(parent_id)


def parent_columns(parent_id: str | None) -> tuple[str | None, str | None]:
    """Return the columns parent_id and parent_name of a session with this parent."""
    return (
        (None, None) if parent_id is None else (codec.to_column(parent_id), parent_name(parent_id))
    )


def parent_name(parent_id: str) -> str | None:
    """Return JSON of the parent's id if its column shortens it."""
    return json.dumps(parent_id) if codec.is_long(parent_id) else None


def turns_of(
    rows: Sequence[Sequence[Any]], name: SessionName, time_of: Callable[[str], datetime]
) -> list[Turn]:
    """Return turns from rows of number, position, text, usage, time, number of items, and item."""
    items = iter(decode_items([data for *_, data in rows if data is not None], name))
    return [
        Turn(
            number=number,
            position=position,
            text=text or "",
            created_at=time_of(created_at),
            item_count=count,
            usage=None if usage is None else usage_of(decode_usage(usage)),
            item=None if data is None else next(items),
        )
        for number, position, text, usage, created_at, count, data in rows
    ]


def usage_by_turn(rows: Iterable[Sequence[Any]]) -> dict[int, Usage]:
    """Return the usage of turns from pairs of a number and stored usage, in the order of turns."""
    usages = {
        turn: usage_of(decode_usage(usage)) for turn, usage in sorted(rows, key=itemgetter(0))
    }
    return {turn: usage for turn, usage in usages.items() if usage is not None}


def promoted(document: JSONObject) -> dict[str, str | None]:
    """Return the promoted columns of ``document``, for the fields that it has."""
    return {
        field: codec.to_column(value) if isinstance(value := document[field], str) else None
        for field in PROMOTED
        if field in document
    }


def searched_columns(
    collection: str, document: JSONObject, stored: StoredWords
) -> dict[str, str | int | None]:
    """Return the columns for search; without any if ``document``, or changes, have nothing of it.

    ``stored`` returns words in the form of the database.
    """
    found = searched(collection, document)
    if found is None:
        return {}
    terms = stored(found.words, found.tool_words)
    if collection.endswith(SESSIONS):
        # Triggers keep the failed calls of a Parlant session.
        return {"terms": terms}
    return {"terms": terms, "failed_calls": found.failed_calls}


def replaced(replacement: Replacement, stored: StoredWords) -> dict[str, str | int | None]:
    """Return the columns of the new document: all but its key and its times."""
    collection, document = replacement.collection, replacement.document
    fields = promoted(document)
    return {
        "collection": codec.to_column(collection),
        **{field: fields.get(field) for field in PROMOTED},
        "data": codec.encode_document(document, "document"),
        **NOT_SEARCHED,
        **searched_columns(collection, document, stored),
    }


def stored(rows: Sequence[Sequence[Any]]) -> list[StoredDocument]:
    """Return documents from pairs of a key and a text."""
    documents = codec.decode_documents([text for _, text in rows])
    return [
        StoredDocument(key=key, text=text, document=document)
        for (key, text), document in zip(rows, documents, strict=True)
    ]


def upsert_lock(collection: str, filter_: Filter) -> str:
    """Return the name of the lock for upserts of the same document, which would both insert it."""
    return codec.escape(f"upsert {collection} {filter_}")


def number_lock(collection: str, group: str) -> str:
    """Return the name of the lock for inserts of numbered documents of the same group."""
    return codec.escape(f"number {collection} {group}")


def hits(
    rows: Iterable[Sequence[Any]], terms: list[list[str]], *, tools: bool = False
) -> list[SearchHit]:
    """Return the hits of a search from rows of a session's names, its score, a text and its place.

    With ``tools``, the text is the beginning of an item's JSON text.
    """
    return [
        SearchHit(
            **name_of(*names)._asdict(),
            score=float(score),
            snippets=tuple(snippet(_searched(text) if tools else text, terms) for text, _ in texts),
        )
        for (*names, score), texts in texts_by_owner(rows).items()
    ]


def _searched(data: str) -> str:
    """Return the texts of an item; the JSON text if it is cut or damaged."""
    try:
        item = json.loads(data)
    except (ValueError, RecursionError):
        return data
    return searched_text(item) if isinstance(item, dict) else data


def due(documents: bool, rows: Iterable[Sequence[Any]]) -> list[ExpiredSession | ExpiredDocument]:
    """Return what would be deleted, from rows of parlant_store_list_due."""
    if documents:
        return [
            ExpiredDocument(
                key=key,
                collection=codec.unescape(collection),
                id=None if id_ is None else codec.unescape(id_),
            )
            for key, collection, id_ in rows
        ]
    return [
        ExpiredSession(key=key, item_count=count, **name_of(*names)._asdict())
        for key, *names, count in rows
    ]


def decode_all(texts: Sequence[str], name: SessionName) -> list[JSONObject]:
    """Decode items; skip damaged ones with a warning."""
    items = decode(texts)
    return _decode_damaged(texts, name) if items is None else items


def decode(texts: Sequence[str]) -> list[JSONObject] | None:
    """Decode items; return None if one of them is damaged."""
    return decode_joined(",".join(texts), len(texts))


def decode_joined(text: str, count: int) -> list[Any] | None:
    """Decode ``count`` values with commas between them; return None if one is damaged."""
    try:
        values: list[Any] = json.loads(f"[{text}]")
    except (ValueError, RecursionError):
        return None
    return values if len(values) == count else None


def decode_items(texts: Sequence[str], name: SessionName) -> list[JSONObject | None]:
    """Decode items; None, with a warning, stands for a damaged one."""
    items = decode(texts)
    if items is not None and are_objects(items):
        return [*items]
    return [_decode_one(text, name) for text in texts]


def are_objects(values: Iterable[Any]) -> bool:
    return {*map(type, values)} <= {dict}


def _decode_one(text: str, name: SessionName) -> JSONObject | None:
    try:
        item = json.loads(text)
    except (ValueError, RecursionError):
        item = None
    if isinstance(item, dict):
        return item
    logger.warning("Skipped a damaged item of %r", name)
    return None


def _decode_damaged(texts: Sequence[str], name: SessionName) -> list[JSONObject]:
    items = []
    for text in texts:
        try:
            items.append(json.loads(text))
        except (ValueError, RecursionError):
            logger.warning("Skipped a damaged item of %r", name)
    return items


def decode_state(text: str, name: SessionName) -> JSONObject:
    """Decode a state; return an empty one, with a warning, if it is damaged."""
    try:
        state = codec.decode_document(text)
    except (ValueError, RecursionError):
        state = None
    if isinstance(state, dict):
        return state
    logger.warning("Skipped the damaged state of %r", name)
    return {}
