"""A Parlant session's events as entries of a transcript (parlant.core.sessions.Event)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from parlant_store.admin.formatting import cut, text_of
from parlant_store.admin.transcript.entries import (
    FOLDED,
    Call,
    Entry,
    Kind,
    Part,
    Status,
    Text,
    code_part,
    folded,
    note,
    text_part,
)
from parlant_store.admin.transcript.formats.content import (
    MAX_PARTS,
    anything,
    json_part,
    lines,
    list_of,
    more,
    outcome,
    prose,
)
from parlant_store.admin.transcript.reading import beginning
from parlant_store.content import codec
from parlant_store.content.failures import parlant_call_status

MESSAGE = FOLDED
"""How many characters of a message are read, and one more."""

READ = 20_000
"""How many characters of an event's data are read, and one more."""

PREAMBLE = "__preamble__"
"""The tag of a message that comes before the answer (parlant.core.tags.Tag.preamble)."""

_KINDS: dict[str, Kind] = {
    "customer": "user",
    "customer_ui": "user",
    "ai_agent": "assistant",
    "human_agent": "assistant",
    "human_agent_on_behalf_of_ai_agent": "assistant",
    "system": "system",
}
"""How a message of a source looks."""

_MARKDOWN = ("ai_agent", "human_agent", "human_agent_on_behalf_of_ai_agent")
_MATCHES = ("matched_guidelines", "matched_journeys", "matched_journey_states")


def parlant_call(call: Mapping[str, Any]) -> Call:
    """A call as an entry shows it; ``...`` stands for a result or arguments that were not read."""
    result, arguments = call.get("result"), call.get("arguments")
    outputs: tuple[Entry, ...] = ()
    if isinstance(result, dict):
        outputs = (Entry(_("Tool output"), "tool", parts=tuple(_result(result))),)
    name = call.get("tool_id")
    return Call(
        cut(name) if isinstance(name, str) else None,
        () if arguments is ... else anything(arguments, _("No arguments.")),
        outputs,
        note="" if outputs or result is ... else _("No output."),
        status=parlant_call_status(call) or ("" if outputs or result is ... else "unanswered"),
    )


def handoffs(calls: Sequence[Mapping[str, Any]]) -> Iterator[Part]:
    """Who answers from here on, if a tool changed it."""
    for call in calls:
        match call:
            case {"result": {"control": {"mode": str(mode)}}} if mode:
                yield note(_handoff_words(mode))


def _result(result: Mapping[str, Any]) -> Iterator[Part]:
    data = result.get("data")
    yield from outcome(data) or (note(_("It is empty.")),)
    labels = {
        "metadata": _("Metadata"),
        "control": _("Control"),
        "canned_responses": _("Canned responses"),
        "canned_response_fields": _("Fields of canned responses"),
        "guidelines": _("Guidelines"),
    }
    # PostgreSQL keeps the fields of JSON in no order.
    for name in (*labels, *sorted(result.keys() - labels.keys() - {"data"})):
        if result.get(name):
            yield json_part(result[name], labels.get(name) or cut(name) or "")


def _handoff_words(mode: str) -> str:
    words = {
        "manual": _("Handed to a person: the agent does not answer from here on (mode manual)."),
        "auto": _("Given back to the agent: it answers from here on (mode auto)."),
    }
    return words.get(mode) or _("Mode %(mode)s") % {"mode": cut(mode)}


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
    """That of its first call, which may stand behind what is read of the data."""

    metadata: str | None
    """JSON of an object."""

    data: str | None
    """JSON, or the text that the data are."""


def traced(events: Sequence[Event]) -> Iterator[Entry]:
    """The events as entries; the first of each trace names it."""
    before: str | None = None
    for event in events:
        entry = _entry(event)
        notes = _notes(event, new_trace=event.trace_id != before)
        parts = (*notes, *entry.parts, *_metadata(event))
        labels = (_("Deleted"), *entry.labels) if event.deleted == "true" else entry.labels
        yield entry._replace(parts=parts, labels=labels, at=_time(event.creation_utc))
        before = event.trace_id


def session_entry(session: Mapping[str, Any]) -> Entry | None:
    """What Parlant keeps of the session itself: its mode, title, labels and metadata."""
    mode = text_of(session.get("mode"))
    metadata = session.get("metadata")
    parts = (
        *lines([session.get("title")], _("Title")),
        *((note(_mode_words(mode)),) if mode else ()),
        *lines(
            [", ".join(filter(None, map(text_of, list_of(session.get("labels")))))], _("Labels")
        ),
        *((json_part(metadata, _("Metadata")),) if metadata else ()),
    )
    is_plain = mode in ("", "auto") and len(parts) <= 1
    return None if is_plain else Entry(_("Session"), "event", name=cut(mode), parts=parts)


def _mode_words(mode: str) -> str:
    words = {
        "manual": _("Mode manual: a person answers, the agent does not."),
        "auto": _("Mode auto: the agent answers."),
    }
    return words.get(mode) or _("Mode %(mode)s") % {"mode": cut(mode)}


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
        return cut(heading) or ""
    return _("%(source)s: %(name)s") % {"source": cut(heading), "name": cut(_text(event.speaker))}


def _notes(event: Event, *, new_trace: bool) -> Iterator[Part]:
    if event.deleted == "true":
        yield note(_("Deleted: Parlant shows it to nobody."))
    if new_trace and event.trace_id:
        yield note(_("Trace %(id)s") % {"id": cut(_text(event.trace_id))})


def _metadata(event: Event) -> Iterator[Part]:
    value = _value(event.metadata or "")
    if value:
        yield folded(json_part(value), _("Metadata"))


def _entry(event: Event) -> Entry:
    heading = _heading(event)
    value, is_cut = _data(event)
    if event.kind == "message" and event.message is not None:
        return _message(event, heading, value)
    match event.kind, value:
        case "tool", {"tool_calls": [*calls]} if all(isinstance(call, dict) for call in calls):
            if is_cut and calls:
                calls[-1] = {"arguments": ..., "result": ...} | calls[-1]
                calls[0] = {"tool_id": _text(event.tool_id)} | calls[0]
            made = [parlant_call(call) for call in calls[:MAX_PARTS]]
            name = made[0].name if len(made) == 1 else None
            if name:
                made[0] = made[0]._replace(name=None)
            return Entry(
                heading,
                "tool",
                name=name,
                parts=(*handoffs(calls), *more(len(calls) - MAX_PARTS)),
                calls=tuple(made),
                is_cut=is_cut,
            )
        case "status", {"status": str(status), **rest}:
            return _status(heading, codec.printable(status), rest.get("data"))
    kind = _text(event.kind)
    name = "" if kind in ("message", "tool", "status") else kind
    parts = anything(value)
    if isinstance(value, (dict, list)) and value:
        parts = (folded(parts[0], _("What it holds")), *parts[1:])
    looks: Kind = "tool" if kind == "tool" else "event" if name else "other"
    return Entry(heading, looks, name=cut(name), parts=parts, is_cut=is_cut)


def _data(event: Event) -> tuple[Any, bool]:
    """The event's data as far as they are read, and whether that is not all."""
    data = event.data or ""
    if len(data) <= READ:
        return _value(data), False
    try:
        return beginning(codec.unescape(data[:READ])), True
    except (ValueError, RecursionError):
        return codec.unescape(data), True


def _message(event: Event, heading: str, value: Any) -> Entry:
    source, message = _text(event.source), _text(event.message)
    fields: Mapping[str, Any] = value if isinstance(value, dict) else {}
    tags = [text for text in map(text_of, list_of(fields.get("tags"))) if text]
    status: Status = "flagged" if fields.get("flagged") else ""
    chunks = list_of(fields.get("chunks"))
    if chunks and chunks[-1] is not None:
        status = status or "incomplete"
    labels: list[Text] = [_("Preamble")] if PREAMBLE in tags else []
    if list_of(fields.get("canned_responses")):
        labels.append(_("Canned response"))
    parts = [prose(message, markdown=source in _MARKDOWN) if message else note(_("No text."))]
    if fields.get("flagged"):
        words = {"tags": cut(", ".join(tags))}
        parts.insert(0, note(_("Flagged by moderation: %(tags)s") % words))
    return Entry(
        heading,
        _KINDS.get(source, "other"),
        parts=(*parts, *_behind(fields)),
        status=status,
        labels=tuple(labels),
        is_message=source != "customer_ui",
    )


def _behind(fields: Mapping[str, Any]) -> Iterator[Part]:
    """What an answer was made of."""
    if isinstance(fields.get("draft"), str):
        yield folded(text_part(fields["draft"]), _("Draft"))
    used = list_of(fields.get("canned_responses"))
    if used:
        texts = "\n".join(
            ": ".join(map(str, each)) if isinstance(each, list) else str(each)
            for each in used[:MAX_PARTS]
        )
        yield folded(text_part(texts), _("Canned responses"))


def _status(heading: str, status: str, data: Any) -> Entry:
    """A line, as there are many of them; what is said beside the stage is folded."""
    name, rest = status, data
    if isinstance(data, dict):
        rest = {name: value for name, value in data.items() if name != "stage" and value}
        if isinstance(data.get("stage"), str):
            name = f"{status}: {codec.printable(data['stage'])}"
    parts: list[Part] = []
    if isinstance(rest, dict):
        if isinstance(rest.get("exception"), str):
            parts.append(code_part(rest.pop("exception")))
        parts += _matched(rest)
    if rest:
        parts.append(folded(json_part(rest), _("More")))
    failed: Status = "failed" if status == "error" else ""
    return Entry(heading, "event", name=cut(name), parts=tuple(parts), status=failed)


def _matched(data: dict[str, Any]) -> Iterator[Part]:
    """The guidelines and journeys that the agent followed; they are taken out of ``data``."""
    for name in _MATCHES:
        matches = data.pop(name, None)
        if not isinstance(matches, list):
            continue
        count = len(matches)
        labels = {
            "matched_guidelines": ngettext(
                "%(count)s guideline matched", "%(count)s guidelines matched", count
            ),
            "matched_journeys": ngettext(
                "%(count)s journey matched", "%(count)s journeys matched", count
            ),
            "matched_journey_states": ngettext(
                "%(count)s state of a journey matched",
                "%(count)s states of journeys matched",
                count,
            ),
        }
        yield folded(json_part(matches), labels[name] % {"count": count})


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
