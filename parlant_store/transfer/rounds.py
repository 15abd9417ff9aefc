"""A round of a copy: batches of the source are compared with the target, and written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from parlant_store.exceptions import DuplicateDocument, InvalidInput, ProtectedRow, StoreError
from parlant_store.transfer.ledger import Entry, Ledger
from parlant_store.transfer.parts import Part, ThreadPart
from parlant_store.transfer.report import Report

OnConflict = Literal["error", "skip", "replace"]


class Conflict(StoreError):
    """The target has a record of the same name with another content."""


@dataclass(frozen=True, kw_only=True)
class Round:
    part: Part[Any]
    number: int
    """From 1."""

    ledger: Ledger
    report: Report
    on_conflict: OnConflict
    dry_run: bool

    def copy(self, batch: Sequence[Any]) -> list[Any]:
        """Write what is missing or has changed; return the records of it."""
        records = self.part.named(batch)
        digests = {name: self.part.digest(record) for name, record in records.items()}
        stored = self.part.stored(records)
        known: list[Entry] = []
        new, changed = [], []
        for name, digest in digests.items():
            found = stored.get(name)
            before = None if self.number == 1 else self.ledger.get(self.part.kind, name)
            entry = Entry(name, digest, found, False, self.part.items(records[name]))
            is_written = before is not None and before.is_written and before.source == digest
            if found == digest or is_written:
                # If it was written and is not the same, the target has changed it.
                known.append(entry)
                self.report.same += self.number == 1
            elif found is None:
                new.append(entry)
            elif (before is not None and found == before.source) or self._may_replace(name):
                changed.append(entry)
        if not self.dry_run:
            known += self._write(new, records, replace=False)
            known += self._write(changed, records, replace=True)
            self.ledger.put(self.part.kind, self.number, known)
        self._count(new, changed)
        return [records[entry.name] for entry in [*new, *changed]]

    def _may_replace(self, name: str) -> bool:
        if self.on_conflict == "replace":
            return True
        if self.on_conflict == "error" and not self.dry_run:
            raise Conflict(
                f"the store {self.part.target.alias!r} has the {self.part.label(name)} with "
                "another content"
            )
        self.report.skipped += self.number == 1
        return False

    def _write(
        self, entries: list[Entry], records: dict[str, Any], *, replace: bool
    ) -> list[Entry]:
        """Write records; return those that were written, or that the target cannot store."""
        if not entries:
            return []
        batch = [records[entry.name] for entry in entries]
        try:
            written = self.part.write(batch, replace=replace)
        except (InvalidInput, DuplicateDocument, ProtectedRow) as exc:
            if len(entries) > 1:
                singles = [self._write([entry], records, replace=replace) for entry in entries]
                return [entry for single in singles for entry in single]
            self.report.refused[self.part.kind, entries[0].name] = str(exc)
            written = [True]
        return [
            entry._replace(target=None, is_written=True)
            for entry, is_written in zip(entries, written, strict=True)
            if is_written
        ]

    def _count(self, new: list[Entry], changed: list[Entry]) -> None:
        if self.number == 1:
            self.report.written += len(new)
            self.report.replaced += len(changed)
        else:
            self.report.updated += len(new) + len(changed)
        items = sum(entry.items for entry in [*new, *changed])
        if self.part.kind == ThreadPart.kind:
            self.report.checkpoints += items
        else:
            self.report.items += items
