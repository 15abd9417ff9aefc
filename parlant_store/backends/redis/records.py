"""Whole sessions in Redis, with their times; items have none."""

from parlant_store.backends.contract.operations import SessionEntry
from parlant_store.backends.redis.keys import encode_owner
from parlant_store.backends.redis.sessions import RedisSessions
from parlant_store.backends.redis.values import (
    batch_arguments,
    encode_metadata,
    microseconds,
    optional_microseconds,
)


class RedisRecords(RedisSessions):
    """Each session is written by one call."""

    keeps_times = True

    def _write_session(self, entry: SessionEntry, replace: bool) -> bool:
        written = self._write(
            "write_session",
            entry.session,
            None,
            microseconds(self.clock()),
            optional_microseconds(entry.expires_at),
            int(replace),
            encode_owner(entry.user_id),
            "\n".join(encode_metadata(entry.metadata)),
            entry.state,
            microseconds(entry.created_at),
            microseconds(entry.updated_at),
            *batch_arguments(entry.batch),
        )
        return written is not None
