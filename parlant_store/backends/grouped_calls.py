"""Which waiting calls of adapters run as a group, in backends that can run them at once."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.contract.operations import AddItems, GetItems
from parlant_store.backends.contract.refresh import READ
from parlant_store.backends.threads.calls import Call, Group
from parlant_store.exceptions import InvalidInput
from parlant_store.types import JSONObject

MAX_READ = 1_000
"""Limit on the items of a read in a group."""


class GroupedCalls(BaseBackend):
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


def _arguments(call: Call[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    function: Any = call.function
    return function.args, function.keywords
