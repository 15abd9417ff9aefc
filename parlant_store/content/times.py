"""Times with and without a time zone, and the limit on durations."""

from datetime import UTC, datetime, timedelta

from django.utils import timezone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

MAX_TTL_SECONDS = 100 * 366 * 24 * 3600
"""A hundred years; longer times may be beyond datetime.max."""


def as_utc(time: datetime) -> datetime:
    """Return ``time`` in UTC; a time without a zone is in the project's TIME_ZONE."""
    if time.tzinfo is UTC:
        return time
    if time.tzinfo is None:
        time = timezone.make_aware(time, timezone.get_default_timezone())
    return time.astimezone(UTC)


def without_zone(time: datetime) -> datetime:
    """Return ``time`` as Django represents it with USE_TZ = False."""
    if time.tzinfo is None:
        return time
    return timezone.make_naive(time, timezone.get_default_timezone())


def utc_text(time: datetime | None) -> str | None:
    """Return the time in UTC as SQLite's CURRENT_TIMESTAMP does."""
    return None if time is None else as_utc(time).isoformat(" ")[:19]


def microseconds(time: datetime) -> int:
    """Return the microseconds since 1970."""
    return (as_utc(time) - EPOCH) // _MICROSECOND
