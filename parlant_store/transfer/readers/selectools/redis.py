"""RedisSessionStore of selectools."""

from collections.abc import Iterator
from typing import Any

from parlant_store.transfer.readers.base import Reader, Unreadable, parse_object, text_of
from parlant_store.transfer.readers.redis_keys import RedisKeys
from parlant_store.transfer.readers.selectools.memories import memory_record
from parlant_store.types import JSONObject, SessionRecord


class SelectoolsRedis(Reader):
    """The keys of RedisSessionStore: a memory and its metadata for each session."""

    def __init__(
        self, source: str, *, key_prefix: str = "selectools:session:", namespace: str = ""
    ) -> None:
        super().__init__(namespace=namespace)
        self._prefix = key_prefix
        self._keys = RedisKeys(source, key_prefix)

    def read_sessions(self) -> Iterator[SessionRecord]:
        metadata = f"{self._prefix}__meta__".encode()
        with self._keys.connected() as client:
            for key in self._keys.scan(client):
                if key.startswith(metadata):
                    continue
                try:
                    record = self._record(client, text_of(key).removeprefix(self._prefix), key)
                except Unreadable as exc:
                    self.note(f"key {key!r:.200}", exc)
                    continue
                if record is not None:
                    yield record

    def _record(self, client: Any, full_id: str, key: bytes) -> SessionRecord | None:
        if client.type(key) != b"string":
            raise Unreadable("it is no text")
        text = client.get(key)
        if text is None:
            # It has expired meanwhile.
            return None
        metadata = self._metadata(client, full_id)
        session_id, namespace = metadata.get("session_id"), metadata.get("namespace")
        if not isinstance(session_id, str) or not isinstance(namespace, (str, type(None))):
            session_id, namespace = full_id, None
        return memory_record(
            self,
            session_id,
            namespace,
            parse_object(text, strict=False),
            created_at=metadata.get("created_at"),
            updated_at=metadata.get("updated_at"),
            expires_at=self._keys.expires_at(client, key),
        )

    def _metadata(self, client: Any, full_id: str) -> JSONObject:
        key = f"{self._prefix}__meta__{full_id}"
        try:
            return parse_object(client.get(key)) if client.type(key) == b"string" else {}
        except Unreadable:
            return {}
