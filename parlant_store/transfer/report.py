"""The report of a copy."""

from dataclasses import dataclass, field

from parlant_store.transfer.ledger import Totals
from parlant_store.transfer.sources import Note


@dataclass
class Report:
    """What a copy has done, or would do. Records are sessions, threads and documents."""

    written: int = 0
    items: int = 0
    """The number of items of the sessions that were written."""

    checkpoints: int = 0
    """The number of checkpoints of the threads that were written."""

    same: int = 0
    """Records that the target had already."""

    replaced: int = 0
    skipped: int = 0
    """Records that the target has with another content."""

    updated: int = 0
    """Records that were written to the source during the copy, and were copied again."""

    deleted: int = 0
    """Records that this copy had written, and that the source has deleted since."""

    totals: dict[str, Totals] = field(default_factory=dict)
    """What was compared at the end: the sessions, the threads, and the documents by collection."""

    differences: list[str] = field(default_factory=list)
    """The first records that are not the same on both sides."""

    difference_count: int = 0

    notes: list[Note] = field(default_factory=list)
    """What cannot be read."""

    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why the target cannot store a record, by its kind and name."""
