"""Reads that prolong a session: the option ``ttl_refresh``."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from parlant_store.content.times import as_utc

WRITE, READ = "write", "read"
CHOICES = (WRITE, READ)
"""The values of the option ``ttl_refresh``."""

INTERVAL = timedelta(minutes=1)
"""By how much a read must prolong a session for it to write; half of a shorter time to live."""


class Refresh(NamedTuple):
    """What a read does to a session that expires."""

    expires_at: datetime
    """When the session expires after the read."""

    due: datetime
    """The latest stored ``expires_at`` that is replaced."""


def refresh_at(now: datetime, ttl: timedelta) -> Refresh:
    """Return what a read at ``now`` does to a session with the time to live ``ttl``."""
    expires_at = as_utc(now) + ttl
    return Refresh(expires_at, expires_at - min(INTERVAL, ttl / 2))


def check_refresh(option: Any, alias: str) -> str:
    """Return the option ``ttl_refresh``; raise ImproperlyConfigured if it is wrong."""
    if option not in CHOICES:
        raise ImproperlyConfigured(
            f"ttl_refresh of the store {alias!r} must be 'write' or 'read', not {option!r}"
        )
    return str(option)
