"""Markdown as HTML that loads nothing and leads nowhere.

HTML in the text stays text (markdown-it-py), and what becomes of the Markdown is sanitized
(nh3). A link is its text and its address, an image is a placeholder, a heading is a paragraph,
so that it is none of the page's.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from parlant_store.admin.transcript.entries import OPEN

MAX_HTML = 50_000
"""Limit on the characters of the HTML of one text; a longer one is shown as it is written."""

MAX_NESTING = 12

MAX_SPECIAL = 3_000
"""Limit on the characters of a text that mean something in Markdown: some take time squared."""

Mark = Callable[[str], SafeString]
"""Escapes a text, and highlights in it what is searched for."""

_SPECIAL = re.compile(r"[\[\]*_`~<>!|\\]")

_TAGS = {
    *("p", "br", "hr", "strong", "em", "s", "mark", "code", "pre", "blockquote"),
    *("ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "span"),
}
_CLASSES = {
    "p": {"parlant-heading"},
    "span": {"parlant-link", "parlant-attachment"},
    "th": {"parlant-center", "parlant-end"},
    "td": {"parlant-center", "parlant-end"},
}
_ATTRIBUTES = {tag: {"dir"} for tag in ("p", "ul", "blockquote", "pre", "code")}
_ATTRIBUTES |= {"ol": {"start", "dir"}, "table": {"dir", "tabindex"}}
_DIRECTED = {"paragraph", "bullet_list", "ordered_list", "table", "blockquote", "heading"}


def render(text: str, mark: Mark = escape) -> tuple[SafeString, SafeString] | None:
    """``text`` as HTML, and what follows it where it is long; None when it is none that is read.

    mark: turns what the text says into HTML.
    """
    if len(_SPECIAL.findall(text)) > MAX_SPECIAL:
        return None
    try:
        tokens = _PARSER.parse(text)
        for token in tokens:
            _adapt(token)
        split = _split(tokens, text)
        parts = [_html(part, mark) for part in (tokens[:split], tokens[split:])]
    except (ValueError, RecursionError):
        return None
    if sum(map(len, parts)) > MAX_HTML:
        return None
    return parts[0], parts[1]


def _html(tokens: Sequence[Token], mark: Mark) -> SafeString:
    html = _PARSER.renderer.render(tokens, _PARSER.options, {"mark": mark})
    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        allowed_classes=_CLASSES,
        link_rel=None,
        url_schemes=set(),
    )
    return mark_safe(clean)  # noqa: S308 (sanitized)


def _split(tokens: Sequence[Token], text: str) -> int:
    """Before which token to fold a long text: between two blocks, as none is cut."""
    if len(text) <= OPEN * 5 // 4:
        return len(tokens)
    ends = [0]
    for line in text.split("\n"):
        ends.append(ends[-1] + len(line) + 1)
    for index, token in enumerate(tokens):
        starts = token.level == 0 and token.nesting >= 0 and token.map is not None
        if index and starts and token.map and ends[min(token.map[0], len(ends) - 1)] >= OPEN:
            return index
    return len(tokens)


def _adapt(token: Token) -> None:
    """Have blocks follow the direction of their text, and cells be aligned by classes."""
    kind = token.type.removesuffix("_open")
    if token.nesting == 1 and token.level == 0 and kind in _DIRECTED:
        token.attrSet("dir", "auto")
    if token.type == "table_open":
        # It scrolls where it is too wide: by the keyboard as well.
        token.attrSet("tabindex", "0")
    if token.type in ("heading_open", "heading_close"):
        token.tag = "p"
        token.attrSet("class", "parlant-heading")
    if style := token.attrs.pop("style", None):
        names = {"text-align:center": "parlant-center", "text-align:right": "parlant-end"}
        if str(style) in names:
            token.attrSet("class", names[str(style)])
    _adapt_links(token.children or [])


def _adapt_links(tokens: Sequence[Token]) -> None:
    """Tell the end of each link its address, unless the link says it already."""
    links: list[tuple[str, int]] = []
    for index, token in enumerate(tokens):
        if token.type == "link_open":
            links.append((str(token.attrGet("href") or ""), index))
        elif token.type == "link_close" and links:
            url, start = links.pop()
            said = "".join(each.content for each in tokens[start + 1 : index])
            token.meta["url"] = "" if token.info == "auto" or said == url else url


class _Renderer(RendererHTML):
    def text(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return str(env["mark"](tokens[idx].content))

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f"<code>{env['mark'](tokens[idx].content)}</code>"

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f'<pre dir="ltr"><code>{env["mark"](tokens[idx].content)}</code></pre>\n'

    code_block = fence

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        words = (_("Image"), token.content, str(token.attrGet("src") or ""))
        shown = env["mark"](", ".join(filter(None, words)))
        return f'<span class="parlant-attachment">{shown}</span>'

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return '<span class="parlant-link">'

    def link_close(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        url = tokens[idx].meta.get("url")
        return f' <code dir="ltr">{env["mark"](url)}</code></span>' if url else "</span>"


_PARSER = MarkdownIt(
    "commonmark",
    {"html": False, "breaks": True, "maxNesting": MAX_NESTING},
    renderer_cls=_Renderer,
)
_PARSER.enable(["table", "strikethrough"])
# Addresses elsewhere in the text: many of them take time squared.
_PARSER.disable("reference")
