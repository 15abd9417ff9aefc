"""The tools whose calls failed in the conversations that were active last."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connections, router
from django.db.models import Model
from django.db.models.functions import Left

from parlant_store.admin.documents.lookups import json_text
from parlant_store.admin.formatting import cut
from parlant_store.content import codec
from parlant_store.content.failures import block_status, call_status, parlant_call_status
from parlant_store.content.related_documents import SESSIONS, sessions_prefix
from parlant_store.models import Document, Session

MAX_CONVERSATIONS = 20
"""Limit on the conversations that are read, of sessions and of Parlant each."""

LATEST = 60
"""The number of the latest items of a session that are read."""

MAX_EVENTS = 200
"""Limit on the events that are read."""

MAX_TEXT = 4_000
"""Limit on the characters of an item that are read; longer items are left out."""

MAX_TOOLS = 10
"""Limit on the tools that are shown."""

_ITEMS = f"""
SELECT s.key, {{start}} FROM (
    SELECT key, next_position FROM parlant_store_session WHERE failed_calls > 0
    ORDER BY active_minute DESC, key DESC LIMIT {MAX_CONVERSATIONS}
) s JOIN parlant_store_session_item i
ON i.session_key = s.key AND i.position >= s.next_position - {LATEST}
ORDER BY s.key, i.position
"""
_START = {
    "postgresql": f"left(i.data, {MAX_TEXT + 1})",
    "sqlite": f"substr(i.data, 1, {MAX_TEXT + 1})",
}


class FailingTool(NamedTuple):
    name: str
    """"" if the call is not among what was read."""

    number: int
    """The number of failed calls."""


def failing_tools(models: Sequence[type[Model]]) -> list[FailingTool]:
    """Return the tools with the most failed calls.

    models: which of Session and Document are read.
    """
    names: Counter[str] = Counter()
    if Session in models:
        names.update(_failed_in_sessions())
    if Document in models:
        names.update(_failed_in_parlant())
    return [FailingTool(cut(name) or "", number) for name, number in names.most_common(MAX_TOOLS)]


def _failed_in_sessions() -> Iterator[str]:
    connection = connections[router.db_for_read(Session)]
    with connection.cursor() as cursor:
        cursor.execute(_ITEMS.format(start=_START[connection.vendor]))
        rows = cursor.fetchall()
    called: dict[int, dict[str, str]] = defaultdict(dict)
    for key, text in rows:
        if len(text) <= MAX_TEXT and (item := _object(text)):
            called[key].update(_calls(item))
            for id_, name in _failed(item):
                yield name or called[key].get(id_, "")


def _failed_in_parlant() -> Iterator[str]:
    sessions = Document.objects.filter(active_minute__isnull=False, failed_calls__gt=0)
    newest = sessions.order_by("-active_minute", "-key").values_list("collection", "document_id")
    ids = defaultdict(list)
    for collection, id_ in newest[:MAX_CONVERSATIONS]:
        prefix = sessions_prefix(collection) if collection.endswith(SESSIONS) else None
        if prefix is not None:
            ids[f"{prefix}events"].append(id_)
    events = [
        Document.objects.filter(collection=collection, session_id__in=ids[collection])
        .filter(failed_calls__gt=0)
        .values_list(Left(json_text(("data",)), MAX_TEXT * 5))
        for collection in ids
    ]
    if not events:
        return
    for (text,) in events[0].union(*events[1:], all=True)[:MAX_EVENTS]:
        calls = _object(codec.unescape(text or "")).get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if parlant_call_status(call) == "failed":
                yield _string(call.get("tool_id"))


def _calls(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the ids and the names of the calls in an item."""
    kind = _string(item.get("type"))
    if kind.endswith("_call"):
        name = _string(item.get("name")) or kind.removesuffix("_call")
        yield _string(item.get("call_id")) or _string(item.get("id")), name
    for call in _list(item.get("tool_calls")):
        function = call.get("function") or call.get("custom") or call
        if isinstance(function, Mapping):
            yield _string(call.get("id")), _string(function.get("name"))
    for block in _list(item.get("content")):
        if _string(block.get("type")).endswith("tool_use"):
            yield _string(block.get("id")), _string(block.get("name"))


def _failed(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Return the ids of the failed calls of an item, with their names if it has them."""
    if call_status(item) == "failed":
        name = _string(item.get("tool_name")) or _string(item.get("name"))
        id_ = _string(item.get("call_id")) or _string(item.get("tool_call_id"))
        yield id_ or _string(item.get("id")), name
    for block in _list(item.get("content")):
        if block_status(block) == "failed":
            yield _string(block.get("tool_use_id")), ""


def _list(value: object) -> list[Mapping[str, Any]]:
    values = value if isinstance(value, list) else []
    return [one for one in values if isinstance(one, Mapping)]


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
