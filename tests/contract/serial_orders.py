"""Whether calls that were made at once on one session had the results of some order of them.

Texts are unique, and each use of tokens is a bit of its own. Items are deleted only at the end of
the session, so that a text stays at its place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Entry(NamedTuple):
    """An item of the model of a session; the tokens are those of the turn that it opens."""

    text: str
    is_opening: bool = False
    tokens: int = 0


State = tuple[Entry, ...]


class Contents(NamedTuple):
    """The texts of a session, and the tokens of its turns by the text of their first item.

    The tokens are None if they were not read.
    """

    texts: list[str]
    tokens: dict[str, int] | None


@dataclass(frozen=True)
class Add:
    """A turn of two items was added, after which the session had ``count`` items."""

    text: str
    count: int
    contents = None

    def apply(self, state: State) -> State | None:
        after = (*state, Entry(self.text, is_opening=True), Entry(f"to {self.text}"))
        return after if len(after) == self.count else None


@dataclass(frozen=True)
class Truncate:
    """``deleted`` items were deleted; None: there was no such turn."""

    turn: int
    deleted: int | None
    contents = None

    def apply(self, state: State) -> State | None:
        start = opening(state, self.turn)
        if start is None or self.deleted is None:
            return state if start is None and self.deleted is None else None
        return state[:start] if len(state) - start == self.deleted else None


@dataclass(frozen=True)
class BranchBefore:
    """A branch with these contents was made; None: there was no such turn."""

    turn: int
    contents: Contents | None

    def apply(self, state: State) -> State | None:
        start = opening(state, self.turn)
        if start is None or self.contents is None:
            return state if start is None and self.contents is None else None
        return state if contents(state[:start]) == self.contents else None


@dataclass(frozen=True)
class Load:
    """The session was loaded with these texts."""

    texts: list[str]

    @property
    def contents(self) -> Contents:
        return Contents(self.texts, None)

    def apply(self, state: State) -> State | None:
        return state if contents(state).texts == self.texts else None


@dataclass(frozen=True)
class Compact:
    """An item took the place of all after the first ``keep`` of the loaded ones, if any did."""

    loaded: list[str]
    keep: int
    text: str
    is_saved: bool
    contents = None

    def apply(self, state: State) -> State | None:
        if not self.is_saved:
            return state
        if contents(state).texts != self.loaded:
            return None
        return (*state[: self.keep], Entry(self.text))


@dataclass(frozen=True)
class Use:
    """Tokens were added to the last turn."""

    tokens: int
    contents = None

    def apply(self, state: State) -> State | None:
        last = max(place for place, entry in enumerate(state) if entry.is_opening)
        used = state[last]._replace(tokens=state[last].tokens + self.tokens)
        return (*state[:last], used, *state[last + 1 :])


Call = Add | Truncate | BranchBefore | Load | Compact | Use


class TimedCall(NamedTuple):
    """A call, and when it started and ended: numbers of a clock of all tasks."""

    start: int
    call: Call
    end: int


class Step(NamedTuple):
    """How many calls of each task are done, and the session after them."""

    done: tuple[int, ...]
    state: State


def opening(state: State, turn: int) -> int | None:
    """Return the place of the item that opens the turn; None if there is no such turn."""
    places = [place for place, entry in enumerate(state) if entry.is_opening]
    return places[turn - 1] if turn <= len(places) else None


def contents(state: State) -> Contents:
    tokens = {entry.text: entry.tokens for entry in state if entry.tokens}
    return Contents([entry.text for entry in state], tokens)


MAX_STEPS = 500_000
"""Some fifty times those of the longest searches that find an order."""


class Search:
    """Searches an order of the calls that gives their results and the contents ``end``.

    In it, a call that ended before another one started comes first. This is a search of
    linearizations, by Wing and Gong: Testing and Verifying Concurrent Objects, 1993.
    """

    def __init__(self, tasks: Sequence[Sequence[TimedCall]], end: Contents) -> None:
        self.tasks, self.end = tasks, end
        seen = [end, *(timed.call.contents for task in tasks for timed in task)]
        self.places = {
            text: place
            for seen_contents in seen
            if seen_contents
            for place, text in enumerate(seen_contents.texts)
        }

    def has_order(self, start: State) -> bool:
        waiting = [Step((0,) * len(self.tasks), start)]
        seen = set(waiting)
        while waiting:
            assert len(seen) < MAX_STEPS, "no order has been found"
            step = waiting.pop()
            if not any(self.pending(step.done)) and contents(step.state) == self.end:
                return True
            following = [after for after in self.next_steps(step) if after not in seen]
            seen.update(following)
            waiting += following
        return False

    def pending(self, done: tuple[int, ...]) -> Iterator[Sequence[TimedCall]]:
        """Yield the calls of each task that are not done."""
        return (task[count:] for task, count in zip(self.tasks, done, strict=True))

    def next_steps(self, step: Step) -> list[Step]:
        """Return the steps that may follow; the last one is the likeliest."""
        first = {number: calls[0] for number, calls in enumerate(self.pending(step.done)) if calls}
        first_end = min((timed.end for timed in first.values()), default=0)
        steps = []
        for number, timed in sorted(first.items(), key=lambda item: -item[1].end):
            after = timed.call.apply(step.state) if timed.start < first_end else None
            if after is None:
                continue
            done = (*step.done[:number], step.done[number] + 1, *step.done[number + 1 :])
            if after == step.state:
                # A call that changes nothing can come at once.
                return [Step(done, after)]
            if self.has_future(done, step.state, after):
                steps.append(Step(done, after))
        return steps

    def has_future(self, done: tuple[int, ...], before: State, after: State) -> bool:
        """Whether what is still seen of the session may follow its change."""
        if any(self.places.get(entry.text, place) != place for place, entry in enumerate(after)):
            return False
        deleted = {entry.text for entry in before} - {entry.text for entry in after}
        tokens = {entry.text: entry.tokens for entry in after if entry.is_opening}
        used = sum(tokens.values())
        for seen in self.still_seen(done):
            if not deleted.isdisjoint(seen.texts):
                return False
            if seen.tokens is None:
                continue
            if any(tokens.get(text, 0) & ~seen.tokens.get(text, 0) for text in seen.texts):
                return False
            if any(used & count & ~tokens.get(text, 0) for text, count in seen.tokens.items()):
                return False
        return True

    def still_seen(self, done: tuple[int, ...]) -> Iterator[Contents]:
        yield self.end
        for calls in self.pending(done):
            yield from (timed.call.contents for timed in calls if timed.call.contents)
