"""Lua scripts, which servers run by the SHA-1 of their text."""

from functools import cache
from hashlib import sha1
from importlib.resources import files

_READS = (
    *("load_snapshot", "load_part", "list_turns", "get_usage"),
    *("list", "list_activity", "search"),
)
_DELETES = ("pop_item", "keep_latest", "clear", "delete_session")
"""Writes that the server runs even if its memory is full."""

_TURNS = ("read", "turns")
_WRITE = ("expiry", "activity", "write")
_DELETIONS = (*_WRITE, "turns", "usage", "deletions")
_FILES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_READS, ()),
    **dict.fromkeys(("load_part", "list_turns", "get_usage"), _TURNS),
    **dict.fromkeys(("save_snapshot", "replace_tail", "number_turns"), (*_DELETIONS, "items")),
    **dict.fromkeys(("pop_item", "keep_latest"), _DELETIONS),
    "add_usage": (*_WRITE, "turns", "usage"),
    "list": ("rows",),
    "list_activity": ("activity", "rows"),
    "index_activity": ("activity",),
    "refresh": ("expiry",),
}
"""The files that scripts begin with, if they are not those of writes and items.lua."""


class Script:
    """A script, with the flags by which the server refuses it before it starts."""

    def __init__(self, name: str) -> None:
        text = "".join(map(_text, (*_FILES.get(name, (*_WRITE, "items")), name)))
        flags = "no-writes" if name in _READS else "allow-oom" if name in _DELETES else ""
        first = f"#!lua{' flags=' if flags else ''}{flags}\n"
        # Without this line, the server starts it in any state, and refuses its writes.
        self.text = ((first if name != "refresh" else "") + text).encode()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()


def _text(name: str) -> str:
    return files("parlant_store.backends.redis").joinpath("lua", f"{name}.lua").read_text("utf-8")


@cache
def script(name: str) -> Script:
    """Return the script of lua/``name``.lua."""
    return Script(name)
