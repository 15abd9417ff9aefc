"""The state of a LangGraph thread as a transcript: its messages, interrupts and channels.

Messages are those of LangChain (langchain_core.messages), whatever serializer has written them.
Nothing that the stored bytes name is imported or called.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from parlant_store.admin.formatting import Highlighter, cut, mappings, text_of
from parlant_store.admin.transcript.entries import (
    Entry,
    Jump,
    Part,
    Reading,
    Transcript,
    folded,
    note,
    text_part,
)
from parlant_store.admin.transcript.formats.content import MAX_PARTS, json_part, more
from parlant_store.admin.transcript.formats.items import read
from parlant_store.admin.transcript.pages import PAGE, item_label, placed
from parlant_store.admin.transcript.presentation import pair, present, texts_of
from parlant_store.admin.transcript.reading import CONTEXT, Edges, Options
from parlant_store.content import messagepack
from parlant_store.content.thread_messages import MAX_VALUES, MESSAGES, fields_of, item_of
from parlant_store.types import USER_MARK, StoredCheckpoint, TaskWrite, TypedBytes

INTERRUPT, ERROR = "__interrupt__", "__error__"
INTERNAL = ("__", "branch:")
"""What the names of channels start with that a graph does not show (langgraph.pregel)."""

MAX_READ = 1_000
"""The messages that are read at once: outputs are paired with calls among these."""

MAX_JSON = 5_000_000
"""Limit on the bytes of JSON that are parsed."""


class Unreadable(Exception):
    """A value is not shown; the text says why."""


class Messages(NamedTuple):
    """The messages of a thread, each still serialized or as plain data."""

    total: int
    parts: Sequence[Any]
    """The first ones, as many as are whole."""

    def value(self, number: int) -> Any:
        part = self.parts[number]
        is_serialized = isinstance(part, bytes)
        return messagepack.decode(part, max_values=MAX_VALUES) if is_serialized else part


class Figures(NamedTuple):
    """What the header says of the state."""

    tokens: int | None = None
    waiting: int = 0


def plain(value: TypedBytes) -> Any:
    """Return the value as JSON could have it; raise Unreadable."""
    value = value._replace(type=value.type.removeprefix(USER_MARK))
    if value.type == "null":
        return None
    if value.type in ("bytes", "bytearray"):
        return {"bytes": len(value.data)}
    _check_format(value.type)
    if value.type == "msgpack":
        return messagepack.decode(value.data)
    if len(value.data) > MAX_JSON:
        raise Unreadable(_("It is too large to be shown."))
    try:
        return json.loads(value.data)
    except (ValueError, RecursionError):
        raise Unreadable(_("It is damaged.")) from None


def _check_format(type_: str) -> None:
    if "+" in type_:
        raise Unreadable(_("It is encrypted."))
    if type_ == "pickle":
        raise Unreadable(_("It is serialized by pickle, which is not read here."))
    if type_ not in ("msgpack", "json"):
        raise Unreadable(_("It has an unknown format: %(format)s") % {"format": cut(type_)})


def messages_of(value: TypedBytes) -> Messages | None:
    """Return the messages of a channel; None if its value is no list. Raise Unreadable."""
    if value.type.removeprefix(USER_MARK) != "msgpack":
        found = plain(value)
        return Messages(len(found), found) if isinstance(found, list) else None
    found = messagepack.elements(value.data)
    return None if found is None else Messages(*found)


def joined(seed: Messages | None, writes: Iterable[TypedBytes]) -> Messages:
    """Return the messages of a channel that has what was written since the value ``seed``.

    As langgraph.graph.message.add_messages does, one with the id of another replaces it.
    """
    parts = [] if seed is None else [seed.value(number) for number in range(len(seed.parts))]
    for write in writes:
        found = messages_of(write)
        added = [plain(write)] if found is None else map(found.value, range(len(found.parts)))
        parts = _added(parts, added)
    return Messages(len(parts), parts)


def _added(parts: list[Any], added: Iterable[Any]) -> list[Any]:
    places = {id_: place for place, part in enumerate(parts) if (id_ := fields_of(part).get("id"))}
    for one in added:
        fields = fields_of(one)
        id_ = text_of(fields.get("id"))
        if fields.get("type") == "remove":
            place = places.pop(id_, None)
            parts = [] if id_ == "__remove_all__" else parts
            if parts and place is not None:
                parts[place] = None
        elif id_ in places:
            parts[places[id_]] = one
        else:
            places[id_] = len(parts)
            parts.append(one)
    return [part for part in parts if part is not None]


def text_in(item: Mapping[str, Any]) -> str:
    """Return the text of a message."""
    content = item.get("content")
    if isinstance(content, str):
        return content
    return " ".join(filter(None, (text_of(part.get("text")) for part in mappings(content))))


def thread_transcript(
    stored: StoredCheckpoint, messages: Messages | None, options: Options
) -> tuple[Transcript, Figures]:
    """Return a page of the messages of a checkpoint, with its other channels on the last page."""
    count = 0 if messages is None else messages.total
    tasks = [*_tasks(stored.writes, count + 1)]
    entries, edges = _read(messages, tasks, options)
    start, end = _bounds(entries, options)
    shown, before, after = entries[start:end], entries[:start], entries[end:]
    is_last = edges.is_last and not after
    transcript = Transcript(
        [*shown, *(_state(stored, has_messages=messages is not None) if is_last else ())],
        before=None if edges.is_first and not before else _position(shown[0]) if shown else count,
        after=None if is_last or not shown else _position(shown[-1]),
        latest=count + len(tasks) + 1,
        heading=_("Messages"),
        note=_partial_note(messages, edges, options),
        on_other_pages=[*_failed_beside(before, after, options)],
    )
    find = Highlighter(options.terms)
    found = [
        [_jump(each, options) for each in others if find.matches("\n".join(texts_of(each)))]
        for others in (before, after)
    ]
    waiting = sum(task.status == "waiting" for task in tasks)
    figures = Figures(_tokens(entries) if edges == Edges() else None, waiting)
    return present(transcript, options, *found), figures


def _read(
    messages: Messages | None, tasks: list[Entry], options: Options
) -> tuple[list[Entry], Edges]:
    """Return the entries of the MAX_READ messages around the page, and what is beside them."""
    if messages is None:
        return tasks, Edges()
    place = max(options.after or 0, 0) if options.before is None else options.before - 2
    first = max(0, min(place, messages.total - 1)) // MAX_READ * MAX_READ
    end = min(first + MAX_READ, len(messages.parts))
    edges = Edges(is_first=first == 0, is_last=first + MAX_READ >= messages.total)
    readings = [_reading(messages.value(number), number + 1) for number in range(first, end)]
    return pair([*readings, *map(Reading, tasks if edges.is_last else ())], edges), edges


def _bounds(entries: list[Entry], options: Options) -> tuple[int, int]:
    """Return which entries are on the page."""
    places = [*map(_position, entries)]
    if options.before is not None:
        end = sum(place < options.before for place in places)
        return max(0, end - PAGE), end
    start = sum(place <= (options.after or 0) for place in places)
    return start, start + PAGE


def _position(entry: Entry) -> int:
    return int(entry.anchor.removeprefix("item-") or 0)


def _jump(entry: Entry, options: Options, text: str = "%(entry)s") -> Jump:
    after = max(0, _position(entry) - 1 - CONTEXT)
    return Jump(text % {"entry": entry.label}, options.url(entry.anchor, after))


def _failed_beside(before: list[Entry], after: list[Entry], options: Options) -> Iterator[Jump]:
    """Yield the nearest entries with a failed call before and after a page."""
    texts = (_("Failed before this page: %(entry)s"), _("Failed after this page: %(entry)s"))
    for others, text in zip((before[::-1], after), texts, strict=True):
        failed = (one for one in others if any(call.status == "failed" for call in one.calls))
        if nearest := next(failed, None):
            yield _jump(nearest, options, text)


def _partial_note(messages: Messages | None, edges: Edges, options: Options) -> str:
    if messages is not None and len(messages.parts) < messages.total and edges.is_last:
        return _("The rest of the messages is damaged, or too large to be shown.")
    is_partial = options.terms and edges != Edges()
    return _("Only the items near this page are searched.") if is_partial else ""


def _tokens(entries: Iterable[Entry]) -> int | None:
    known = [entry.tokens for entry in entries if entry.tokens is not None]
    return sum(known) if known else None


def _reading(value: Any, number: int) -> Reading:
    fields, reading = fields_of(value), read(item_of(value))
    entry, answers = reading
    if fields.get("status") == "error":
        failed = (each._replace(entry=each.entry._replace(status="failed")) for each in answers)
        reading = reading._replace(answers=tuple(failed))
    if entry is not None and (more_parts := tuple(_beside(fields))):
        reading = reading._replace(entry=entry._replace(parts=(*entry.parts, *more_parts)))
    usage = fields.get("usage_metadata")
    tokens = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    return placed(
        reading,
        {
            "anchor": f"item-{number}",
            "label": item_label(number),
            "tokens": tokens if type(tokens) is int and 0 <= tokens < 2**63 else None,
        },
    )


def _beside(fields: Mapping[str, Any]) -> Iterator[Part]:
    """Yield what a message has besides its content and its calls."""
    if fields.get("invalid_tool_calls"):
        yield json_part(fields["invalid_tool_calls"], _("Calls that could not be parsed"))
    if fields.get("artifact") is not None:
        yield folded(json_part(fields["artifact"]), _("Artifact"))


def _tasks(writes: Sequence[TaskWrite], number: int) -> Iterator[Entry]:
    """Yield the interrupts and errors of tasks, numbered from ``number`` on."""
    done = {write.task_id for write in writes if write.idx >= 0}
    for write in writes:
        if write.channel not in (INTERRUPT, ERROR):
            continue
        entry = _task_entry(write, is_done=write.task_id in done)
        for parts in _values(write):
            yield entry._replace(parts=parts, anchor=f"item-{number}", label=entry.heading)
            number += 1


def _task_entry(write: TaskWrite, *, is_done: bool) -> Entry:
    name = cut(write.task_path.rpartition(", ")[2])
    if write.channel == ERROR:
        return Entry(_("Failed task"), "tool", name=name, status="failed")
    return Entry(_("Interrupt"), "tool", name=name, status="" if is_done else "waiting")


def _values(write: TaskWrite) -> Iterator[tuple[Part, ...]]:
    """Yield the parts of each interrupt in a write, or of its error."""
    try:
        value = plain(write.value)
    except Unreadable as exc:
        yield (note(str(exc)),)
        return
    several = value if isinstance(value, list) and write.channel == INTERRUPT else [value]
    for one in several[:MAX_PARTS]:
        shown = fields_of(one).get("value", one)
        yield (text_part(shown) if isinstance(shown, str) else json_part(shown),)


def _state(stored: StoredCheckpoint, *, has_messages: bool) -> Iterator[Entry]:
    """Yield the values of channels, and what tasks have written since, as folded JSON."""
    channels = [
        (name, value)
        for name, value in sorted(stored.values.items())
        if is_shown(name) and not (has_messages and name == MESSAGES)
    ]
    written = [(write.channel, write.value) for write in stored.writes if is_shown(write.channel)]
    for heading, values in ((_("State"), channels), (_("Writes after it"), written)):
        if values:
            parts = [_value_part(*one) for one in values[:MAX_PARTS]]
            yield Entry(heading, parts=(*parts, *more(len(values) - MAX_PARTS)))


def is_shown(channel: str) -> bool:
    """Whether it is a channel of the graph's own."""
    return not channel.startswith(INTERNAL)


def _value_part(name: str, value: TypedBytes) -> Part:
    try:
        return folded(json_part(plain(value)), cut(name) or "")
    except Unreadable as exc:
        return note(str(exc))._replace(label=cut(name) or "")
