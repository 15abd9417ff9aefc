"""Times in words: when a row expires, and when it was written."""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _

MINUTE = timedelta(minutes=1)


def expiry(expires_at: datetime | None) -> SafeString | str:
    """ "in 3 days" or "expired 2 hours ago"; the time itself is the title."""
    if expires_at is None:
        return _("never")
    now = timezone.now()
    is_over = expires_at <= now
    words = _past(expires_at, now) if is_over else _future(expires_at, now)
    return _time(expires_at, words, "parlant-expired" if is_over else "parlant-expires")


def ago(time: datetime) -> SafeString:
    """ "2 hours ago"; the time itself is the title."""
    now = timezone.now()
    is_now = now - time < MINUTE
    words = _("just now") if is_now else _("%(time)s ago") % {"time": timesince(time, now, depth=1)}
    return _time(time, words, "parlant-ago")


def expiry_and_time(expires_at: datetime | None) -> SafeString | str:
    """``expiry`` for a page, where the time itself stands beside it."""
    if expires_at is None:
        return expiry(None)
    return format_html("{} ({})", expiry(expires_at), _written(expires_at))


def _time(time: datetime, words: str, kind: str) -> SafeString:
    return format_html(
        '<time class="{}" datetime="{}" title="{}">{}</time>',
        kind,
        time.isoformat(),
        _written(time),
        words,
    )


def _written(time: datetime) -> str:
    return localize(timezone.localtime(time) if timezone.is_aware(time) else time)


def _past(expires_at: datetime, now: datetime) -> str:
    if now - expires_at < MINUTE:
        return _("expired just now")
    return _("expired %(time)s ago") % {"time": timesince(expires_at, now, depth=1)}


def _future(expires_at: datetime, now: datetime) -> str:
    if expires_at - now < MINUTE:
        return _("in less than a minute")
    return _("in %(time)s") % {"time": timeuntil(expires_at, now, depth=1)}
