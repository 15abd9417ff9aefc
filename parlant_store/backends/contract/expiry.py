"""The contract of every store: deleting what has expired, and what retention rules match."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from time import monotonic
from typing import NamedTuple, TypeVar

from parlant_store.backends.contract.retention import Place, Sweep, check_rule
from parlant_store.backends.contract.validation import SessionName
from parlant_store.content.times import as_utc
from parlant_store.exceptions import InvalidLimit, ProtectedRow, StoreUnavailable
from parlant_store.signals import send, session_expired
from parlant_store.types import (
    ExpiredDocument,
    ExpiredSession,
    ExpireResult,
    Protected,
    Retention,
)

T = TypeVar("T")

logger = logging.getLogger("parlant_store")

PAGE = 1_000
"""How many of those that would go are read at once."""


FIRST_STEP = 100
"""How many a step removes at first, where the medium lets no statement run for long."""


class Pace:
    """How many rows the next step of a pass may remove."""

    def __init__(self, most: int, seconds: float | None) -> None:
        """``seconds`` is how long a step may take; None: as long as it needs."""
        self._most = most
        self._seconds = seconds
        self.limit = most if seconds is None else min(most, FIRST_STEP)

    def took(self, seconds: float) -> None:
        """A step ended after so long."""
        if self._seconds is None or seconds < self._seconds / 4:
            self.limit = min(2 * self.limit, self._most)
        elif seconds > self._seconds:
            self.divide(2)

    def divide(self, by: int) -> bool:
        """Let the next step be smaller; False when none can be."""
        if self.limit == 1:
            return False
        self.limit = max(1, self.limit // by)
        return True


class Expired(NamedTuple):
    """What one batch removed."""

    sessions: list[tuple[SessionName, int]]
    """Which sessions, and how many items each had."""

    documents: int

    protected: Sequence[Protected] = ()
    """What stays because rows of the project protect it."""

    has_hidden: bool = False
    """Whether there are or were hidden sessions, of which items are left."""


class ExpiryMethods(ABC):
    """How a store lets go what has expired, and what a rule keeps no longer.

    A rule is about what has not expired yet. Of sessions it looks at when they began and when
    they were last written to. Of documents it looks at creation_utc, compared as text with a
    time in UTC ("2026-01-31T12:00:00+00:00"), or where that does not begin with a year and a
    dash, at when they were last written to.

    Documents of a Parlant session stay together: those that belong to it, as
    parlant_store.content.related_documents says. It is idle only when none of them was written
    to since; when it goes, all of them go with it, in the same transaction. A rule
    without a collection never takes one of them alone, nor anything from collections whose
    names end in "metadata", which say the version of the others. A rule with a collection takes
    what is in it.

    What rows of the project protect stays (parlant_store.backends.orm.references), with all
    documents of the same Parlant session where a rule takes them together.
    """

    alias: str
    clock: Callable[[], datetime]
    supports_documents: bool

    step_seconds: float | None = None
    """How long a step may take where the medium ends long statements; None: it ends none."""

    def expire(self, *, batch_size: int = 1_000) -> ExpireResult:
        """Remove what has expired, in batches of ``batch_size``; return how much it was."""
        batches = list(self.expire_batches(batch_size=batch_size))
        return ExpireResult(
            sessions=sum(batch.sessions for batch in batches),
            documents=sum(batch.documents for batch in batches),
            protected=tuple(one for batch in batches for one in batch.protected),
        )

    def expire_batches(
        self, *, rule: Retention | None = None, batch_size: int = 1_000
    ) -> Iterator[ExpireResult]:
        """Remove what has expired, or what ``rule`` says; give what each batch removed.

        Each batch is a transaction of its own, unless the caller has one: who stops iterating
        keeps what was done. At most ``batch_size`` sessions and as many documents go in one,
        besides the documents of Parlant's sessions that go along. A rule is one pass over a
        table, of which a batch looks at 20 rows for each that it may remove: it may remove
        none. What is written to meanwhile stays. Raises InvalidInput.
        """
        if batch_size < 1:
            raise InvalidLimit("batch_size must be 1 or more")
        if rule is None:
            return self._expire_all(batch_size)
        return self._retire_all(self._sweeps(check_rule(rule), batch_size))

    def list_expired(
        self, *, rule: Retention | None = None
    ) -> Iterator[ExpiredSession | ExpiredDocument]:
        """Give what ``expire_batches`` would remove now; nothing is removed. Raises InvalidInput.

        They are read in pages: no more of them is held than that.
        """
        sweeps = self._sweeps(None if rule is None else check_rule(rule), PAGE)
        return self._list_all(sweeps)

    def delete_hidden(self) -> None:
        """Delete what is left of sessions that were too large for one step, if there are any."""
        return

    @abstractmethod
    def _expire(self, batch_size: int) -> Expired: ...

    @abstractmethod
    def _retire(self, sweep: Sweep, after: Place) -> tuple[Expired, Place]:
        """Take one step of the pass; return where the next begins, None: the pass is over."""

    @abstractmethod
    def _list_expired(
        self, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        """Return what one step of the pass finds, and where the next begins, as above."""

    def _is_overdue(self, exc: StoreUnavailable) -> bool:
        """Whether the medium ended a step that took too long, and undid it."""
        return False

    def _sweeps(self, rule: Retention | None, limit: int) -> list[Sweep]:
        now = as_utc(self.clock())
        kinds = []
        if rule is None or rule.collection is None:
            kinds.append(False)
        if self.supports_documents and (rule is None or rule.namespace is None):
            kinds.append(True)
        return [Sweep(documents, rule, now, limit) for documents in kinds]

    def _expire_all(self, batch_size: int) -> Iterator[ExpireResult]:
        pace = Pace(batch_size, self.step_seconds)
        while True:
            try:
                expired, limit = self._in_time(pace, lambda limit: (self._expire(limit), limit))
            except ProtectedRow:
                # One pass, which leaves behind what is protected.
                yield from self._retire_all(self._sweeps(None, batch_size))
                return
            yield self._announce(expired)
            if expired.has_hidden:
                self.delete_hidden()
            elif max(len(expired.sessions), expired.documents) < limit:
                return

    def _retire_all(self, sweeps: list[Sweep]) -> Iterator[ExpireResult]:
        for sweep in sweeps:
            pace, after = Pace(sweep.limit, self.step_seconds), None
            while True:
                try:
                    expired, after = self._in_time(pace, partial(self._retire_some, sweep, after))
                except ProtectedRow:
                    pace.divide(2)
                    continue
                yield self._announce(expired)
                if expired.has_hidden:
                    self.delete_hidden()
                if after is None:
                    break

    def _in_time(self, pace: Pace, step: Callable[[int], T]) -> T:
        """What ``step`` returns for a limit, a smaller one where the medium ended it."""
        while True:
            began = monotonic()
            try:
                result = step(pace.limit)
            except StoreUnavailable as exc:
                if not (self._is_overdue(exc) and pace.divide(4)):
                    raise
            else:
                pace.took(monotonic() - began)
                return result

    def _retire_some(self, sweep: Sweep, after: Place, limit: int) -> tuple[Expired, Place]:
        """One step of a pass; raises ProtectedRow unless it finds one row alone."""
        step = sweep._replace(limit=limit)
        try:
            return self._retire(step, after)
        except ProtectedRow as exc:
            if limit > 1:
                raise
            return self._skip(step, after, exc)

    def _list_some(
        self, sweep: Sweep, after: Place, limit: int
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        return self._list_expired(sweep._replace(limit=limit), after)

    def _skip(self, step: Sweep, after: Place, exc: ProtectedRow) -> tuple[Expired, Place]:
        """Leave what the step finds; return it, and where the next step begins."""
        rows, after = self._list_expired(step, after)
        protected = [_protected(one, exc.protected_by) for one in rows]
        return Expired([], 0, protected), after

    def _list_all(self, sweeps: list[Sweep]) -> Iterator[ExpiredSession | ExpiredDocument]:
        for sweep in sweeps:
            pace, after = Pace(sweep.limit, self.step_seconds), None
            while True:
                rows, after = self._in_time(pace, partial(self._list_some, sweep, after))
                yield from rows
                if after is None:
                    break

    def _announce(self, expired: Expired) -> ExpireResult:
        """Send the signal of each expired session; return how much was deleted."""
        for name, message_count in expired.sessions:
            send(session_expired, self.alias, name.namespace, name.session_id, message_count)
        for one in expired.protected:
            logger.warning("Not removed: the %s", one)
        return ExpireResult(
            sessions=len(expired.sessions),
            documents=expired.documents,
            protected=tuple(expired.protected),
        )


def _protected(one: ExpiredSession | ExpiredDocument, by: str) -> Protected:
    if isinstance(one, ExpiredSession):
        return Protected(
            kind="session",
            place=one.namespace,
            id=one.session_id,
            protected_by=by,
            is_owner_known=False,
        )
    return Protected(
        kind="document", place=one.collection, id=one.id, protected_by=by, is_owner_known=False
    )
