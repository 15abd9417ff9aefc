"""Whole sessions in files, for copies between stores."""

from collections.abc import Sequence

from parlant_store.backends.contract.operations import GetItems, SessionEntry, WriteSessions
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile.files import lines
from parlant_store.backends.jsonfile.files.lines import State
from parlant_store.backends.jsonfile.files.locked_session import (
    Change,
    LockedSession,
    Stored,
    new_key,
)
from parlant_store.backends.jsonfile.files.session_file import LARGEST_BLOCK, SessionFile, Walk
from parlant_store.backends.jsonfile.sessions import info, timed_items
from parlant_store.backends.jsonfile.snapshots import JsonFileSnapshots
from parlant_store.backends.record_history import history_of
from parlant_store.content.items import turn_starts
from parlant_store.content.times import as_utc
from parlant_store.content.usage import StoredUsage
from parlant_store.types import JSONObject, SessionHistory, SessionRecord, TimedItem


class JsonFileRecords(JsonFileSnapshots):
    """Reads and writes each session as a file."""

    keeps_times = keeps_item_times = keeps_history = True

    def _read_sessions(self, names: list[SessionName]) -> list[SessionRecord]:
        records = []
        for name in names:
            with self.files.reading(name) as file:
                state = self._live(file)
                if file is None or state is None:
                    continue
                found = info(name, state, file.metadata())
                stored = timed_items(file, name)
                readable = [(item, time) for item, time in stored if item is not None]
                record = SessionRecord(
                    namespace=found.namespace,
                    session_id=found.session_id,
                    user_id=found.user_id,
                    items=[item for item, _ in readable],
                    item_times=[time for _, time in readable],
                    state=file.state(),
                    metadata=found.metadata,
                    created_at=found.created_at,
                    updated_at=found.updated_at,
                    expires_at=found.expires_at,
                    history=_history(file, state, [item for item, _ in stored]),
                    damaged_items=len(stored) - len(readable),
                )
                records.append(record)
        return records

    def _get_timed_items(self, read: GetItems) -> list[TimedItem]:
        with self.files.reading(read.session) as file:
            if file is None or self._live(file) is None:
                return []
            stored = timed_items(file, read.session, read.limit)
            return [TimedItem(item, time) for item, time in stored if item is not None]

    def _write_sessions(self, write: WriteSessions) -> list[bool]:
        return [self._write_record(entry, write.replace) for entry in write.entries]

    def _write_record(self, entry: SessionEntry, replace: bool) -> bool:
        with self.files.locked(entry.session) as file:
            session = LockedSession(file, self._now(), None)
            if session.state is not None and not replace:
                return False
            metadata, state = lines.plain(entry.metadata), lines.plain(entry.state)
            change = Change("write", _state(entry), metadata=metadata, state=state)
            session.put(_stored(entry), change)
            return True


def _history(file: SessionFile, state: State, items: Sequence[JSONObject | None]) -> SessionHistory:
    return history_of(
        items,
        _usages(file, state) if state.usage else [None] * len(items),
        last_turn=state.next_turn - 1,
        usage=state.usage,
        parent_id=state.parent_id,
        parent_position=state.parent_position,
    )


def _usages(file: SessionFile, state: State) -> list[StoredUsage | None]:
    """Return for each item the usage of the turn that starts with it."""
    assert file.last is not None
    walk = Walk(file.last, next_turn=state.next_turn)
    turns = [walk.turn_of(line) for line in file.items(LARGEST_BLOCK, walk)][::-1]
    usages = [None if turn is None else turn[1] for turn in turns]
    return [state.usage_0, *usages[1:]] if turns[:1] == [None] else usages


def _state(entry: SessionEntry) -> State:
    history, count, expires_at = entry.history, len(entry.batch.data), entry.expires_at
    return State(
        key=new_key(),
        items=count,
        next_position=count,
        tokens=entry.tokens,
        next_turn=entry.last_turn + 1,
        usage=history.usage or None,
        usage_0=history.turn_usage.get(0),
        user_id=entry.user_id,
        created_at=as_utc(entry.created_at).isoformat(),
        updated_at=as_utc(entry.updated_at).isoformat(),
        expires_at=None if expires_at is None else as_utc(expires_at).isoformat(),
        parent_id=history.parent_id,
        parent_position=history.parent_position,
    )


def _stored(entry: SessionEntry) -> Stored:
    texts, usages = entry.batch.data, entry.history.turn_usage
    times = [as_utc(time).isoformat() for time in entry.item_times]
    notes = [b""] * len(texts)
    for turn, place in turn_starts(entry.batch.roles, entry.history.first_turn).items():
        if turn and turn in usages:
            notes[place] = lines.turn_line(turn, usages[turn]) + b"\n"
    items = [(lines.items([text])[:-1], time) for text, time in zip(texts, times, strict=True)]
    return Stored(items[::-1], notes[::-1])
