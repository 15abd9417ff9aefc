"""Expiry of threads, and retention rules for them."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from parlant_store.backends.contract.checkpoint_operations import (
    DeleteThread,
    ListThreads,
    PruneThreads,
    ThreadName,
)
from parlant_store.backends.contract.checkpoints import MAX_PRUNED, CheckpointMethods
from parlant_store.content.times import as_utc
from parlant_store.types import (
    ExpiredCheckpoints,
    ExpiredThread,
    ExpireResult,
    Retention,
    ThreadInfo,
)

PAGE = 1_000
"""The number of threads that are listed at once."""


class ThreadRetentionMethods(CheckpointMethods):
    """Deletes threads that a rule matches, thread by thread, and their first checkpoints.

    Threads that were written meanwhile are not deleted.
    """

    clock: Callable[[], datetime]

    def _expire_threads(self, batch_size: int) -> Iterator[ExpireResult]:
        has_more = self.supports_checkpoints
        while has_more:
            deleted, has_more = self._delete_expired_threads(batch_size)
            if deleted:
                yield ExpireResult(sessions=0, documents=0, threads=deleted)

    def _retire_threads(self, rule: Retention, batch_size: int) -> Iterator[ExpireResult]:
        now = as_utc(self.clock())
        for page in self._thread_pages(rule, batch_size):
            deleted = sum(
                self._delete_thread(DeleteThread(_name_of(thread), None, thread.updated_at))
                for thread in page
                if _is_old(thread, rule, now)
            )
            if deleted:
                yield ExpireResult(sessions=0, documents=0, threads=deleted)

    def _trim_threads(self, rule: Retention, batch_size: int) -> Iterator[ExpireResult]:
        for page in self._thread_pages(rule, min(batch_size, MAX_PRUNED)):
            if deleted := sum(self._prune_threads(_pruning(page, rule))):
                yield ExpireResult(sessions=0, documents=0, checkpoints=deleted)

    def _list_old_threads(
        self, rule: Retention | None
    ) -> Iterator[ExpiredThread | ExpiredCheckpoints]:
        """Yield what would be deleted."""
        if rule is not None and rule.keep_checkpoints is not None:
            yield from self._list_prunable(rule)
            return
        now = as_utc(self.clock())
        for page in self._thread_pages(rule, PAGE):
            for thread in page:
                if rule is None or _is_old(thread, rule, now):
                    yield ExpiredThread(**_name_of(thread)._asdict())

    def _list_prunable(self, rule: Retention) -> Iterator[ExpiredCheckpoints]:
        for page in self._thread_pages(rule, MAX_PRUNED):
            counts = self._prune_threads(_pruning(page, rule, is_dry_run=True))
            for thread, count in zip(page, counts, strict=True):
                if count:
                    yield ExpiredCheckpoints(**_name_of(thread)._asdict(), checkpoint_count=count)

    def _thread_pages(self, rule: Retention | None, size: int) -> Iterator[list[ThreadInfo]]:
        """Yield the threads of the rule's namespace, or without a rule those that have expired."""
        namespace = None if rule is None else rule.namespace
        after: ThreadName | None = None
        while self.supports_checkpoints:
            listing = ListThreads(namespace, None, size, after, is_expired=rule is None)
            page = self._list_threads(listing)
            yield page
            if len(page) < size:
                return
            after = _name_of(page[-1])

    def _delete_expired_threads(self, limit: int) -> tuple[int, bool]:
        """Delete at most ``limit`` rows of expired threads.

        Return the number of threads of which nothing is left, and whether there may be more.
        """
        raise NotImplementedError


def _name_of(thread: ThreadInfo) -> ThreadName:
    return ThreadName(thread.namespace, thread.thread_id)


def _is_old(thread: ThreadInfo, rule: Retention, now: datetime) -> bool:
    return all(
        duration is None or as_utc(time) <= now - duration
        for duration, time in (
            (rule.older_than, thread.created_at),
            (rule.idle, thread.updated_at),
        )
    )


def _pruning(
    threads: Iterable[ThreadInfo], rule: Retention, *, is_dry_run: bool = False
) -> PruneThreads:
    return PruneThreads([*map(_name_of, threads)], rule.keep_checkpoints or 1, None, is_dry_run)
