"""Sessions and documents as JSON Lines, a piece at a time.

What somebody writes meanwhile may or may not be in it; what somebody removes is missing.
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db import router
from django.db.models import Model
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from parlant_store.admin.batches import batches
from parlant_store.backends.columns import name_of, owner_of
from parlant_store.content import codec
from parlant_store.content.times import as_utc
from parlant_store.models import Document, Session, SessionItem

ROWS = 100
"""How many sessions or documents are read at once."""

ITEMS = 100
"""How many items are."""


def exported(
    request: HttpRequest, model: type[Model], keys: Sequence[int]
) -> StreamingHttpResponse:
    """A file to download."""
    lines = session_lines(keys) if model is Session else document_lines(keys)
    time = timezone.now().strftime("%Y-%m-%d-%H%M%S")
    name = f"{model._meta.model_name}s-{time}.jsonl"
    return StreamingHttpResponse(
        # Of an iterator of the other kind, Django makes a list.
        _awaited(lines) if isinstance(request, ASGIRequest) else lines,
        content_type="application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def session_lines(keys: Sequence[int]) -> Iterator[str]:
    """Each session as a line, in several pieces where it is long."""
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
            record = {
                "collection": codec.unescape(document.collection),
                "document": document.data,
                "updated_at": as_utc(document.updated_at).isoformat(),
                "expires_at": document.expires_at and as_utc(document.expires_at).isoformat(),
            }
            yield json.dumps(record) + "\n"


def _few(sessions: list[Session]) -> Iterator[str]:
    """Sessions that have few items together, which are read at once."""
    texts: dict[int, list[str]] = {session.key: [] for session in sessions}
    if any(session.item_count for session in sessions):
        items = (
            SessionItem.objects.using(_primary(SessionItem))
            .filter(session__in=texts)
            .order_by("session", "position")
        )
        for key, text in items.values_list("session_id", "data"):
            texts[key].append(text)
    for session in sessions:
        yield f"{_head(session)}{', '.join(map(_item, texts[session.key]))}{_END}"


def _many(session: Session) -> Iterator[str]:
    items = (
        SessionItem.objects.using(_primary(SessionItem))
        .filter(session=session.key)
        .order_by("position")
    )
    yield _head(session)
    after, separator = -1, ""
    while page := list(items.filter(position__gt=after).values_list("position", "data")[:ITEMS]):
        yield separator + ", ".join(_item(text) for _, text in page)
        after, separator = page[-1][0], ", "
    yield _END


_END = "]}\n"
_primary = router.db_for_write


def _head(session: Session) -> str:
    """The line up to the first item."""
    namespace, session_id = name_of(session.namespace, session.session_id, session.full_names)
    record = {
        "namespace": namespace,
        "session_id": session_id,
        "user_id": owner_of(session.user_id, session.full_names),
        "metadata": session.metadata,
        "state": session.state,
        "created_at": as_utc(session.created_at).isoformat(),
        "updated_at": as_utc(session.updated_at).isoformat(),
        "expires_at": session.expires_at and as_utc(session.expires_at).isoformat(),
    }
    return json.dumps(record)[:-1] + ', "items": ['


def _item(text: str) -> str:
    """An item as it was given; the text of one that is damaged."""
    try:
        return json.dumps(json.loads(text, parse_constant=_refused))
    except (ValueError, RecursionError):
        return json.dumps({"damaged": text})


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


async def _awaited(lines: Iterator[str]) -> AsyncIterator[str]:
    ahead = sync_to_async(lambda: next(lines, None))
    while (line := await ahead()) is not None:
        yield line
