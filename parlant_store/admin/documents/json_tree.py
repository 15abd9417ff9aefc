"""JSON as nested <details> elements, which need no script."""

import json
from collections.abc import Iterator
from typing import Any, Literal

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import ngettext

from parlant_store.admin.formatting import pre, pretty
from parlant_store.content import codec

MAX_VALUES = 5_000
"""Limit on the values of a tree; JSON with more is shown as text."""

MAX_DEPTH = 40
"""Limit on the levels of a tree; browsers flatten what is nested some hundred levels deep."""

OPEN_DEPTH = 2
OPEN_SIZE = 30
"""Limits on the level and the number of the values that are unfolded at first."""

LONG = 500
"""The number of characters above which a text is folded."""

LONG_SHOWN = 80

Shape = Literal["folded", "open", "text"]
"""How a page shows JSON: long parts folded, all unfolded, or as indented text."""


def shape_of(text: str | None) -> Shape:
    """Return the shape of the parameter of a request."""
    return "open" if text == "open" else "text" if text == "text" else "folded"


def json_tree(value: Any, shape: Shape = "folded") -> SafeString:
    """Return ``value`` as a tree; as text if it is large."""
    if shape == "text" or not is_foldable(value):
        return pre(pretty(value))
    shown = _Tree(all_open=shape == "open").value(value, depth=0)
    return format_html('<div class="parlant-fold" dir="ltr">{}</div>', shown)


def is_foldable(value: Any) -> bool:
    """Whether ``value`` contains at most MAX_VALUES values."""
    left, waiting = MAX_VALUES, [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, (dict, list)):
            left -= len(inner)
            if left < 0:
                return False
            waiting += inner.values() if isinstance(inner, dict) else inner
    return True


class _Tree:
    def __init__(self, *, all_open: bool) -> None:
        self._all_open = all_open

    def value(self, value: Any, depth: int, label: SafeString | str = "") -> SafeString:
        if isinstance(value, (dict, list)) and value:
            return self._branch(value, depth, label)
        if isinstance(value, str) and len(value) > LONG:
            return self._long(value, label)
        text = format_html('<span class="parlant-{}">{}</span>', _kind(value), _json(value))
        return format_html("{}{}", label, text)

    def _branch(self, value: Any, depth: int, label: SafeString | str) -> SafeString:
        inside = pre(pretty(value)) if depth >= MAX_DEPTH else self._list(value, depth)
        return format_html(
            "<details{}><summary>{}{}</summary>{}</details>",
            _open(self._all_open or (depth < OPEN_DEPTH and len(value) <= OPEN_SIZE)),
            label,
            format_html('<span class="parlant-size">{}</span>', _size(value)),
            inside,
        )

    def _list(self, value: Any, depth: int) -> SafeString:
        parts = self._named(value, depth) if isinstance(value, dict) else self._plain(value, depth)
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", parts))

    def _named(self, value: dict[str, Any], depth: int) -> Iterator[tuple[SafeString]]:
        for name, inner in value.items():
            label = format_html('<span class="parlant-key">{}</span>: ', _json(name))
            yield (self.value(inner, depth + 1, label),)

    def _plain(self, value: list[Any], depth: int) -> Iterator[tuple[SafeString]]:
        for inner in value:
            yield (self.value(inner, depth + 1),)

    def _long(self, text: str, label: SafeString | str) -> SafeString:
        length = ngettext("%(count)s character", "%(count)s characters", len(text))
        return format_html(
            "<details{}><summary>{}{} {}</summary>{}</details>",
            _open(self._all_open),
            label,
            format_html('<span class="parlant-string">{}…</span>', _json(text[:LONG_SHOWN])[:-1]),
            format_html('<span class="parlant-size">{}</span>', length % {"count": len(text)}),
            format_html('<p class="parlant-long" dir="auto">{}</p>', codec.printable(text)),
        )


def _open(is_open: bool) -> SafeString:
    return format_html("{}", " open" if is_open else "")


def _kind(value: Any) -> str:
    return "string" if isinstance(value, str) else "value"


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def _size(value: Any) -> str:
    count = len(value)
    if isinstance(value, dict):
        return ngettext("{…} %(count)s field", "{…} %(count)s fields", count) % {"count": count}
    return ngettext("[…] %(count)s value", "[…] %(count)s values", count) % {"count": count}
