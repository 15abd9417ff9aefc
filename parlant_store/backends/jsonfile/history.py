"""Turns, usage and branches of sessions in files."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from parlant_store.backends.contract.history import TailChange, no_place, not_found, session_exists
from parlant_store.backends.contract.operations import (
    AddUsage,
    Branch,
    ItemPlace,
    KeepLatest,
    ListTurns,
    ReplaceTail,
)
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile.files import lines
from parlant_store.backends.jsonfile.files.lines import State
from parlant_store.backends.jsonfile.files.locked_session import (
    Change,
    LockedSession,
    Stored,
    new_key,
)
from parlant_store.backends.jsonfile.files.session_file import FIRST_BLOCK, SessionFile, Walk
from parlant_store.backends.jsonfile.listings import JsonFileListings
from parlant_store.backends.jsonfile.sessions import info, time_of
from parlant_store.backends.jsonfile.snapshots import revision_of
from parlant_store.backends.jsonfile.turns import (
    added,
    deleted,
    deletion,
    numbered,
    tail_length,
    without_usage,
)
from parlant_store.content import codec
from parlant_store.content.items import text_of
from parlant_store.content.usage import TOTAL, StoredUsage, decode_usage, sum_usage, usage_of
from parlant_store.types import SessionInfo, Turn, Usage


class FoundTurn(NamedTuple):
    """A turn in a file."""

    number: int
    position: int
    time: str | None
    items: int
    usage: StoredUsage | None
    line: bytes
    """The line of its first item."""

    def value(self, *, with_item: bool) -> Turn:
        (item,) = lines.parse_items([self.line]) if self.number else (None,)
        return Turn(
            number=self.number,
            position=self.position,
            text="" if item is None else text_of(item) or "",
            created_at=None if self.time is None else time_of(self.time),
            item_count=self.items,
            usage=usage_of(decode_usage(self.usage)),
            item=item if with_item else None,
        )


class JsonFileHistory(JsonFileListings):
    """The operations on turns, usage and branches. The latest turns are read from the end."""

    def _list_turns(self, listing: ListTurns) -> list[Turn]:
        after, limit = listing.after, listing.limit
        with self.files.reading(listing.session) as file:
            state = self._live(file)
            if file is None or state is None:
                return []
            turns = _turns(file, numbered(file, state))
            if listing.newest_first:
                found = (turn for turn in turns if after is None or turn.number < after)
                page = list(islice(found, limit))
            else:
                later = [turn for turn in turns if after is None or turn.number > after]
                page = later[::-1][:limit]
        self._prolong(listing.session, state, listing.refresh)
        return [turn.value(with_item=listing.with_items) for turn in page]

    def _replace_tail(self, change: ReplaceTail) -> TailChange | None:
        def replace(session: LockedSession) -> list[int] | None:
            # Errors are raised before an answer is stored.
            state, file = _existing(session, change.session)
            if change.since is not None and revision_of(state) != change.since:
                session.answer(None)
                return None
            removed = tail_length(file, state, change.start)
            if removed is None:
                raise no_place(change.session, change.start)
            expires_at = self._expires_at(session.now, change.ttl)
            after = session.begin(expires_at, change.user_id)
            gone = deletion(file, state, removed)
            after = added(deleted(after, gone), change.batch)
            saved = Change(
                "replace_tail",
                after,
                change.batch.data,
                removed=removed,
                removed_bytes=gone.removed_bytes,
            )
            session.save(saved, [removed, after.items])
            return [removed, after.items]

        changed = self._write(change.session, change.request, replace)
        return None if changed is None else TailChange(*changed)

    def _keep_latest(self, keep: KeepLatest) -> int:
        def delete(session: LockedSession) -> int:
            if session.state is None:
                session.answer(0)
                return 0
            state, file = _existing(session, keep.session)
            dropped = state.items - _kept(file, state, keep)
            if not dropped:
                session.answer(0)
                return 0
            after = deleted(state, deletion(file, state, 0, dropped))
            session.save(Change("keep_latest", after, dropped=dropped), dropped)
            return dropped

        return self._write(keep.session, keep.request, delete)

    def _branch(self, branch: Branch) -> int | None:
        source, target = branch.source, branch.target

        def copy(session: LockedSession) -> int:
            with self.files.reading(source) as file:
                state = self._live(file)
                if file is None or state is None:
                    # Raised before an answer is stored.
                    raise not_found(source)
                if source == target:
                    session.answer(state.items)
                    return state.items
                state = state if branch.end.is_end else numbered(file, state)
                removed = tail_length(file, state, branch.end)
                if removed is None:
                    raise no_place(source, branch.end)
                if session.state is not None and not branch.replace:
                    raise session_exists(target)
                last = _position(file, removed)
                part = deleted(state, deletion(file, state, removed))
                part = part if branch.usage else without_usage(part)
                after = session.touched(
                    part._replace(
                        key=new_key(),
                        next_position=(last or 0) + 1 if removed else part.next_position,
                        created_at=session.now.isoformat(),
                        metadata_at=0,
                        metadata_bytes=0,
                        state_at=0,
                        state_bytes=0,
                        request_at=0,
                        parent_id=source.session_id,
                        parent_position=last,
                    ),
                    self._expires_at(session.now, branch.ttl),
                )
                following = after.next_position
                change = Change(
                    "branch",
                    after,
                    metadata=_text(file.metadata()) if state.metadata_at else None,
                    state=_text(file.state()) if state.state_at else None,
                )
                stored = Stored.of(file, removed, after.items, following, with_usage=branch.usage)
                session.put(stored, change, after.items)
                return after.items

        return self._write(target, branch.request, copy)

    def _list_branches(self, session: SessionName) -> list[SessionInfo]:
        with self.files.reading(session) as file:
            parent = self._live(file)
        if parent is None:
            return []
        now, created_at = self._now(), datetime.fromisoformat(parent.created_at)
        found = []
        for entry in self._entries(session.namespace):
            state = self.files.state(entry.folder, entry.place)
            if state is None or not state.key or state.parent_id != session.session_id:
                continue
            # Earlier branches are those of a session that had this id before.
            if datetime.fromisoformat(state.created_at) >= created_at and not state.expires_by(now):
                with self.files.opened(entry.folder, entry.place.file) as file:
                    if file is not None and file.find_last() is not None:
                        found.append((state, info(entry.name, state, file.metadata())))
        found.sort(key=lambda branch: (branch[1].created_at, branch[0].key))
        return [branch for _, branch in found]

    def _add_usage(self, addition: AddUsage) -> bool:
        name = addition.session

        def add(session: LockedSession) -> bool:
            if session.state is None:
                session.answer(False)
                return False
            state, file = _existing(session, name)
            turn = _find(_turns(file, state), addition.turn)
            if turn is None and addition.turn:
                place = ItemPlace(addition.turn, None, f"turn {addition.turn}")
                raise no_place(name, place)
            before = None if turn is None else turn.usage
            replaced = before if addition.replace else None
            usage = sum_usage([None if addition.replace else before, addition.usage])
            change = (replaced or {}).get(TOTAL, 0)
            after = state._replace(
                usage=sum_usage([state.usage, addition.usage], [replaced]) or None,
                tokens=max(0, state.tokens + addition.usage.get(TOTAL, 0) - change),
            )
            if turn is not None and turn.number == 0:
                after = after._replace(usage_0=usage or None)
            is_opened = turn is not None and turn.number > 0
            stored = (turn.number, usage) if turn is not None and is_opened else None
            session.save(Change("add_usage", after, usage=stored), True)
            return True

        return self._write(name, addition.request, add)

    def _get_usage(self, session: SessionName) -> Usage | None:
        with self.files.reading(session) as file:
            state = self._live(file)
            if state is None:
                return None
            return usage_of(decode_usage(state.usage), state.tokens or None)

    def _get_usage_of_turns(self, session: SessionName) -> dict[int, Usage]:
        with self.files.reading(session) as file:
            state = self._live(file)
            if file is None or state is None or not state.next_turn:
                return {}
            turns = list(_turns(file, state)) if state.usage else []
        usages = ((turn.number, usage_of(decode_usage(turn.usage))) for turn in reversed(turns))
        return {number: usage for number, usage in usages if usage is not None}


def _existing(session: LockedSession, name: SessionName) -> tuple[State, SessionFile]:
    """Return the state of a session with numbers of turns, and its file."""
    if session.state is None or session.file.file is None:
        raise not_found(name)
    session.state = numbered(session.file.file, session.state)
    return session.state, session.file.file


def _turns(file: SessionFile, state: State) -> Iterator[FoundTurn]:
    """Yield the turns of a session, the latest first."""
    if file.last is None:
        return
    walk, count = Walk(file.last, next_turn=state.next_turn), 0
    line, time = b"", None
    for line in file.items(FIRST_BLOCK, walk):
        count += 1
        turn = walk.turn_of(line)
        if turn is not None:
            number, usage = turn
            yield FoundTurn(number, walk.position, walk.time_of(line), count, usage, line)
            count = 0
        elif count:
            time = walk.time_of(line)
    if count:
        yield FoundTurn(0, walk.position, time, count, state.usage_0, line)


def _kept(file: SessionFile, state: State, keep: KeepLatest) -> int:
    """Return the number of items in the latest turns to keep."""
    kept, turns, number = 0, _turns(file, state), 0
    while kept < (keep.items or 0) or number < (keep.turns or 0):
        turn = next(turns, None)
        if turn is None:
            return state.items
        kept, number = kept + turn.items, number + 1
    return kept


def _find(turns: Iterator[FoundTurn], number: int | None) -> FoundTurn | None:
    """Return the turn with a number, or the last one; None if there is none."""
    for turn in turns:
        if number is None or turn.number <= number:
            return turn if number in (None, turn.number) else None
    return None


def _position(file: SessionFile, skip: int) -> int | None:
    """Return the position of the item before the last ``skip`` ones."""
    if file.last is None:
        return None
    walk = Walk(file.last)
    for _ in islice(file.items(walk=walk), skip, skip + 1):
        return walk.position
    return None


def _text(value: dict[str, object]) -> str:
    return codec.encode(value, "document")
