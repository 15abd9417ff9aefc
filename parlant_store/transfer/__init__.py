"""Copies of sessions, threads and documents from one store, or from another source, to a store."""

from parlant_store.transfer.copying import Copy, Stopped
from parlant_store.transfer.report import Report
from parlant_store.transfer.rounds import Conflict, OnConflict
from parlant_store.transfer.selection import Selection
from parlant_store.transfer.sources import Note, Source, SourceError, StoreSource

__all__ = [
    "Conflict",
    "Copy",
    "Note",
    "OnConflict",
    "Report",
    "Selection",
    "Source",
    "SourceError",
    "Stopped",
    "StoreSource",
]
