"""Sessions in Redis."""

import logging
from datetime import timedelta
from itertools import repeat
from typing import Any
from uuid import UUID, uuid5

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.columns import decode_all
from parlant_store.backends.contract.operations import (
    AddItems,
    ClearSession,
    DeleteSession,
    GetItems,
    PopItem,
    SetExpiry,
    SetMetadata,
)
from parlant_store.backends.contract.refresh import refresh_at
from parlant_store.backends.contract.validation import MAX_LIMIT, SessionName
from parlant_store.backends.redis.keys import Keyspace, SessionKeys, encode_name, encode_owner
from parlant_store.backends.redis.server.client import Connection
from parlant_store.backends.redis.server.errors import refusal
from parlant_store.backends.redis.server.requests import Command, RequestKey, call
from parlant_store.backends.redis.values import (
    ROW_FIELDS,
    Row,
    batch_arguments,
    decode_item,
    decode_metadata,
    decode_texts,
    encode_metadata,
    optional_microseconds,
    undamaged,
)
from parlant_store.content.times import microseconds
from parlant_store.exceptions import BackendError
from parlant_store.types import JSONObject, SessionInfo

logger = logging.getLogger("parlant_store")


class RedisSessions(BaseBackend):
    """The operations on sessions, each by one script, or by commands that are sent together."""

    connection: Connection
    keyspace: Keyspace

    def _add_items(self, addition: AddItems) -> int:
        arguments = self._add_arguments(addition)
        return int(self._write("add_items", addition.session, addition.request, *arguments))

    def _add_arguments(self, addition: AddItems) -> tuple[Any, ...]:
        now, expires_at = self._expiry(addition.ttl)
        return (
            now,
            expires_at,
            int(addition.replace),
            encode_owner(addition.user_id),
            *batch_arguments(addition.batch, repeat(now)),
        )

    def _get_items(self, read: GetItems) -> list[JSONObject]:
        name, limit, refresh = read
        window = limit
        while True:
            row, texts = self._read_content(name, refresh, *self._get_commands(name, window))
            if row[0] is None or self._is_expired(row[1]):
                return []
            items = decode_all(decode_texts(texts), name)
            if limit is None or window is None:
                return items
            # Damaged items do not count: read more to return ``limit`` items.
            if len(items) >= limit or len(texts) < window:
                return items[-limit:]
            window *= 2

    def _get_commands(self, name: SessionName, limit: int | None) -> tuple[Command, Command]:
        keys = self._keys(name)
        first = 0 if limit is None else -min(limit, MAX_LIMIT)
        return (
            Command(keys.session, ("HMGET", keys.session, "key", "expires")),
            Command(keys.items, ("LRANGE", keys.items, first, -1)),
        )

    def _read_content(
        self, name: SessionName, refresh: timedelta | None, *commands: Command
    ) -> list[Any]:
        """Return the answers of commands that read the session, which is prolonged with them."""
        if refresh is None:
            return self.connection.read(*commands)
        *answers, _ = self.connection.read_each(*commands, self._refresh_command(name, refresh))
        for answer in answers:
            if isinstance(answer, Exception):
                raise refusal(answer) from answer
        return answers

    def _refresh_command(self, name: SessionName, refresh: timedelta) -> Command:
        now = self.clock()
        times = map(microseconds, (now, *refresh_at(now, refresh)))
        keys = self._keys(name)
        return call("refresh", (*keys[:4], keys.expires), encode_name(name), *times)

    def _pop_item(self, removal: PopItem) -> JSONObject | None:
        name, request = removal
        while True:
            text = self._write("pop_item", name, request, *self._expiry())
            if text is None:
                return None
            item = decode_item(text)
            if item is not None:
                return item
            logger.warning("Removed a damaged item of %r", name)
            request = request and uuid5(request, "next")

    def _clear(self, removal: ClearSession) -> None:
        self._write("clear", removal.session, removal.request, *self._expiry())

    def _delete_session(self, removal: DeleteSession) -> int | None:
        count = self._write(
            "delete_session", removal.session, removal.request, *self._now(), "current"
        )
        return None if count is None else int(count)

    def _get_session(self, session: SessionName) -> SessionInfo | None:
        name = encode_name(session)
        key = self._keys(session).session
        (fields,) = self.connection.read(Command(key, ("HMGET", key, *ROW_FIELDS)))
        row = Row(name, *(field or b"" for field in fields))
        if not row.key or self._is_expired(row.expires):
            return None
        with undamaged(session):
            return row.info

    def _set_metadata(self, change: SetMetadata) -> JSONObject:
        stored = self._write(
            "set_metadata",
            change.session,
            change.request,
            *self._expiry(),
            int(change.merge),
            *encode_metadata(change.metadata),
        )
        with undamaged(change.session):
            return decode_metadata(stored)

    def _set_expiry(self, change: SetExpiry) -> bool:
        expires = optional_microseconds(change.expires_at)
        now = microseconds(self.clock())
        return self._write("set_expiry", change.session, change.request, now, expires) is not None

    def _write(self, script: str, name: SessionName, request: UUID | None, *arguments: Any) -> Any:
        """Run a script; ``arguments`` are the time, expires_at and those of its own."""
        with self.connection.requests.take(request) as (answer,):
            command = self._command(script, encode_name(name), answer, *arguments)
            (result,) = self.connection.write(command)
        return result

    def _command(
        self, script: str, name: bytes, answer: RequestKey, now: int, *arguments: Any
    ) -> Command:
        shard = self.keyspace.shard_of(name)
        keys = (shard.requests + answer.name, *shard.keys(name))
        return call(script, keys, name, now, answer.id, answer.milliseconds, *arguments)

    def _keys(self, session: SessionName) -> SessionKeys:
        name = encode_name(session)
        return self.keyspace.shard_of(name).keys(name)

    def _now(self) -> tuple[int, str]:
        """Return the first arguments of a write that leaves expires_at unchanged."""
        return microseconds(self.clock()), ""

    def _expiry(self, ttl: timedelta | None = None) -> tuple[int, int | str]:
        """Return the first arguments of a write: the time, and the new expires_at."""
        now = self.clock()
        return microseconds(now), optional_microseconds(self._expires_at(now, ttl))

    def _is_expired(self, expires: bytes | None) -> bool:
        try:
            return bool(expires) and int(expires or 0) <= microseconds(self.clock())
        except ValueError as exc:
            raise BackendError(f"the stored session is damaged: expires is {expires!r}") from exc
