"""Sessions, documents and threads as JSON Lines, in pieces.

Concurrent writes may or may not be exported; rows that are deleted meanwhile are left out.
"""

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import router
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from parlant_store.admin.lookups import batches
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.columns import name_of, owner_of, parent_of, usage_by_turn
from parlant_store.backends.contract.validation import SessionName
from parlant_store.content import codec
from parlant_store.content.items import tokens_of
from parlant_store.content.times import as_utc
from parlant_store.content.usage import TOTAL, counts_of, decode_usage, usage_of
from parlant_store.models import Document, Session, SessionItem
from parlant_store.personal_threads import exported_thread
from parlant_store.types import DocumentRecord, SessionHistory, SessionRecord, ThreadInfo, Usage

ROWS = 100
"""Limit on the sessions or documents in a statement."""

ITEMS = 100
"""Limit on the items in a statement."""


def download(
    request: HttpRequest, name: str, lines: Iterable[Iterator[str]]
) -> StreamingHttpResponse:
    """Return a file of all ``lines``, whose name starts with ``name``."""
    time = timezone.now().strftime("%Y-%m-%d-%H%M%S")
    pieces = chain.from_iterable(lines)
    return StreamingHttpResponse(
        # Django makes a list of an iterator of the other kind.
        _asynchronous(pieces) if isinstance(request, ASGIRequest) else pieces,
        content_type="application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="{name}-{time}.jsonl"'},
    )


def session_line(record: SessionRecord) -> str:
    history = SessionHistory() if record.history is None else record.history
    counts = None if history.usage is None else counts_of(history.usage)
    tokens = sum(filter(None, map(tokens_of, record.items))) + (counts or {}).get(TOTAL, 0)
    history = replace(history, usage=usage_of(counts, tokens or None))
    name = SessionName(record.namespace, record.session_id)
    start = _start(record, name, record.user_id, history)
    return f"{start}{', '.join(map(json.dumps, record.items))}{_end(history.turn_usage)}"


def document_line(collection: str, record: DocumentRecord) -> str:
    line = {
        "collection": collection,
        "document": record.document,
        "updated_at": record.updated_at and as_utc(record.updated_at).isoformat(),
        "expires_at": record.expires_at and as_utc(record.expires_at).isoformat(),
    }
    return json.dumps(line) + "\n"


def session_lines(keys: Sequence[int]) -> Iterator[str]:
    """Yield each session as a line, a long one in several pieces."""
    for batch in batches(keys, ROWS):
        found = Session.objects.using(_primary(Session)).filter(key__in=batch).order_by("key")
        few: list[Session] = []
        for session in found:
            if sum(one.item_count for one in few) + session.item_count > ITEMS:
                yield from _few(few)
                few = []
            if session.item_count > ITEMS:
                yield from _many(session)
            else:
                few.append(session)
        yield from _few(few)


def document_lines(keys: Sequence[int]) -> Iterator[str]:
    for batch in batches(keys, ROWS):
        found = Document.objects.using(_primary(Document)).filter(key__in=batch)
        for document in found.order_by("key"):
            record = DocumentRecord(
                document=document.data,
                updated_at=document.updated_at,
                expires_at=document.expires_at,
            )
            yield document_line(codec.unescape(document.collection), record)


def thread_lines(store: BaseBackend, threads: Iterable[ThreadInfo]) -> Iterator[str]:
    """Yield a line for each thread, and one for each of its checkpoints."""
    for thread in threads:
        for line in exported_thread(store, thread):
            yield json.dumps(line) + "\n"


def _few(sessions: list[Session]) -> Iterator[str]:
    """Yield sessions that have few items together, by one statement."""
    texts: dict[int, list[str]] = {session.key: [] for session in sessions}
    usages: dict[int, list[Any]] = {session.key: [] for session in sessions}
    if any(session.item_count for session in sessions):
        items = (
            SessionItem.objects.using(_primary(SessionItem))
            .filter(session__in=texts)
            .order_by("session", "position")
        )
        for key, text, *used in items.values_list("session_id", "data", "turn", "usage"):
            texts[key].append(text)
            usages[key].append(used)
    for session in sessions:
        items_text = ", ".join(map(_item, texts[session.key]))
        yield f"{_head(session)}{items_text}{_end(_turn_usage(usages[session.key]))}"


def _many(session: Session) -> Iterator[str]:
    items = (
        SessionItem.objects.using(_primary(SessionItem))
        .filter(session=session.key)
        .order_by("position")
    )
    yield _head(session)
    after, separator = -1, ""
    turns: dict[int, Usage] = {}
    rows = items.values_list("position", "data", "turn", "usage")
    while page := list(rows.filter(position__gt=after)[:ITEMS]):
        yield separator + ", ".join(_item(text) for _, text, *_ in page)
        after, separator = page[-1][0], ", "
        turns |= _turn_usage(used for _, _, *used in page)
    yield _end(turns)


_primary = router.db_for_write


def _head(session: Session) -> str:
    return _start(
        session,
        name_of(session.namespace, session.session_id, session.full_names),
        owner_of(session.user_id, session.full_names),
        SessionHistory(
            usage=usage_of(decode_usage(session.usage), session.tokens),
            parent_id=parent_of(session.parent_id, session.parent_name),
            parent_position=session.parent_position,
        ),
    )


def _start(session: Any, name: SessionName, user_id: str | None, history: SessionHistory) -> str:
    """Return the line of a Session or SessionRecord up to its first item."""
    fields = {
        **name._asdict(),
        "user_id": user_id,
        "metadata": session.metadata,
        "state": session.state,
        "created_at": session.created_at and as_utc(session.created_at).isoformat(),
        "updated_at": session.updated_at and as_utc(session.updated_at).isoformat(),
        "expires_at": session.expires_at and as_utc(session.expires_at).isoformat(),
        "parent_id": history.parent_id,
        "parent_position": history.parent_position,
        "usage": None if history.usage is None else asdict(history.usage),
    }
    return json.dumps(fields)[:-1] + ', "items": ['


def _turn_usage(rows: Iterable[Sequence[Any]]) -> dict[int, Usage]:
    """Return the usage of turns from the columns turn and usage of items."""
    return usage_by_turn([(turn or 0, usage) for turn, usage in rows if usage is not None])


def _end(turns: Mapping[int, Usage]) -> str:
    """Return the line of a session after its last item."""
    usage = {turn: asdict(used) for turn, used in turns.items()}
    return f'], "turn_usage": {json.dumps(usage)}}}\n'


def _item(text: str) -> str:
    """Return an item as it was stored; a damaged one as its text."""
    try:
        return json.dumps(json.loads(text, parse_constant=_refused))
    except (ValueError, RecursionError):
        return json.dumps({"damaged": text})


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


async def _asynchronous(lines: Iterator[str]) -> AsyncIterator[str]:
    ahead = sync_to_async(lambda: next(lines, None))
    while (line := await ahead()) is not None:
        yield line
