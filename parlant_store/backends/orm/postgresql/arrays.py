"""Arrays as PostgreSQL writes them; the driver would take ten times as long."""

from collections.abc import Iterable


def array(texts: Iterable[str | None]) -> str:
    """``texts`` as a parameter for ``%s::text[]``."""
    return "{" + ",".join("NULL" if text is None else quoted(text) for text in texts) + "}"


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
