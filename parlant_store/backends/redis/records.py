"""Whole sessions in Redis, with their times: many in one round trip."""

from typing import Any

from parlant_store.backends.columns import decode_items
from parlant_store.backends.contract.operations import GetItems, SessionEntry, WriteSessions
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.redis.keys import decode_owner, encode_name, encode_owner
from parlant_store.backends.redis.server.requests import Command, RequestKey
from parlant_store.backends.redis.snapshots import RedisSnapshots, state_of
from parlant_store.backends.redis.values import (
    batch_arguments,
    decode_metadata,
    decode_texts,
    encode_metadata,
    optional_microseconds,
    time_of,
    times_of,
    undamaged,
)
from parlant_store.content.times import microseconds
from parlant_store.types import SessionRecord, TimedItem


class RedisRecords(RedisSnapshots):
    """The sessions of a call are sent to their servers together; each is one script."""

    keeps_times = keeps_item_times = True

    def _read_sessions(self, names: list[SessionName]) -> list[SessionRecord]:
        commands = [self._load_command(name, words=True) for name in names]
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
        _, items, texts = stored or (None, [], [])
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
            *batch_arguments(entry.batch, map(microseconds, entry.item_times)),
        )


def _record(
    name: SessionName, row: list[bytes], stored: list[bytes], texts: list[bytes]
) -> SessionRecord:
    _, _, expires, state, owner, metadata, *_, created, updated = row
    items = decode_items(decode_texts(stored), name)
    with undamaged(name):
        fields: dict[str, Any] = {
            "user_id": decode_owner(owner),
            "created_at": time_of(created),
            "updated_at": time_of(updated),
            "expires_at": time_of(expires) if expires else None,
        }
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
