"""Groups of waiting calls, which are made by one statement or in one transaction."""

from collections.abc import Sequence
from typing import Any

from parlant_store.backends.contract.operations import AddItems, GetItems
from parlant_store.backends.grouped_calls import GroupedCalls
from parlant_store.backends.orm.calls import OrmCalls
from parlant_store.backends.threads.calls import Call
from parlant_store.exceptions import OutcomeUnknown, StoreUnavailable
from parlant_store.signals import session_loaded, session_saved
from parlant_store.types import JSONObject


class OrmGroupedCalls(GroupedCalls, OrmCalls):
    """Makes a group by one statement or in one transaction."""

    def _add_group(
        self, calls: Sequence[Call[Any]], additions: list[AddItems]
    ) -> Sequence[None] | None:
        full = [addition for addition in additions if addition.batch.data]
        try:
            counts = (
                self._write(lambda on: on.tables.sessions.add_all(on.connection, full, on.time))
                if full
                else []
            )
        except StoreUnavailable as exc:
            # A call was stopped; the others run alone.
            if any(call.stopped for call in calls) and not isinstance(exc, OutcomeUnknown):
                return None
            raise
        if counts is None:
            return None
        if not session_saved.receivers:
            return [None] * len(calls)
        count_of = dict(zip(map(id, full), counts, strict=True))
        for call, addition in zip(calls, additions, strict=True):
            if id(addition) in count_of:
                count = count_of[id(addition)]
                call.run_in_context(self._send, session_saved, addition.session, count)
        return [None] * len(calls)

    def _get_group(
        self, calls: Sequence[Call[Any]], reads: list[GetItems]
    ) -> Sequence[list[JSONObject]] | None:
        try:
            results = self._read_content(
                lambda on: on.tables.sessions.get_all(on.connection, reads, on.time, on.key),
                reads[0].refresh,
                *(read.session for read in reads),
            )
        except StoreUnavailable:
            if any(call.stopped for call in calls):
                return None
            raise
        if results is None or not session_loaded.receivers:
            return results
        for call, read, items in zip(calls, reads, results, strict=True):
            call.run_in_context(self._send, session_loaded, read.session, len(items))
        return results
