"""Whole sessions in files, for copies between stores."""

from parlant_store.backends.contract.operations import GetItems, SessionEntry, WriteSessions
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile.files import lines
from parlant_store.backends.jsonfile.files.lines import State
from parlant_store.backends.jsonfile.files.locked_session import Change, LockedSession, new_key
from parlant_store.backends.jsonfile.sessions import info, timed_items
from parlant_store.backends.jsonfile.snapshots import JsonFileSnapshots
from parlant_store.content.times import as_utc
from parlant_store.types import SessionRecord, TimedItem


class JsonFileRecords(JsonFileSnapshots):
    """Reads and writes each session as a file."""

    keeps_times = keeps_item_times = True

    def _read_sessions(self, names: list[SessionName]) -> list[SessionRecord]:
        records = []
        for name in names:
            with self.files.reading(name) as file:
                state = self._live(file)
                if file is None or state is None:
                    continue
                found = info(name, state, file.metadata())
                items, times = timed_items(file, name)
                record = SessionRecord(
                    namespace=found.namespace,
                    session_id=found.session_id,
                    user_id=found.user_id,
                    items=items,
                    item_times=times,
                    state=file.state(),
                    metadata=found.metadata,
                    created_at=found.created_at,
                    updated_at=found.updated_at,
                    expires_at=found.expires_at,
                    damaged_items=state.items - len(items),
                )
                records.append(record)
        return records

    def _get_timed_items(self, read: GetItems) -> list[TimedItem]:
        with self.files.reading(read.session) as file:
            if file is None or self._live(file) is None:
                return []
            items, times = timed_items(file, read.session, read.limit)
            return [TimedItem(*pair) for pair in zip(items, times, strict=True)]

    def _write_sessions(self, write: WriteSessions) -> list[bool]:
        return [self._write_record(entry, write.replace) for entry in write.entries]

    def _write_record(self, entry: SessionEntry, replace: bool) -> bool:
        with self.files.locked(entry.session) as file:
            session = LockedSession(file, self._now(), None)
            if session.state is not None and not replace:
                return False
            count, expires_at = len(entry.batch.data), entry.expires_at
            times = [as_utc(time).isoformat() for time in entry.item_times]
            after = State(
                key=new_key(),
                items=count,
                next_position=count,
                tokens=entry.batch.total,
                next_turn=1 + entry.batch.turns,
                user_id=entry.user_id,
                created_at=as_utc(entry.created_at).isoformat(),
                updated_at=as_utc(entry.updated_at).isoformat(),
                expires_at=None if expires_at is None else as_utc(expires_at).isoformat(),
            )
            metadata, state = lines.plain(entry.metadata), lines.plain(entry.state)
            change = Change("write", after, entry.batch.data, times=times)
            session.create(change._replace(metadata=metadata, state=state))
            return True
