"""Times in words: when a row expires, and when it was written."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext_lazy

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MONTH, YEAR = timedelta(days=30), timedelta(days=365)

Texts = dict[timedelta, Any]
"""A text for each unit of time, which takes a count of it; the longest unit first."""

AGO: Texts = {
    YEAR: ngettext_lazy("%(count)s year ago", "%(count)s years ago", "count"),
    MONTH: ngettext_lazy("%(count)s month ago", "%(count)s months ago", "count"),
    DAY: ngettext_lazy("%(count)s day ago", "%(count)s days ago", "count"),
    HOUR: ngettext_lazy("%(count)s hour ago", "%(count)s hours ago", "count"),
    MINUTE: ngettext_lazy("%(count)s minute ago", "%(count)s minutes ago", "count"),
}
EXPIRED: Texts = {
    YEAR: ngettext_lazy("expired %(count)s year ago", "expired %(count)s years ago", "count"),
    MONTH: ngettext_lazy("expired %(count)s month ago", "expired %(count)s months ago", "count"),
    DAY: ngettext_lazy("expired %(count)s day ago", "expired %(count)s days ago", "count"),
    HOUR: ngettext_lazy("expired %(count)s hour ago", "expired %(count)s hours ago", "count"),
    MINUTE: ngettext_lazy("expired %(count)s minute ago", "expired %(count)s minutes ago", "count"),
}
IN: Texts = {
    YEAR: ngettext_lazy("in %(count)s year", "in %(count)s years", "count"),
    MONTH: ngettext_lazy("in %(count)s month", "in %(count)s months", "count"),
    DAY: ngettext_lazy("in %(count)s day", "in %(count)s days", "count"),
    HOUR: ngettext_lazy("in %(count)s hour", "in %(count)s hours", "count"),
    MINUTE: ngettext_lazy("in %(count)s minute", "in %(count)s minutes", "count"),
}


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
    words = _("just now") if now - time < MINUTE else _counted(AGO, now - time)
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
    age = now - expires_at
    return _("expired just now") if age < MINUTE else _counted(EXPIRED, age)


def _future(expires_at: datetime, now: datetime) -> str:
    left = expires_at - now
    return _("in less than a minute") if left < MINUTE else _counted(IN, left)


def _counted(texts: Texts, time: timedelta) -> str:
    """The text of the longest unit that fits ``time``."""
    text, count = next((text, time // unit) for unit, text in texts.items() if time >= unit)
    return str(text % {"count": count})
