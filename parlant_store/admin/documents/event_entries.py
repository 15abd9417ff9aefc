"""A Parlant session's events as entries of a transcript (parlant.core.sessions.Event)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from parlant_store.admin.formatting import cut, pretty
from parlant_store.admin.transcripts.entries import FOLDED, Call, Entry, Part, code_part, text_part
from parlant_store.content import codec

MESSAGE = FOLDED
"""How many characters of a message are read, and one more."""

READ = 20_000
"""How many characters of an event's data are read, and one more."""

KINDS: Any = {
    "customer": "user",
    "customer_ui": "user",
    "ai_agent": "assistant",
    "human_agent": "assistant",
    "human_agent_on_behalf_of_ai_agent": "assistant",
    "system": "system",
}
"""How a message of a source looks."""


class Event(NamedTuple):
    """What is read of an event; texts as the column keeps them, and bounded."""

    key: int
    offset: int | None
    """A negative number or None: it has none."""

    creation_utc: str | None
    source: str | None
    kind: str | None
    trace_id: str | None
    deleted: str | None
    """ "true" for one that is."""

    message: str | None
    speaker: str | None
    tool_id: str | None
    """That of its first call."""

    data: str | None
    """JSON, or the text that the data are."""


class _Said(NamedTuple):
    parts: tuple[Part, ...] = ()
    calls: tuple[Call, ...] = ()
    name: str | None = None
    is_cut: bool = False


def entries_of(events: Sequence[Event], url_of: Callable[[int], str]) -> list[Entry]:
    """The events in their order; the first of each trace names it.

    url_of: gives the page of the event of this key.
    """
    traces = [None, *(event.trace_id for event in events)]
    return [
        _entry(event, url_of(event.key), is_new=event.trace_id != before)
        for before, event in zip(traces, events, strict=False)
    ]


def _entry(event: Event, url: str, *, is_new: bool) -> Entry:
    said = _said(event)
    has_offset = event.offset is not None and event.offset >= 0
    return Entry(
        _heading(event),
        _look(event),
        name=said.name,
        parts=(*_notes(event, is_new=is_new), *said.parts),
        calls=said.calls,
        at=_time(event.creation_utc),
        anchor=f"event-{event.offset}" if has_offset else f"event-of-{event.key}",
        label=_("event %(offset)s") % {"offset": event.offset} if has_offset else _("event"),
        url=url,
        is_cut=said.is_cut,
    )


def _heading(event: Event) -> str:
    source = _text(event.source)
    sources = {
        "customer": _("Customer"),
        "customer_ui": _("Customer's interface"),
        "ai_agent": _("AI agent"),
        "human_agent": _("Human agent"),
        "human_agent_on_behalf_of_ai_agent": _("Human agent for the AI agent"),
        "system": _("System"),
    }
    kinds = {"tool": _("Tool call"), "status": _("Status")}
    heading = kinds.get(_text(event.kind)) or sources.get(source) or source or _("No source")
    if event.kind != "message" or not event.speaker:
        return heading
    return _("%(source)s: %(name)s") % {"source": heading, "name": cut(_text(event.speaker))}


def _look(event: Event) -> Any:
    if event.kind == "tool":
        return "tool"
    return KINDS.get(_text(event.source), "other") if event.kind == "message" else "other"


def _notes(event: Event, *, is_new: bool) -> Iterator[Part]:
    if event.deleted == "true":
        yield Part(_("Deleted: Parlant shows it to nobody."), "note")
    if is_new and event.trace_id:
        yield Part(_("Trace %(id)s") % {"id": cut(_text(event.trace_id))}, "note")


def _said(event: Event) -> _Said:
    if event.kind == "message" and event.message is not None:
        return _message(event)
    data = event.data or ""
    if len(data) > READ:
        return _Said((code_part(codec.unescape(data)),), name=_name(event), is_cut=True)
    match event.kind, _value(data):
        case "tool", {"tool_calls": [*calls]} if all(isinstance(call, dict) for call in calls):
            return _Said(calls=tuple(_call(call) for call in calls))
        case "status", {"status": str(status), **rest}:
            return _status(codec.printable(status), rest.get("data"))
        case kind, value:
            name = None if kind in ("message", "tool", "status") else _text(kind)
            return _Said(_any(value), name=cut(name))


def _message(event: Event) -> _Said:
    message = _text(event.message)
    parts = [text_part(message)] if message else [Part(_("No text."), "note")]
    value = _value(event.data or "") if len(event.data or "") <= READ else None
    if isinstance(value, dict) and value.get("flagged"):
        tags = value.get("tags")
        names = ", ".join(map(str, tags)) if isinstance(tags, list) else ""
        parts.insert(0, Part(_("Flagged by moderation: %(tags)s") % {"tags": cut(names)}, "note"))
    return _Said(tuple(parts))


def _call(call: Mapping[str, Any]) -> Call:
    result = call.get("result")
    outputs: tuple[Entry, ...] = ()
    if isinstance(result, dict):
        rest = {name: value for name, value in result.items() if name != "data" and value}
        parts = (*_any(result.get("data")), *(_any(rest) if rest else ()))
        outputs = (Entry(_("Tool output"), "tool", parts=parts),)
    name = call.get("tool_id")
    return Call(
        cut(name) if isinstance(name, str) else None,
        _any(call.get("arguments"), _("No arguments.")),
        outputs,
        note="" if outputs else _("No output."),
    )


def _status(status: str, data: Any) -> _Said:
    """A line, as there are many of them; what is said beside the stage is below it."""
    rest = data
    if isinstance(data, dict) and isinstance(data.get("stage"), str):
        status = f"{status}: {codec.printable(data['stage'])}"
        rest = {name: value for name, value in data.items() if name != "stage" and value}
    return _Said((_json(rest),) if rest else (), name=cut(status))


def _any(value: Any, nothing: str = "") -> tuple[Part, ...]:
    if value is None or value in ("", {}, []):
        return (Part(nothing or _("It is empty."), "note"),)
    return (text_part(value) if isinstance(value, str) else _json(value),)


def _json(value: Any) -> Part:
    return code_part(pretty(value, 2 * FOLDED))


def _name(event: Event) -> str | None:
    return cut(_text(event.tool_id)) if event.kind == "tool" else None


def _value(data: str) -> Any:
    """The data, whether the database gave them as JSON or as the text that they are."""
    try:
        return codec.decode_document(data)
    except (ValueError, RecursionError):
        return codec.unescape(data)


def _text(column: str | None) -> str:
    return codec.printable(codec.unescape(column or ""))


def _time(text: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    # Others may have no equivalent in another time zone.
    return time if 1 < time.year < 9999 else None
