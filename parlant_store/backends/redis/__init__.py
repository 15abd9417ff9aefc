"""The store in Redis or Valkey, on one server, behind Sentinel or in a cluster."""

from django.core.exceptions import ImproperlyConfigured

try:
    from parlant_store.backends.redis.backend import RedisBackend
except ModuleNotFoundError as exc:
    if exc.name != "redis":
        raise
    raise ImproperlyConfigured(
        "RedisBackend needs the package redis: pip install 'django-parlant-store[redis]'"
    ) from exc

__all__ = ["RedisBackend"]
