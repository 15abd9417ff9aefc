"""The contract of every store: what goes because its time has come."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from parlant_store.backends.arguments import SessionName
from parlant_store.backends.retention import Place, Sweep, check_rule
from parlant_store.exceptions import InvalidLimit
from parlant_store.signals import send, session_expired
from parlant_store.types import ExpiredDocument, ExpiredSession, ExpireResult, Retention

PAGE = 1_000
"""How many of those that would go are read at once."""


class Expired(NamedTuple):
    """What one batch removed."""

    sessions: list[tuple[SessionName, int]]
    """Which sessions, and how many items each had."""

    documents: int


class ExpiryMethods(ABC):
    """How a store lets go what has expired, and what a rule keeps no longer.

    A rule is about what has not expired yet. Of sessions it looks at when they began and when
    they were last written to. Of documents it looks at creation_utc, compared as text with a
    time in UTC ("2026-01-31T12:00:00+00:00"), or where that does not begin with a year and a
    dash, at when they were last written to.

    Documents of a Parlant session stay together. It is a document of a collection whose name
    ends in "sessions", with all documents that have its id in session_id and are in collections
    whose names begin as its own does before "sessions". It is idle only when none of them was
    written to since; when it goes, all of them go with it, in the same transaction. A rule
    without a collection never takes one of them alone, nor anything from collections whose
    names end in "metadata", which say the version of the others. A rule with a collection takes
    what is in it.
    """

    alias: str
    clock: Callable[[], datetime]
    supports_documents: bool

    def expire(self, *, batch_size: int = 1_000) -> ExpireResult:
        """Remove what has expired, in batches of ``batch_size``; return how much it was."""
        batches = list(self.expire_batches(batch_size=batch_size))
        return ExpireResult(
            sessions=sum(batch.sessions for batch in batches),
            documents=sum(batch.documents for batch in batches),
        )

    def expire_batches(
        self, *, rule: Retention | None = None, batch_size: int = 1_000
    ) -> Iterator[ExpireResult]:
        """Remove what has expired, or what ``rule`` says; give what each batch removed.

        Each batch is a transaction of its own, unless the caller has one: who stops iterating
        keeps what was done. At most ``batch_size`` sessions and as many documents go in one,
        besides the documents of Parlant's sessions that go along. A rule is one pass over a
        table, of which a batch looks at 20 rows for each that it may remove: it may remove
        none. What somebody writes to meanwhile stays. Raises InvalidInput.
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

    def _sweeps(self, rule: Retention | None, limit: int) -> list[Sweep]:
        now = self.clock()
        kinds = []
        if rule is None or rule.collection is None:
            kinds.append(False)
        if self.supports_documents and (rule is None or rule.namespace is None):
            kinds.append(True)
        return [Sweep(documents, rule, now, limit) for documents in kinds]

    def _expire_all(self, batch_size: int) -> Iterator[ExpireResult]:
        while True:
            expired = self._expire(batch_size)
            yield self._told(expired)
            if max(len(expired.sessions), expired.documents) < batch_size:
                return

    def _retire_all(self, sweeps: list[Sweep]) -> Iterator[ExpireResult]:
        for sweep in sweeps:
            after: Place = None
            while True:
                expired, after = self._retire(sweep, after)
                yield self._told(expired)
                if after is None:
                    break

    def _list_all(self, sweeps: list[Sweep]) -> Iterator[ExpiredSession | ExpiredDocument]:
        for sweep in sweeps:
            after: Place = None
            while True:
                found, after = self._list_expired(sweep, after)
                yield from found
                if after is None:
                    break

    def _told(self, expired: Expired) -> ExpireResult:
        """How much it was, once whoever listens knows of each session."""
        for name, message_count in expired.sessions:
            send(session_expired, self.alias, name.namespace, name.session_id, message_count)
        return ExpireResult(sessions=len(expired.sessions), documents=expired.documents)
