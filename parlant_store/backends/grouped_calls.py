"""Which waiting calls of adapters run as a group, in backends that can run them at once."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.contract.operations import AddItems, GetItems
from parlant_store.backends.contract.refresh import READ
from parlant_store.backends.threads.calls import Call, Group
from parlant_store.exceptions import InvalidInput, OutcomeUnknown, StoreUnavailable
from parlant_store.types import JSONObject

MAX_READ = 1_000
"""Limit on the items of a read in a group."""


class GroupedCalls(BaseBackend):
    """Groups appends, and short reads, of the same database, and writes after one checkpoint."""

    def group_of(self, call: Call[Any]) -> Group | None:
        function = call.function
        if not isinstance(function, partial):
            return None
        options = function.keywords.get("ttl_seconds"), function.keywords.get("request_id")
        if function.func == self.add_items and options == (None, None):
            return Group(("add_items", call.database), self._add_all)
        if function.func == self.put_writes and not function.args:
            return _writes_group(call, self._put_all_writes)
        limit = function.keywords.get("limit")
        # No call waits for the long history of another.
        is_short = isinstance(limit, int) and 0 < limit <= MAX_READ
        options = function.keywords.get("whole_turns"), function.keywords.get("max_tokens")
        is_short = is_short and options in ((False, None), (None, None))
        if function.func == self.get_items and is_short:
            ttl = function.keywords.get("ttl_seconds") if self.ttl_refresh == READ else None
            if ttl is None or isinstance(ttl, (int, float)):
                database = call.read_database or call.database
                # All reads of a group prolong their sessions by the same time.
                return Group(("get_items", database, ttl), self._get_all)
        return None

    def _add_all(self, calls: Sequence[Call[Any]]) -> Sequence[None] | None:
        try:
            additions = [self._addition(*args, **kwargs) for args, kwargs in map(_arguments, calls)]
        except (InvalidInput, TypeError):
            return None
        return self._add_group(calls, additions)

    def _get_all(self, calls: Sequence[Call[Any]]) -> Sequence[list[JSONObject]] | None:
        try:
            reads = [self._reading(*args, **kwargs) for args, kwargs in map(_arguments, calls)]
        except (InvalidInput, TypeError):
            return None
        return self._get_group(calls, reads)

    def _put_all_writes(self, calls: Sequence[Call[Any]]) -> Sequence[None] | None:
        options = [_arguments(call)[1] for call in calls]
        writes = [write for each in options for write in each["writes"]]
        try:
            self.put_writes(**options[0] | {"writes": writes})
        except (InvalidInput, TypeError):
            return None
        except StoreUnavailable as exc:
            # A call was stopped; the others run alone.
            if any(call.stopped for call in calls) and not isinstance(exc, OutcomeUnknown):
                return None
            raise
        return [None] * len(calls)

    @abstractmethod
    def _add_group(
        self, calls: Sequence[Call[Any]], additions: list[AddItems]
    ) -> Sequence[None] | None:
        """Make the additions of ``calls``; return None if each must run alone."""

    @abstractmethod
    def _get_group(
        self, calls: Sequence[Call[Any]], reads: list[GetItems]
    ) -> Sequence[list[JSONObject]] | None:
        """Return the items of each call; None if each must run alone."""


def _writes_group(
    call: Call[Any], run: Callable[[Sequence[Call[Any]]], Sequence[None] | None]
) -> Group | None:
    """Return the group of the tasks of one step, which often end at once."""
    _, options = _arguments(call)
    others = {name: value for name, value in options.items() if name != "writes"}
    is_plain = all(value is None or isinstance(value, str) for value in others.values())
    if not is_plain or not isinstance(options.get("writes"), list) or others.get("request_id"):
        return None
    return Group(("put_writes", call.database, *sorted(others.items())), run)


def _arguments(call: Call[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    function: Any = call.function
    return function.args, function.keywords
