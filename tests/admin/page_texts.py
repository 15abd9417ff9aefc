"""What a page says to its reader: texts and labels, without the data that it shows."""

from html.parser import HTMLParser

LABELS = ("aria-label", "title", "placeholder", "alt")
VOID = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
DATA = {"bdi", "code", "pre", "q", "mark", "script", "style", "textarea"}
"""Elements whose content is data."""

BREAKS = {"b", "em", "i", "span", "strong", "wbr", "bdi", "code", "a", "mark", "q", "time"}
"""Elements inside a sentence."""


class Texts(HTMLParser):
    """Whole sentences: data in them, and links, do not end them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._text: list[str] = []
        self._data = 0
        self.feed(html)
        self._end()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self._data == 0 and tag not in DATA:
            self.found.update(
                " ".join(text.split()) for name in LABELS if (text := given.get(name))
            )
            if tag == "input" and given.get("type") == "submit":
                self.found.add(given.get("value") or "")
        if tag in DATA:
            self._data += 1
        elif tag not in BREAKS:
            self._end()

    def handle_endtag(self, tag: str) -> None:
        if tag in DATA:
            self._data -= 1
        elif tag not in BREAKS:
            self._end()

    def handle_data(self, data: str) -> None:
        if self._data == 0:
            self._text.append(data)

    def _end(self) -> None:
        if text := " ".join("".join(self._text).split()):
            self.found.add(text)
        self._text = []


def texts(html: str) -> set[str]:
    """Those of the part of a page that is not alike on all pages of the admin."""
    _, _, content = html.partition("<main")
    return Texts(f"<main{content.partition('</main>')[0]}").found
