"""Copying: what is missing or differs is written, until both sides are the same."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from parlant_store.backends.base import BaseBackend
from parlant_store.content.times import as_utc
from parlant_store.exceptions import NotSupported, ProtectedRow, StoreError
from parlant_store.transfer.ledger import Ledger
from parlant_store.transfer.parts import DocumentPart, Part, SessionPart, ThreadPart
from parlant_store.transfer.report import Report
from parlant_store.transfer.rounds import OnConflict, Round
from parlant_store.transfer.selection import Selection
from parlant_store.transfer.sources import Note, Source

MAX_ROUNDS = 6
"""How often the records of a kind are read while others write to them."""

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clocks of those who write to the source may be apart."""

MAX_NAMED = 20
"""Limit on the names of records that differ, in a report."""


class Stopped(StoreError):
    """The copy was stopped between two batches."""


class Copy:
    """A copy from a source to a store.

    The first round writes what is missing; the next ones compare both sides and write what has
    changed since, until a round finds nothing. It may be stopped at any time and run again: what is
    the same is not written again.
    """

    def __init__(
        self,
        source: Source,
        target: BaseBackend,
        selection: Selection,
        *,
        on_conflict: OnConflict = "error",
        dry_run: bool = False,
        show: Callable[[str], None] = lambda text: None,
        is_stopped: Callable[[], object] = lambda: False,
    ) -> None:
        """
        on_conflict: what happens to records that the target has with another content.
        dry_run: whether to write nothing.
        show: gets texts about the progress.
        is_stopped: whether to stop after the current batch, by raising Stopped.
        """
        self.report = Report()
        self._source = source
        self._target = target
        self._selection = selection
        self._on_conflict = on_conflict
        self._dry_run = dry_run
        self._show = show
        self._is_stopped = is_stopped

    def run(self) -> Report:
        """Copy, and return the report.

        Raise Conflict, Stopped, NotSupported or another StoreError; ``report`` then has what was
        done before.
        """
        with Ledger() as ledger:
            for part in self._parts():
                self._copy(part, ledger)
                if not self._dry_run:
                    self._compare(part, ledger)
        self.report.notes = list(dict.fromkeys(self._source.notes))
        return self.report

    def _parts(self) -> Iterator[Part[Any]]:
        common = self._source, self._target, self._selection
        collections = self._source.collections(self._selection)
        if collections and not self._target.supports_documents:
            raise NotSupported(
                f"there are documents to copy, in {len(collections)} collections, and the store "
                f"{self._target.alias!r} stores sessions only"
            )
        has_threads = self._has_threads()
        if has_threads and not self._target.supports_checkpoints:
            raise NotSupported(
                f"there are threads to copy, and the store {self._target.alias!r} stores none"
            )
        if self._selection.has_sessions:
            yield SessionPart(*common)
        if has_threads:
            yield ThreadPart(*common)
        for collection in collections:
            yield DocumentPart(*common, collection)
        # Those that were created meanwhile.
        if not has_threads and self._target.supports_checkpoints and self._has_threads():
            yield ThreadPart(*common)
        for collection in self._source.collections(self._selection):
            if collection not in collections:
                yield DocumentPart(*common, collection)

    def _has_threads(self) -> bool:
        return self._selection.has_threads and self._source.has_threads(self._selection)

    def _copy(self, part: Part[Any], ledger: Ledger) -> None:
        starts: list[datetime] = []
        oldest = datetime.now(UTC)
        for number in range(1, 2 if self._dry_run else MAX_ROUNDS + 1):
            starts.append(datetime.now(UTC))
            # What the last round has written had changed after the start of the one before. Usage
            # and expiry do not change the time of a session, which may be older.
            since = None if number <= 2 else min(starts[number - 3] - CLOCK_SKEW, oldest)
            round_ = Round(
                part=part,
                number=number,
                ledger=ledger,
                report=self.report,
                on_conflict=self._on_conflict,
                dry_run=self._dry_run,
            )
            changes, oldest = self._run(round_, since)
            if number == 2:
                changes += self._delete_gone(part, ledger)
            if number > 1 and not changes:
                return

    def _run(self, round_: Round, since: datetime | None) -> tuple[int, datetime]:
        """Run the round on the records of the source since a time, None: on all.

        Return the number of changes, and the time of the oldest record that has changed.
        """
        selection, kind = self._selection, round_.part.kind
        if since is not None and (selection.since is None or selection.since < since):
            selection = replace(selection, since=since)
        verb = "copied" if round_.number == 1 else "compared"
        what = kind if kind in ("sessions", "threads") else f"documents of {kind}"
        done = changes = 0
        oldest = datetime.now(UTC)
        for batch in round_.part.batches(selection):
            changed = round_.copy(batch) if batch else []
            times = (record.updated_at for record in changed)
            oldest = min([oldest, *(as_utc(time) for time in times if time is not None)])
            changes += len(changed)
            done += len(batch)
            self._show(f"{verb} {done:,} {what}")
            if self._is_stopped():
                raise Stopped("stopped: run it again to copy the rest")
        return changes, oldest

    def _delete_gone(self, part: Part[Any], ledger: Ledger) -> int:
        """Delete what this copy has written, and the source has deleted since."""
        deleted = 0
        for entry in ledger.written_before(part.kind, 2):
            try:
                deleted += part.delete(entry.name, entry.source)
            except ProtectedRow as exc:
                self._source.notes.append(Note(part.label(entry.name), f"not deleted: {exc}"))
            ledger.remove(part.kind, entry.name)
        self.report.deleted += deleted
        return deleted

    def _compare(self, part: Part[Any], ledger: Ledger) -> None:
        """Add the totals and the differences to the report."""
        report = self.report
        report.totals[part.kind] = ledger.totals(part.kind)
        names = ledger.differences(part.kind)
        report.difference_count += len(names)
        for name in names[: MAX_NAMED - len(report.differences)]:
            reason = report.refused.get((part.kind, name))
            report.differences.append(part.label(name) + (f": {reason}" if reason else ""))
