"""Threads of LangGraph as conversations: the rows of a list, local or remote."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlencode

from django.db.models import BinaryField, Model, OuterRef, Q, Subquery
from django.db.models.functions import Left, Substr
from django.utils import timezone

from parlant_store.admin.conversations.conversation import LANGGRAPH
from parlant_store.admin.conversations.rows import MAX_FIRST, active_time
from parlant_store.admin.formatting import NAME
from parlant_store.admin.transcript.formats.langgraph import (
    ERROR,
    Messages,
    Unreadable,
    messages_of,
    text_in,
)
from parlant_store.admin.transcript.reading import CONTEXT
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.channel_values import ValueStart, base_of, start_of
from parlant_store.backends.orm import OrmBackend
from parlant_store.backends.thread_columns import owner_of_thread, thread_name_of, waiting_tasks
from parlant_store.content.thread_messages import MESSAGES, item_of
from parlant_store.exceptions import BackendError, NotSupported
from parlant_store.models import ChannelValue, Checkpoint, CheckpointWrite, Thread
from parlant_store.sql.json_text import JSONText
from parlant_store.types import ThreadInfo

MAX_BYTES = 65_536
"""Limit on the bytes of a thread's messages that a list reads."""

MAX_WRITES = 5_000
"""Limit on the writes of tasks that a list reads."""


class ThreadRow(NamedTuple):
    """A thread as the list needs it; names are as columns have them."""

    key: int
    namespace: str
    thread_id: str
    user_id: str | None
    full_names: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    title: str | None = None
    checkpoint: int | None = None
    """The key of the latest checkpoint."""

    item_count: int | None = None
    """None: unknown, because the messages are too large, or are none."""

    last_message: str | None = None
    waiting: int = 0
    failed_calls: int = 0
    """The number of failed tasks."""

    model: type[Model] = Thread
    framework: str = LANGGRAPH
    first_message: str | None = None

    @property
    def session_id(self) -> str:
        return self.thread_id

    @property
    def name(self) -> tuple[str, str]:
        return thread_name_of(self.namespace, self.thread_id, self.full_names)

    @property
    def owner(self) -> str | None:
        return owner_of_thread(self.user_id, self.full_names)


_COLUMNS = ThreadRow._fields[:9]


def read_threads(using: str, keys: Sequence[int], *, may_read: bool) -> list[ThreadRow]:
    """Read threads; what is in their checkpoints only for those who may read them."""
    if not keys:
        return []
    roots = Checkpoint.objects.filter(thread=OuterRef("key"), checkpoint_ns="")
    latest = roots.order_by("-checkpoint_id").values("key")[:1]
    found = Thread.objects.using(using).filter(key__in=keys)
    rows = [ThreadRow(*row) for row in found.values_list(*_COLUMNS, Subquery(latest))]
    checkpoints = [*_latest(using, [row.checkpoint for row in rows if row.checkpoint])]
    tasks = _tasks(using, {one.thread: one.id for one in checkpoints})
    texts = _texts(using, [one.value for one in checkpoints if one.value]) if may_read else {}
    titles = {one.thread: one.title for one in checkpoints}
    shown = []
    for row in rows:
        waiting, failed = tasks.get(row.key, (0, 0))
        first, last, count = texts.get(row.key, ("", "", None))
        title = titles.get(row.key) or first or (row.title if may_read else None)
        row = row._replace(title=title, item_count=count, last_message=last)
        shown.append(row._replace(waiting=waiting, failed_calls=failed))
    return shown


class _Latest(NamedTuple):
    """The latest checkpoint of a thread."""

    thread: int
    id: str
    value: int | None
    """The key of its messages."""

    title: str | None


def _latest(using: str, keys: Sequence[int]) -> Iterator[_Latest]:
    values = ChannelValue.objects.filter(
        thread=OuterRef("thread"),
        checkpoint_ns="",
        channel=MESSAGES,
        version=OuterRef("messages_version"),
    )
    found = Checkpoint.objects.using(using).filter(key__in=keys)
    rows = found.annotate(messages_version=JSONText("versions", MESSAGES)).values_list(
        "thread_id",
        "checkpoint_id",
        Subquery(values.values("key")[:1]),
        *(Left(JSONText("metadata", name), NAME + 1) for name in ("title", "name")),
    )
    return (_Latest(thread, id_, value, title or name) for thread, id_, value, title, name in rows)


def _tasks(using: str, checkpoints: Mapping[int, str]) -> dict[int, tuple[int, int]]:
    """Return the numbers of waiting and of failed tasks after the latest checkpoints."""
    if not checkpoints:
        return {}
    condition = Q()
    for thread, id_ in checkpoints.items():
        condition |= Q(thread=thread, checkpoint_ns="", checkpoint_id=id_)
    found = CheckpointWrite.objects.using(using).filter(condition)
    written: dict[int, list[tuple[str, str, int]]] = {}
    rows = found.values_list("thread_id", "task_id", "channel", "idx")[:MAX_WRITES]
    for thread, task_id, channel, idx in rows:
        written.setdefault(thread, []).append((task_id, channel, idx))
    return {
        thread: (
            waiting_tasks((task_id, idx, idx) for task_id, _channel, idx in writes),
            sum(channel == ERROR for _task, channel, _idx in writes),
        )
        for thread, writes in written.items()
    }


def _texts(using: str, keys: Sequence[int]) -> dict[int, tuple[str, str, int | None]]:
    """Return the first words of the user, the last message and the number of messages."""
    starts = _starts(using, Q(key__in=keys))
    condition = Q()
    for thread, start in starts.items():
        if (name := base_of(start.type)) is not None:
            condition |= Q(thread=thread, checkpoint_ns="", channel=MESSAGES, version=name)
    bases = _starts(using, condition) if condition else {}
    texts: dict[int, tuple[str, str, int | None]] = {}
    for thread, start in starts.items():
        try:
            messages = messages_of(start_of(start, bases.get(thread)))
        except (BackendError, NotSupported, Unreadable, ValueError):
            continue
        if messages is not None:
            texts[thread] = _words(messages)
    return texts


def _starts(using: str, condition: Q) -> dict[int, ValueStart]:
    """Return the starts of values, by the keys of their threads, of which each has one."""
    start = Substr("value", 1, MAX_BYTES, output_field=BinaryField())
    rows = ChannelValue.objects.using(using).filter(condition)
    return {
        thread: ValueStart(type_, bytes(data or b""), len(data or b"") < MAX_BYTES)
        for thread, type_, data in rows.values_list("thread_id", "type", start)
    }


def _words(messages: Messages) -> tuple[str, str, int | None]:
    known = len(messages.parts)
    first = map(item_of, map(messages.value, range(min(known, MAX_FIRST))))
    title = next(filter(None, (text_in(item) for item in first if item.get("role") == "user")), "")
    # The last one is known if all are.
    ends = range(known - 1, max(known - MAX_FIRST, 0) - 1, -1) if known == messages.total else ()
    last = map(item_of, map(messages.value, ends))
    texts = (text_in(item) for item in last if item.get("role") in ("user", "assistant"))
    return title, next(filter(None, texts), ""), messages.total


def message_url(url: str, query: str, number: int) -> str:
    """Return the address of a message on the page of a thread, where the query is marked."""
    params = {"find": query, "after": max(0, number - 1 - CONTEXT)}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(params)}#item-{number}"


def local_info(thread: Thread) -> ThreadInfo:
    name = thread_name_of(thread.namespace, thread.thread_id, thread.full_names)
    return ThreadInfo(
        **name._asdict(),
        user_id=owner_of_thread(thread.user_id, thread.full_names),
        created_at=thread.created_at,
        updated_at=thread.updated_at,
        expires_at=thread.expires_at,
    )


def local_reader(using: str) -> BaseBackend:
    """Return a store that reads the threads of a database that have expired, too."""
    return OrmBackend("admin", using=using, clock=lambda: active_time(0) or timezone.now())
