"""Whole threads over Supabase, with the service role."""

from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from parlant_store.backends.contract.checkpoint_operations import ThreadName, WriteThreads
from parlant_store.backends.supabase.client import time_of
from parlant_store.backends.supabase.rest import shapes
from parlant_store.backends.supabase.threads import SupabaseThreads
from parlant_store.backends.thread_columns import thread_columns
from parlant_store.backends.thread_record_columns import (
    MAX_BYTES,
    Chunk,
    RecordRows,
    publication,
    staged,
    thread_records,
)
from parlant_store.types import ThreadRecord


class SupabaseThreadRecords(SupabaseThreads):
    """Reads and writes the rows of threads in several requests, none of which is large."""

    def _read_threads(self, names: list[ThreadName]) -> list[ThreadRecord]:
        short = [thread_columns(name) for name in names]
        found = self.connection.read(
            "read_threads",
            shapes.THREAD_RECORDS,
            namespaces=[name.namespace for name in short],
            thread_ids=[name.thread_id for name in short],
            now=self.clock(),
        )
        threads = [(*row[:5], *map(time_of, row[5:])) for row in found]
        keys = [row[0] for row in threads]
        checkpoints = self._rows("read_checkpoints", shapes.CHECKPOINT_RECORDS, keys)
        values = self._rows("read_channel_values", shapes.VALUE_RECORDS, keys)
        writes = self._rows("read_writes", shapes.WRITE_RECORDS, keys)
        return thread_records(
            RecordRows(
                threads,
                ((*row, b64decode(value), time_of(time)) for *row, value, time in checkpoints),
                ((*row, b64decode(value)) for *row, value in values),
                ((*row, b64decode(value)) for *row, value in writes),
            )
        )

    def _rows(self, function: str, shape: shapes.Shape, keys: list[int]) -> Iterator[Any]:
        """Return the rows of threads, page by page."""
        after, has_more = 0, bool(keys)
        while has_more:
            page = self.connection.read(function, shape, keys=keys, after=after, bytes=MAX_BYTES)
            for key, *row in page["rows"]:
                after = key
                yield row
            has_more = page["has_more"]

    def _write_threads(self, write: WriteThreads) -> list[bool]:
        def stage(keys: list[int] | None, chunk: Chunk) -> list[int]:
            created: list[int] = self.connection.write(
                "stage_threads",
                shapes.list_of(shapes.integer),
                None,
                keys=keys,
                count=len(write.entries),
                **chunk._asdict(),
                now=self.clock(),
            )
            return created

        written: list[bool] = self.connection.write(
            "publish_threads",
            shapes.list_of(shapes.boolean),
            None,
            **publication(write, staged(write, stage)),
            replace=write.replace,
            now=self.clock(),
        )
        if write.replace or not all(written):
            self._delete_hidden_threads()
        return written
