"""The contract of stores: expiry and retention rules."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from time import monotonic
from typing import NamedTuple, TypeVar

from parlant_store.backends.contract.retention import Place, Sweep, check_rule
from parlant_store.backends.contract.validation import SessionName, check_limit
from parlant_store.backends.threads.async_methods import as_async, as_async_iterator
from parlant_store.content.times import as_utc
from parlant_store.exceptions import InvalidLimit, ProtectedRow, StoreUnavailable
from parlant_store.signals import send, session_expired
from parlant_store.types import (
    ExpiredCheckpoints,
    ExpiredDocument,
    ExpiredItems,
    ExpiredSession,
    ExpiredThread,
    ExpireResult,
    Protected,
    Retention,
    SessionSummary,
)

T = TypeVar("T")

ToExpire = ExpiredSession | ExpiredDocument | ExpiredItems | ExpiredThread | ExpiredCheckpoints
"""What would be deleted."""

logger = logging.getLogger("parlant_store")

PAGE = 1_000
"""The number of rows that list_expired reads at once."""


FIRST_STEP = 100
"""The number of rows of the first step, if the backend limits the time of statements."""


class Pace:
    """The number of rows that the next step of a pass may delete."""

    def __init__(self, max_limit: int, seconds: float | None) -> None:
        """``seconds`` is how long a step may take; None: no limit."""
        self._max_limit = max_limit
        self._seconds = seconds
        self.limit = max_limit if seconds is None else min(max_limit, FIRST_STEP)

    def adapt(self, seconds: float) -> None:
        """Adapt the limit to the duration of a step."""
        if self._seconds is None or seconds < self._seconds / 4:
            self.limit = min(2 * self.limit, self._max_limit)
        elif seconds > self._seconds:
            self.divide(2)

    def divide(self, by: int) -> bool:
        """Make the next step smaller; return False if it is a single row already."""
        if self.limit == 1:
            return False
        self.limit = max(1, self.limit // by)
        return True


class Expired(NamedTuple):
    """The result of one batch."""

    sessions: list[tuple[SessionName, int]]
    """The deleted sessions, each with the number of its items."""

    documents: int

    protected: Sequence[Protected] = ()
    """Rows that are not deleted because rows of the project protect them."""

    has_hidden: bool = False
    """Whether there may be hidden sessions, whose items are not all deleted."""

    threads: int = 0
    """The number of threads of which nothing is left."""

    has_threads: bool = False
    """Whether there may be more expired threads."""


class ExpiryMethods(ABC):
    """Deletes expired sessions, documents and threads, and those that a retention rule matches.

    A rule applies to what has not expired. For sessions and threads, it compares the times of
    creation and of the last write. For documents, it compares creation_utc, as text, with a time
    in UTC ("2026-01-31T12:00:00+00:00"), or the time of the last write if creation_utc does not
    start with a year and a dash.

    A Parlant session and its related documents (parlant_store.content.related_documents) are
    deleted together, in one transaction. The session is idle only if none of them was written
    since. A rule without a collection never deletes one of them alone, and nothing in collections
    whose names end in "metadata", which have the versions of the others. A rule with a collection
    deletes any document in it.

    Rows that rows of the project protect are not deleted (parlant_store.backends.orm.references),
    nor the other documents of the same Parlant session if the rule deletes them together.
    """

    alias: str
    clock: Callable[[], datetime]
    supports_documents: bool

    step_seconds: float | None = None
    """How long a step may take if the backend ends long statements; None: it ends none."""

    def expire(self, *, batch_size: int = 1_000) -> ExpireResult:
        """Delete expired sessions and documents, in batches of ``batch_size``; return numbers."""
        return _total([*self.expire_batches(batch_size=batch_size)])

    async def aexpire(self, *, batch_size: int = 1_000) -> ExpireResult:
        # Each batch is a call, with a timeout of its own.
        return _total([batch async for batch in self.aexpire_batches(batch_size=batch_size)])

    aexpire.__doc__ = expire.__doc__

    def expire_batches(
        self, *, rule: Retention | None = None, batch_size: int = 1_000
    ) -> Iterator[ExpireResult]:
        """Delete what has expired, or what ``rule`` matches; yield the numbers of each batch.

        Each batch is a transaction, unless the caller has one: iteration may stop after any of
        them. A batch deletes at most ``batch_size`` sessions and as many documents, plus the
        related documents of Parlant sessions. A rule is one pass over a table; a batch reads up
        to 20 rows for each that it may delete, and may delete none. Rows that are written
        meanwhile are not deleted. Raise InvalidInput if an argument is wrong.
        """
        if not check_limit(batch_size, "batch_size"):
            raise InvalidLimit("batch_size must be 1 or more")
        if rule is None:
            return self._expire_all(batch_size)
        if check_rule(rule).trims:
            return self._trim(rule, batch_size)
        retired = self._retire_all(self._sweeps(rule, batch_size))
        return (
            retired if rule.collection else chain(retired, self._retire_threads(rule, batch_size))
        )

    aexpire_batches = as_async_iterator(expire_batches, 1)

    def list_expired(self, *, rule: Retention | None = None) -> Iterator[ToExpire]:
        """Yield what ``expire_batches`` would delete now, and delete nothing.

        It is read in pages. Raise InvalidInput if the rule is wrong.
        """
        if rule is None:
            return chain(self._list_all(self._sweeps(None, PAGE)), self._list_old_threads(None))
        listed: list[Iterator[ToExpire]] = []
        if not check_rule(rule).trims:
            listed.append(self._list_all(self._sweeps(rule, PAGE)))
        elif rule.trims_sessions:
            listed.append(self._list_trimmed(rule))
        if rule.collection is None and (rule.keep_checkpoints or not rule.trims):
            listed.append(self._list_old_threads(rule))
        return chain(*listed)

    alist_expired = as_async_iterator(list_expired, PAGE)

    def delete_hidden(self) -> None:
        """Delete the rest of hidden sessions, which were too large for one step."""
        return

    adelete_hidden = as_async(delete_hidden)

    def _trim(self, rule: Retention, batch_size: int) -> Iterator[ExpireResult]:
        if rule.trims_sessions:
            yield from self._trim_all(rule, batch_size)
        if rule.keep_checkpoints is not None:
            yield from self._trim_threads(rule, batch_size)

    @abstractmethod
    def _trim_all(self, rule: Retention, batch_size: int) -> Iterator[ExpireResult]: ...

    @abstractmethod
    def _list_trimmed(self, rule: Retention) -> Iterator[ExpiredItems]: ...

    @abstractmethod
    def _expire_threads(self, batch_size: int) -> Iterator[ExpireResult]: ...

    @abstractmethod
    def _retire_threads(self, rule: Retention, batch_size: int) -> Iterator[ExpireResult]: ...

    @abstractmethod
    def _trim_threads(self, rule: Retention, batch_size: int) -> Iterator[ExpireResult]: ...

    @abstractmethod
    def _list_old_threads(
        self, rule: Retention | None
    ) -> Iterator[ExpiredThread | ExpiredCheckpoints]: ...

    @abstractmethod
    def _expire(self, batch_size: int) -> Expired: ...

    @abstractmethod
    def _retire(self, sweep: Sweep, after: Place) -> tuple[Expired, Place]:
        """Make a step of the pass; return where the next starts, or None at the end."""

    @abstractmethod
    def _list_expired(
        self, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        """Return the eligible rows of a step, and the place after which the next one starts."""

    def _is_overdue(self, exc: StoreUnavailable) -> bool:
        """Whether the backend ended and rolled back a step that took too long."""
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
                # One pass, which skips protected rows.
                yield from self._retire_all(self._sweeps(None, batch_size))
                yield from self._expire_threads(batch_size)
                return
            yield self._announce(expired)
            if expired.has_hidden:
                self.delete_hidden()
            elif max(len(expired.sessions), expired.documents) < limit and not expired.has_threads:
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
        """Return ``step(limit)``, which is repeated with a smaller limit if it took too long."""
        while True:
            started = monotonic()
            try:
                result = step(pace.limit)
            except StoreUnavailable as exc:
                if not (self._is_overdue(exc) and pace.divide(4)):
                    raise
            else:
                pace.adapt(monotonic() - started)
                return result

    def _retire_some(self, sweep: Sweep, after: Place, limit: int) -> tuple[Expired, Place]:
        """Make a step of a pass; raise ProtectedRow, but skip a protected row with a limit of 1."""
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
        """Return the rows of the step as protected, and the place after which the next starts."""
        rows, after = self._list_expired(step, after)
        return Expired([], 0, [protected(one, exc.protected_by) for one in rows]), after

    def _list_all(self, sweeps: list[Sweep]) -> Iterator[ExpiredSession | ExpiredDocument]:
        for sweep in sweeps:
            pace, after = Pace(sweep.limit, self.step_seconds), None
            while True:
                rows, after = self._in_time(pace, partial(self._list_some, sweep, after))
                yield from rows
                if after is None:
                    break

    def _announce(self, expired: Expired) -> ExpireResult:
        """Send the signal of each expired session; return the numbers."""
        for name, message_count in expired.sessions:
            send(session_expired, self.alias, name.namespace, name.session_id, message_count)
        for one in expired.protected:
            logger.warning("Not deleted: the %s", one)
        return ExpireResult(
            sessions=len(expired.sessions),
            documents=expired.documents,
            threads=expired.threads,
            protected=tuple(expired.protected),
        )


def _total(batches: list[ExpireResult]) -> ExpireResult:
    return ExpireResult(
        sessions=sum(batch.sessions for batch in batches),
        documents=sum(batch.documents for batch in batches),
        threads=sum(batch.threads for batch in batches),
        protected=tuple(one for batch in batches for one in batch.protected),
    )


def protected(one: ExpiredSession | ExpiredDocument | SessionSummary, by: str) -> Protected:
    """Return a row that a rule leaves, because rows of the project protect it."""
    if isinstance(one, ExpiredDocument):
        return Protected(
            kind="document", place=one.collection, id=one.id, protected_by=by, is_owner_known=False
        )
    return Protected(
        kind="session",
        place=one.namespace,
        id=one.session_id,
        protected_by=by,
        is_owner_known=False,
    )
