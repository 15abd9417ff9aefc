"""Array literals of PostgreSQL; the driver takes ten times as long to make them."""

from collections.abc import Iterable


def array(texts: Iterable[str | None]) -> str:
    """Return ``texts`` as a parameter for ``%s::text[]``."""
    return "{" + ",".join(["NULL" if text is None else quoted(text) for text in texts]) + "}"


def quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
