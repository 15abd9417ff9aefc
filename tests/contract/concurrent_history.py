"""Twenty tasks that change one session at once: the same from every backend."""

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from parlant_store import signals
from parlant_store.exceptions import InvalidInput
from parlant_store.types import Snapshot
from tests.contract.serial_orders import (
    Add,
    BranchBefore,
    Call,
    Compact,
    Contents,
    Entry,
    Load,
    Search,
    TimedCall,
    Truncate,
    Use,
)
from tests.contract.snapshot_values import said
from tests.contract.stores import Timed
from tests.contract.threads import in_threads

TASKS = 20
CALLS = 3
START = (Entry("start", is_opening=True), Entry("to start"))


def texts(items: list[Any]) -> list[str]:
    return [item["content"] for item in items]


class Task:
    """Makes calls, and records them with their results."""

    def __init__(self, store: Any, number: int, clock: Iterator[int], bits: Iterator[int]) -> None:
        self.store, self.number, self.clock, self.bits = store, number, clock, bits
        self.calls: list[TimedCall] = []
        self.counts: list[int] = []

    def make_calls(self) -> None:
        kinds = (self.add, self.add, self.truncate, self.branch, self.compact, self.use)
        thread = threading.get_ident()

        def receiver(message_count: int, **_: Any) -> None:
            if threading.get_ident() == thread:
                self.counts.append(message_count)

        signals.session_saved.connect(receiver)
        try:
            for number in range(CALLS):
                kinds[(self.number + number) % len(kinds)](f"{self.number}.{number}")
        finally:
            signals.session_saved.disconnect(receiver)

    def record(self, call: Callable[[], Call]) -> None:
        start = next(self.clock)
        made = call()
        self.calls.append(TimedCall(start, made, next(self.clock)))

    def add(self, name: str) -> None:
        def call() -> Call:
            self.store.add_items("s", [*said(name), *said(f"to {name}", role="assistant")])
            return Add(name, self.counts[-1])

        self.record(call)

    def truncate(self, _name: str) -> None:
        turn = 2 + self.number % 3

        def call() -> Call:
            try:
                return Truncate(turn, self.store.truncate("s", before_turn=turn))
            except InvalidInput:
                return Truncate(turn, None)

        self.record(call)

    def branch(self, name: str) -> None:
        turn = 2 + self.number % 3

        def call() -> Call:
            try:
                self.store.branch("s", name, before_turn=turn)
            except InvalidInput:
                return BranchBefore(turn, None)
            return BranchBefore(turn, contents_of(self.store, name))

        self.record(call)

    def compact(self, name: str) -> None:
        snapshots: list[Snapshot] = []

        def load() -> Call:
            snapshots.append(self.store.load_snapshot("s"))
            return Load(texts(snapshots[0].items))

        def save() -> Call:
            saved = self.store.save_snapshot(
                "s", summary, state={}, since=snapshot.revision, keep=keep
            )
            return Compact(texts(snapshot.items), keep, name, saved is not None)

        self.record(load)
        (snapshot,) = snapshots
        keep, summary = max(len(snapshot.items) - 3, 1), said(name, role="assistant")
        self.record(save)

    def use(self, _name: str) -> None:
        tokens = 1 << next(self.bits)

        def call() -> Call:
            assert self.store.add_usage("s", tokens)
            return Use(tokens)

        self.record(call)


def contents_of(store: Any, session_id: str) -> Contents:
    turns = store.list_turns(session_id)
    return Contents(
        texts(store.get_items(session_id)),
        {turn.text: turn.usage.total_tokens for turn in turns if turn.usage},
    )


class ConcurrentHistoryContract(Timed):
    def test_the_result_is_that_of_some_order(self, make_store):
        store = make_store()
        store.add_items("s", [*said("start"), *said("to start", role="assistant")])
        clock, bits = itertools.count(), itertools.count()
        tasks = [Task(store, number, clock, bits) for number in range(TASKS)]
        in_threads(lambda number: tasks[number].make_calls(), TASKS)
        end = contents_of(store, "s")
        assert Search([task.calls for task in tasks], end).has_order(START)
        assert len(set(end.texts)) == len(end.texts)
        session, tokens = store.get_session("s"), sum(end.tokens.values())
        assert (session.item_count, session.tokens) == (len(end.texts), tokens or None)
        used = store.get_usage("s")
        assert (used.total_tokens if used else 0) == tokens
