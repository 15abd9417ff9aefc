"""Groups of waiting calls, which are made by one statement or in one transaction."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from parlant_store.backends.contract.sessions import SessionMethods
from parlant_store.backends.orm.calls import OrmCalls
from parlant_store.backends.threads.calls import Call, Group
from parlant_store.exceptions import InvalidInput, OutcomeUnknown, StoreUnavailable
from parlant_store.signals import session_loaded, session_saved
from parlant_store.types import JSONObject

MAX_READ = 1_000
"""Limit on the items of a read in a group."""


class GroupedCalls(OrmCalls, SessionMethods):
    """Groups appends, and short reads, of the same database."""

    def group_of(self, call: Call[Any]) -> Group | None:
        function = call.function
        if not isinstance(function, partial):
            return None
        options = function.keywords.get("ttl_seconds"), function.keywords.get("request_id")
        if function.func == self.add_items and options == (None, None):
            return Group(("add_items", call.database), self._add_all)
        limit = function.keywords.get("limit")
        # No call waits for the long history of another.
        is_short = isinstance(limit, int) and 0 < limit <= MAX_READ
        is_short = is_short and not function.keywords.get("whole_turns")
        if function.func == self.get_items and is_short:
            return Group(("get_items", call.database), self._get_all)
        return None

    def _add_all(self, calls: Sequence[Call[Any]]) -> Sequence[None] | None:
        try:
            additions = [self._addition(*args, **kwargs) for args, kwargs in map(_arguments, calls)]
        except (InvalidInput, TypeError):
            return None
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

    def _get_all(self, calls: Sequence[Call[Any]]) -> Sequence[list[JSONObject]] | None:
        try:
            reads = [self._reading(*args, **kwargs) for args, kwargs in map(_arguments, calls)]
        except (InvalidInput, TypeError):
            return None
        try:
            results = self._read(
                lambda on: on.tables.sessions.get_all(on.connection, reads, on.time)
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


def _arguments(call: Call[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    function: Any = call.function
    return function.args, function.keywords
