"""Groups of waiting calls, whose commands are sent together."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from parlant_store.backends.columns import decode
from parlant_store.backends.contract.operations import AddItems, GetItems
from parlant_store.backends.redis.expiry import RedisExpiry
from parlant_store.backends.redis.keys import encode_name
from parlant_store.backends.redis.server.errors import refusal
from parlant_store.backends.redis.server.requests import Command
from parlant_store.backends.redis.values import decode_texts
from parlant_store.backends.threads.calls import Call, Group
from parlant_store.exceptions import InvalidInput, StoreUnavailable
from parlant_store.signals import session_loaded, session_saved
from parlant_store.types import JSONObject

MAX_READ = 1_000
"""Limit on the items of a read in a group."""


class GroupedCalls(RedisExpiry):
    """Groups appends, and short reads."""

    def group_of(self, call: Call[Any]) -> Group | None:
        function = call.function
        if not isinstance(function, partial):
            return None
        options = function.keywords.get("ttl_seconds"), function.keywords.get("request_id")
        if function.func == self.add_items and options == (None, None):
            return Group("add_items", self._add_all)
        limit = function.keywords.get("limit")
        # No call waits for the long history of another.
        is_short = isinstance(limit, int) and 0 < limit <= MAX_READ
        if (
            function.func == self.get_items
            and is_short
            and not function.keywords.get("whole_turns")
        ):
            return Group("get_items", self._get_all)
        return None

    def _add_all(self, calls: Sequence[Call[Any]]) -> Sequence[None] | None:
        try:
            additions = [self._addition(*args, **kwargs) for args, kwargs in map(_arguments, calls)]
        except (InvalidInput, TypeError):
            return None
        full = [pair for pair in zip(calls, additions, strict=True) if pair[1].batch.data]
        commands: list[Command] = []
        try:
            with self.connection.requests.take(None, len(full)) as keys:
                for (_, addition), key in zip(full, keys, strict=True):
                    name, arguments = encode_name(addition.session), self._add_arguments(addition)
                    commands.append(self._command("add_items", name, key, *arguments))
                counts = self.connection.write_each(*commands)
        except StoreUnavailable:
            if not any(call.stopped for call in calls):
                raise
            # Those that are not stopped repeat their own writes, with the same ids.
            for (call, addition), command in zip(full, commands, strict=True):
                call.function = partial(self._add_again, addition, command)
            return None
        for (call, addition), count in zip(full, counts, strict=True):
            if isinstance(count, Exception):
                call.fail(refusal(count))
            elif session_saved.receivers:
                call.run_in_context(self._send, session_saved, addition.session, int(count))
        return [None] * len(calls)

    def _add_again(self, addition: AddItems, command: Command) -> None:
        (count,) = self.connection.write(command)
        self._send(session_saved, addition.session, int(count))

    def _get_all(self, calls: Sequence[Call[Any]]) -> Sequence[list[JSONObject]] | None:
        try:
            reads = [self._reading(*args, **kwargs) for args, kwargs in map(_arguments, calls)]
        except (InvalidInput, TypeError):
            return None
        commands = [command for read in reads for command in self._get_commands(*read)]
        try:
            answers = self.connection.read_each(*commands)
        except StoreUnavailable:
            if any(call.stopped for call in calls):
                return None
            raise
        results = []
        for call, read, row, texts in zip(calls, reads, answers[::2], answers[1::2], strict=True):
            items = self._items(read, row, texts)
            if items is None:
                return None
            if session_loaded.receivers:
                call.run_in_context(self._send, session_loaded, read.session, len(items))
            results.append(items)
        return results

    def _items(self, read: GetItems, row: Any, texts: Any) -> list[JSONObject] | None:
        """Return the items of a read, or None if it must be made alone."""
        if isinstance(row, Exception) or isinstance(texts, Exception):
            return None
        if row[0] is None or self._is_expired(row[1]):
            return []
        return decode(decode_texts(texts))


def _arguments(call: Call[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    function: Any = call.function
    return function.args, function.keywords
