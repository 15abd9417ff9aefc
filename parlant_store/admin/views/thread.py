"""The page of a thread of LangGraph, local or remote: its state, and its checkpoints.

It reads the thread through the contract, and the values of one checkpoint alone.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from parlant_store.admin.conversations.conversation import LANGGRAPH, Conversation
from parlant_store.admin.conversations.header import Fact, Header, Links, conversation_of, facts
from parlant_store.admin.formatting import cut, grouped, text_of
from parlant_store.admin.transcript.entries import Entry, Part, Transcript, note
from parlant_store.admin.transcript.formats.langgraph import (
    ERROR,
    INTERRUPT,
    Figures,
    Messages,
    Unreadable,
    is_shown,
    joined,
    messages_of,
    thread_transcript,
)
from parlant_store.admin.transcript.presentation import present
from parlant_store.admin.transcript.reading import options_of
from parlant_store.admin.views.base import decode_names, django_time, encode_names
from parlant_store.backends.base import BaseBackend
from parlant_store.content import codec
from parlant_store.content.thread_messages import MESSAGES
from parlant_store.exceptions import BackendError, InvalidInput, NotSupported
from parlant_store.types import CheckpointCursor, CheckpointInfo, StoredCheckpoint, ThreadInfo

STEPS = 50
"""How many checkpoints the page of a thread lists."""

MAX_CHANNELS = 20
"""Limit on the names of channels that are shown of a checkpoint."""

Call = Callable[[Callable[[], Any]], Any]
"""Calls a method of a store."""


class Step(NamedTuple):
    """A checkpoint in the timeline."""

    info: CheckpointInfo
    url: str
    """The page with the state at this checkpoint."""

    is_selected: bool

    @property
    def at(self) -> datetime | None:
        return django_time(self.info.created_at)

    @property
    def graph(self) -> str:
        """The path of a subgraph, without the ids of tasks."""
        names = self.info.checkpoint_ns.split("|")
        return cut(" / ".join(name.partition(":")[0] for name in names)) or ""

    @property
    def changed(self) -> str:
        return _names(self.info.changed)

    @property
    def written(self) -> str:
        return _names(self.info.written)

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        failed = self.info.written.get(ERROR, 0)
        one = Conversation(framework=LANGGRAPH, failed_calls=failed, waiting=self.info.waiting)
        return one.outcomes

    @property
    def is_interrupted(self) -> bool:
        """Whether an interrupt was answered."""
        return INTERRUPT in self.info.written and not self.info.waiting

    @property
    def metadata(self) -> tuple[str, str]:
        """The number of the step, and what made the checkpoint."""
        step, source = (self.info.metadata.get(name) for name in ("step", "source"))
        return str(step) if type(step) is int else "", cut(text_of(source)) or ""


def _names(channels: Iterable[str]) -> str:
    shown = [cut(name) or "" for name in channels if is_shown(name)]
    rest = ["…"] if len(shown) > MAX_CHANNELS else []
    return ", ".join(shown[:MAX_CHANNELS] + rest)


class Timeline(NamedTuple):
    """A page of the checkpoints of a thread, the latest first."""

    steps: Sequence[Step]
    next_url: str = ""
    first_url: str = ""
    """"" on the first page."""

    latest_url: str = ""
    """The page with the latest state; "" if it is this one."""


def thread_context(
    store: BaseBackend,
    info: ThreadInfo,
    params: QueryDict,
    links: Links,
    *,
    may_read: bool,
    call: Call,
) -> dict[str, Any]:
    """Return the context of ``conversation.html`` for a thread."""
    reader = _Reader(store, info, params, call)
    transcript, figures = reader.transcript() if may_read else (None, Figures())
    timeline = reader.timeline() if may_read else None
    header = _header(info, figures, reader, timeline, links)
    return {"header": header, "transcript": transcript, "timeline": timeline}


def _header(
    info: ThreadInfo, figures: Figures, reader: "_Reader", timeline: Timeline | None, links: Links
) -> Header:
    one = conversation_of(
        info,
        links,
        framework=LANGGRAPH,
        item_count=reader.count,
        failed_calls=reader.failed,
        waiting=figures.waiting,
    )
    shown = [*facts(one, figures.tokens)]
    if timeline is not None and not timeline.first_url:
        number = grouped(len(timeline.steps))
        text = _("more than %(number)s") % {"number": number} if timeline.next_url else number
        shown.append(Fact(_("Checkpoints"), text))
    is_expired = bool(one.expires_at and one.expires_at <= timezone.now())
    return Header(shown, links.others(info.user_id), is_expired)


class _Reader:
    """Reads what a page shows of a thread."""

    def __init__(self, store: BaseBackend, info: ThreadInfo, params: QueryDict, call: Call) -> None:
        self.store, self.params, self.call = store, params, call
        self.place = {"thread_id": info.thread_id, "namespace": info.namespace}
        self.selected = _names_of(params, "checkpoint")
        self.count: int | None = None
        self.failed = 0

    def transcript(self) -> tuple[Transcript, Figures]:
        options = options_of(self.params)
        try:
            stored = self._read(self.store.get_checkpoint, **self._checkpoint())
            messages = None if stored is None else self._messages(stored)
        except (BackendError, NotSupported) as exc:
            return self._without_messages(note(codec.printable(str(exc)))), Figures()
        if stored is None:
            if self.selected:
                raise Http404(_("There is no such checkpoint."))
            return self._without_messages(), Figures()
        self.count = None if messages is None else messages.total
        self.failed = sum(write.channel == ERROR for write in stored.writes)
        return thread_transcript(stored, messages, options)

    def _without_messages(self, *parts: Part) -> Transcript:
        entries = [Entry(_("State"), parts=parts)] if parts else []
        return present(Transcript(entries, heading=_("Messages")), options_of(self.params))

    def _checkpoint(self) -> dict[str, Any]:
        """Return the arguments that say which checkpoint."""
        if not self.selected:
            return {}
        return {"checkpoint_ns": self.selected[0], "checkpoint_id": self.selected[1]}

    def _messages(self, stored: StoredCheckpoint) -> Messages | None:
        try:
            if value := stored.values.get(MESSAGES):
                return messages_of(value)
            if MESSAGES not in stored.checkpoint.versions:
                return None
            checkpoint = stored.checkpoint
            history = self._read(
                self.store.get_channel_history,
                channels=[MESSAGES],
                checkpoint_id=checkpoint.checkpoint_id,
                checkpoint_ns=checkpoint.checkpoint_ns,
            )[MESSAGES]
            seed = history.seed and messages_of(history.seed)
            return joined(seed or None, (write.value for write in history.writes))
        except Unreadable:
            return None

    def timeline(self) -> Timeline:
        after, cursor = _names_of(self.params, "steps"), None
        if after:
            is_key = after[1].isascii() and after[1].isdigit() and len(after[1]) < 19
            key = int(after[1]) if is_key else 0
            cursor = CheckpointCursor(checkpoint_id=after[0], key=key)
        found = self._read(self.store.list_checkpoint_infos, limit=STEPS + 1, after=cursor)
        steps = [*map(self._step, found[:STEPS])]
        more = ""
        if len(found) > STEPS:
            last = found[STEPS - 1]
            more = self._url("steps", encode_names([last.checkpoint_id, str(last.key)]))
        return Timeline(
            steps,
            more and f"{more}#checkpoints",
            f"{self._url('steps')}#checkpoints" if after else "",
            f"{self._url('checkpoint')}#items" if self.selected else "",
        )

    def _step(self, info: CheckpointInfo) -> Step:
        names = [info.checkpoint_ns, info.checkpoint_id]
        return Step(
            info,
            f"{self._url('checkpoint', encode_names(names))}#items",
            names == [*self.selected],
        )

    def _url(self, name: str, value: str = "") -> str:
        params = self.params.copy()
        for other in (name, *(("before", "after") if name == "checkpoint" else ())):
            params.pop(other, None)
        if value:
            params[name] = value
        return f"?{params.urlencode()}"

    def _read(self, method: Callable[..., Any], **options: Any) -> Any:
        try:
            return self.call(partial(method, **self.place, **options))
        except InvalidInput as exc:
            raise Http404(str(exc)) from exc


def _names_of(params: QueryDict, name: str) -> Sequence[str]:
    text = params.get(name, "")
    return [each or "" for each in decode_names(text, 2)] if text else ()


def may_read_checkpoints(request: HttpRequest) -> bool:
    """Whether the user may read what is in threads."""
    return request.user.has_perm("parlant_store.view_checkpoint")
