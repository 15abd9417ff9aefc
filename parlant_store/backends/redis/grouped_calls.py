"""Groups of waiting calls, whose commands are sent together."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from parlant_store.backends.columns import decode
from parlant_store.backends.contract.operations import AddItems, GetItems
from parlant_store.backends.grouped_calls import GroupedCalls
from parlant_store.backends.redis.expiry import RedisExpiry
from parlant_store.backends.redis.keys import encode_name
from parlant_store.backends.redis.server.errors import refusal
from parlant_store.backends.redis.server.requests import Command
from parlant_store.backends.redis.values import decode_texts
from parlant_store.backends.threads.calls import Call
from parlant_store.exceptions import StoreUnavailable
from parlant_store.signals import session_loaded, session_saved
from parlant_store.types import JSONObject


class RedisGroupedCalls(GroupedCalls, RedisExpiry):
    """Sends the commands of a group together."""

    def _add_group(
        self, calls: Sequence[Call[Any]], additions: list[AddItems]
    ) -> Sequence[None] | None:
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

    def _get_group(
        self, calls: Sequence[Call[Any]], reads: list[GetItems]
    ) -> Sequence[list[JSONObject]] | None:
        commands = [
            command for read in reads for command in self._get_commands(read.session, read.limit)
        ]
        refreshes = [
            self._refresh_command(read.session, read.refresh)
            for read in reads
            if read.refresh is not None
        ]
        try:
            answers = self.connection.read_each(*commands, *refreshes)[: len(commands)]
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
