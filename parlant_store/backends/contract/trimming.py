"""Retention rules that keep the latest items or turns of sessions."""

import logging
from collections.abc import Iterator

from parlant_store.backends.contract.expiry import ExpiryMethods, protected
from parlant_store.backends.contract.history import HistoryMethods
from parlant_store.backends.contract.listings import filters_of
from parlant_store.backends.contract.operations import KeepLatest, ListSummaries, ListTurns
from parlant_store.backends.contract.validation import SessionName
from parlant_store.exceptions import ProtectedRow
from parlant_store.types import ExpiredItems, ExpireResult, Retention, SessionSummary

logger = logging.getLogger("parlant_store")

PAGE = 1_000
"""The number of sessions, or of turns, that are read at once."""


class TrimmingMethods(HistoryMethods, ExpiryMethods):
    """Deletes the first items of sessions, session by session, each in a transaction."""

    def _trim_all(self, rule: Retention, batch_size: int) -> Iterator[ExpireResult]:
        for page in self._pages(rule, batch_size):
            items, kept = 0, []
            for session in page:
                name = SessionName(session.namespace, session.session_id)
                keep = KeepLatest(name, rule.keep_last_items, rule.keep_last_turns, None)
                try:
                    items += self._keep_latest(keep)
                except ProtectedRow as exc:
                    kept.append(protected(session, exc.protected_by))
            for one in kept:
                logger.warning("Items are not deleted: the %s", one)
            yield ExpireResult(sessions=0, documents=0, items=items, protected=tuple(kept))

    def _list_trimmed(self, rule: Retention) -> Iterator[ExpiredItems]:
        for page in self._pages(rule, PAGE):
            for session in page:
                count = session.item_count - self._count_latest(session, rule)
                if count > 0:
                    yield ExpiredItems(
                        key=session.key,
                        namespace=session.namespace,
                        session_id=session.session_id,
                        item_count=count,
                    )

    def _pages(self, rule: Retention, size: int) -> Iterator[list[SessionSummary]]:
        """Yield the sessions that may have items to delete, a batch at a time."""
        filters = filters_of(namespace=rule.namespace)
        # Each item is of one turn: sessions with few items have few turns.
        least = max(rule.keep_last_items or 0, rule.keep_last_turns or 0)
        after = 0
        while page := [*self._list_summaries(ListSummaries(filters, size, after))]:
            yield [session for session in page if session.item_count > least]
            after = page[-1].key

    def _count_latest(self, session: SessionSummary, rule: Retention) -> int:
        """Return the number of items that the rule keeps."""
        name = SessionName(session.namespace, session.session_id)
        kept = turns = 0
        after = None
        while page := self._list_turns(ListTurns(name, PAGE, after, newest_first=True)):
            for turn in page:
                if kept >= (rule.keep_last_items or 0) and turns >= (rule.keep_last_turns or 0):
                    return kept
                kept, turns, after = kept + turn.item_count, turns + 1, turn.number
        return kept
