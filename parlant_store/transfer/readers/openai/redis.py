"""RedisSession of the OpenAI Agents SDK."""

from collections.abc import Iterator
from typing import Any

from parlant_store.transfer.readers.base import Reader, Unreadable, text_of
from parlant_store.transfer.readers.openai.records import session_record
from parlant_store.transfer.readers.redis_keys import RedisKeys
from parlant_store.types import SessionRecord

_MESSAGES = b":messages"


class OpenAIRedis(Reader):
    """The keys of RedisSession: a list of messages and a hash for each session."""

    def __init__(
        self, source: str, *, key_prefix: str = "agents:session", namespace: str = ""
    ) -> None:
        super().__init__(namespace=namespace)
        self._prefix = f"{key_prefix}:"
        self._keys = RedisKeys(source, self._prefix)

    def read_sessions(self) -> Iterator[SessionRecord]:
        with self._keys.connected() as client:
            for key in self._keys.scan(client):
                # The hash of a session whose id ends in ":messages" has such a name too.
                if key.endswith(_MESSAGES) and client.type(key) == b"list":
                    record = self._record(client, key)
                    if record is not None:
                        yield record

    def _record(self, client: Any, key: bytes) -> SessionRecord | None:
        session_key = key.removesuffix(_MESSAGES)
        try:
            session_id = text_of(session_key).removeprefix(self._prefix)
        except Unreadable as exc:
            self.note(f"session {session_key!r}", exc)
            return None
        times = {}
        if client.type(session_key) == b"hash":
            times = client.hgetall(session_key)
        return session_record(
            self,
            session_id,
            [(text, None) for text in client.lrange(key, 0, -1)],
            created_at=_seconds(times.get(b"created_at")),
            updated_at=_seconds(times.get(b"updated_at")),
            expires_at=self._keys.expires_at(client, key),
        )


def _seconds(value: bytes | None) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None
