"""Whole sessions in Redis, with their times: many in one round trip."""

from collections.abc import Sequence
from typing import Any

from parlant_store.backends.columns import decode_items
from parlant_store.backends.contract.operations import (
    EntryHistory,
    GetItems,
    SessionEntry,
    WriteSessions,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.record_history import history_of
from parlant_store.backends.redis.keys import decode_owner, encode_name, encode_owner
from parlant_store.backends.redis.server.requests import Command, RequestKey
from parlant_store.backends.redis.snapshots import RedisSnapshots, state_of
from parlant_store.backends.redis.values import (
    batch_arguments,
    decode_metadata,
    decode_texts,
    decode_usage,
    encode_metadata,
    encode_usage,
    optional_microseconds,
    time_of,
    times_of,
    undamaged,
)
from parlant_store.content import codec
from parlant_store.content.times import microseconds
from parlant_store.content.usage import TOTAL
from parlant_store.types import JSONObject, SessionHistory, SessionRecord, TimedItem


class RedisRecords(RedisSnapshots):
    """The sessions of a call are sent to their servers together; each is one script."""

    keeps_times = keeps_item_times = keeps_history = True

    def _read_sessions(self, names: list[SessionName]) -> list[SessionRecord]:
        commands = [self._load_command(name, words=True, turns=True) for name in names]
        answers = self.connection.read(*commands)
        return [
            _record(name, *stored)
            for name, stored in zip(names, answers, strict=True)
            if stored is not None
        ]

    def _get_timed_items(self, read: GetItems) -> list[TimedItem]:
        name, limit, _ = read
        first = 0 if limit is None else -limit
        (stored,) = self.connection.read(self._load_command(name, words=True, first=first))
        _, items, texts, _ = stored or (None, [], [], [])
        decoded = decode_items(decode_texts(items), name)
        with undamaged(name):
            times = times_of(texts, len(decoded))
        return [
            TimedItem(item, time)
            for item, time in zip(decoded, times, strict=True)
            if item is not None
        ]

    def _write_sessions(self, write: WriteSessions) -> list[bool]:
        with self.connection.requests.take(None, len(write.entries)) as answers:
            written = self.connection.write(
                *(
                    self._write_command(entry, write.replace, answer)
                    for entry, answer in zip(write.entries, answers, strict=True)
                )
            )
        return [answer is not None for answer in written]

    def _write_command(self, entry: SessionEntry, replace: bool, answer: RequestKey) -> Command:
        return self._command(
            "write_session",
            encode_name(entry.session),
            answer,
            microseconds(self.clock()),
            optional_microseconds(entry.expires_at),
            int(replace),
            encode_owner(entry.user_id),
            "\n".join(encode_metadata(entry.metadata)),
            entry.state,
            microseconds(entry.created_at),
            microseconds(entry.updated_at),
            *_history_arguments(entry.history),
            *batch_arguments(entry.batch, map(microseconds, entry.item_times)),
        )


def _history_arguments(history: EntryHistory) -> list[Any]:
    first_turn, usage, turn_usage, parent_id, parent_position = history
    turns = [(turn, usage) for turn, usage in turn_usage.items() if turn and usage]
    return [
        *(first_turn - 1, encode_usage(usage), (usage or {}).get(TOTAL, 0)),
        encode_usage(turn_usage.get(0)),
        "" if parent_id is None else codec.escape(parent_id),
        "" if parent_position is None else parent_position,
        len(turns),
        *(part for turn, usage in turns for part in (turn, encode_usage(usage))),
    ]


def _record(
    name: SessionName,
    row: list[bytes],
    stored: list[bytes],
    texts: list[bytes],
    turns: list[bytes],
) -> SessionRecord:
    _, _, expires, state, owner, metadata, created, updated, *history = row
    items = decode_items(decode_texts(stored), name)
    with undamaged(name):
        fields: dict[str, Any] = {
            "user_id": decode_owner(owner),
            "created_at": time_of(created),
            "updated_at": time_of(updated),
            "expires_at": time_of(expires) if expires else None,
        }
        fields["history"] = _history(items, turns, *history)
        times = [time or fields["created_at"] for time in times_of(texts, len(items))]
    whole = [pair for pair in zip(items, times, strict=True) if pair[0] is not None]
    return SessionRecord(
        **name._asdict(),
        **fields,
        items=[item for item, _ in whole if item is not None],
        item_times=[time for _, time in whole],
        state=state_of(state, name),
        metadata=decode_metadata(metadata),
        damaged_items=len(items) - len(whole),
    )


def _history(
    items: Sequence[JSONObject | None],
    turns: list[bytes],
    first: bytes,
    last_turn: bytes,
    usage: bytes,
    usage_0: bytes,
    parent: bytes,
    parent_position: bytes,
) -> SessionHistory:
    start, usages = int(first or 0), {0: usage_0}
    for place, _, _, _, *used in (turn.split(b" ", 4) for turn in turns):
        if used:
            usages[int(place) - start] = used[0]
    return history_of(
        items,
        [decode_usage(usages.get(place)) for place in range(len(items))],
        last_turn=int(last_turn or 0),
        usage=decode_usage(usage),
        parent_id=codec.unescape(parent.decode()) if parent else None,
        parent_position=int(parent_position) if parent_position else None,
    )
