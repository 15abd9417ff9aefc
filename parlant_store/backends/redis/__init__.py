"""The store in Redis or Valkey, on one server, behind Sentinel or in a cluster."""

from parlant_store.backends.redis.backend import RedisBackend

__all__ = ["RedisBackend"]
