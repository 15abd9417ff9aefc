"""Names, JSON and times as the pages of the admin show them."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.utils import timezone
from django.utils.formats import localize, number_format
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext_lazy

from parlant_store.content import codec, text_search
from parlant_store.models import Document, Session

NAME = 80
"""How many characters of a name or a text fit a list."""

PRETTY = 10_000_000
"""How long indented JSON may become; deep nesting makes it far longer than what was stored."""

NOTHING = "-"
"""What pages show for null; Django does so in lists."""

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


def text_of(value: object) -> str:
    """``value`` when it is a text, else none."""
    return value if isinstance(value, str) else ""


def mappings(value: object) -> list[Mapping[str, Any]]:
    """The objects in ``value`` when it is a list, else none."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def column_name(column: str | None) -> str | None:
    return codec.from_column(column) if column else None


def breakable(name: str) -> SafeString:
    """A collection's name, which may be broken behind its underscores."""
    parts = re.findall("[^_]*_+|[^_]+", name)
    return format_html_join(mark_safe("<wbr>"), "{}", ((part,) for part in parts))


def session_name(session: Session) -> str:
    return joined_name(column_name(session.namespace), column_name(session.session_id))


def joined_name(*names: str | None) -> str:
    """The names of a place and a row in it, of which one may be missing, as lists show them."""
    return "/".join(filter(None, map(cut, names)))


def cut(text: str | None) -> str | None:
    if text is None or len(text) <= NAME:
        return text and codec.printable(text)
    return codec.printable(text[: NAME - 1]) + "…"


def pretty(value: object, limit: int = PRETTY) -> str:
    """Indented JSON, unless that is longer than ``limit``.

    Lone surrogates stand in it as the escapes that JSON has for them.
    """
    text = _indented(value, limit) or json.dumps(value, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def _indented(value: object, limit: int) -> str | None:
    parts, length = [], 0
    try:
        for part in json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(value):
            parts.append(part)
            length += len(part)
            if length > limit:
                return None
    except RecursionError:
        return None
    return "".join(parts)


def pretty_text(text: str) -> str:
    """JSON text, indented; as it is when it is no JSON."""
    try:
        return pretty(json.loads(text))
    except (ValueError, RecursionError):
        return codec.printable(text)


def pre(text: str) -> SafeString:
    return format_html('<pre class="parlant-json" dir="ltr">{}</pre>', text)


def full_name(model: type[Model], name: str) -> Any:
    """A name as a field of a page, at its full length."""
    field = model_field(model, name)

    @admin.display(description=field.verbose_name)
    def full(row: Any) -> str:
        names = row.data if isinstance(row, Document) else json.loads(row.full_names or "{}")
        text = names.get(field.column)
        shown = codec.printable(text) if isinstance(text, str) else column_name(getattr(row, name))
        return shown or NOTHING

    full.__name__ = name
    return full


def model_field(model: type[Model], name: str) -> Any:
    return model._meta.get_field(name)


def grouped(number: int) -> str:
    """``number`` as people read it: "10,000"."""
    return number_format(number, force_grouping=True)


def counted(text: Any, number: int, **names: Any) -> str:
    """Return a text of ``ngettext_lazy``, by "count", with ``number`` as people read it."""
    return str(text % {"count": number, "number": grouped(number), **names})


def rounded(estimate: float) -> int:
    """An estimate's first two digits: the others say nothing."""
    return int(round(estimate, 2 - len(str(int(estimate)))))


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
    return format_html("{} ({})", expiry(expires_at), written(expires_at))


def _time(time: datetime, words: str, kind: str) -> SafeString:
    return format_html(
        '<time class="{}" datetime="{}" title="{}">{}</time>',
        kind,
        time.isoformat(),
        written(time),
        words,
    )


def written(time: datetime) -> str:
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


class Highlighter:
    """Finds the terms of a search in texts, and marks them.

    whole_words: whether a word is marked as a whole of which a term is the beginning.
    """

    def __init__(self, terms: Sequence[Sequence[str]], *, whole_words: bool = False) -> None:
        patterns = [_pattern(term, whole_words) for term in terms]
        self._patterns = [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
        self._any = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None

    def matches(self, text: str) -> bool:
        """Whether all terms are in ``text``."""
        return bool(self._patterns) and all(pattern.search(text) for pattern in self._patterns)

    def marks(self, text: str) -> bool:
        """Whether any term is."""
        return self._any is not None and self._any.search(text) is not None

    def mark(self, text: object) -> SafeString:
        """``text`` escaped, with the terms in it highlighted."""
        if self._any is None:
            return escape(text)
        shown, parts, end = str(text), [], 0
        for match in self._any.finditer(shown):
            parts += [escape(shown[end : match.start()]), f"<mark>{escape(match[0])}</mark>"]
            end = match.end()
        return mark_safe("".join([*parts, escape(shown[end:])]))  # noqa: S308 (escaped)


def _pattern(term: Sequence[str], whole_words: bool) -> str:
    """Return a pattern of the words of a term; scripts without spaces have no ends of words."""
    words = [
        re.escape(word) if text_search.is_alone(word) else rf"(?<!\w){re.escape(word)}"
        for word in term
    ]
    end = r"\w*" if whole_words and not text_search.is_alone(term[-1]) else ""
    return r"\W*".join(words) + end
