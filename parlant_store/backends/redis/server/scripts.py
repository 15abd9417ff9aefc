"""Lua scripts, which servers run by the SHA-1 of their text."""

from functools import cache
from hashlib import sha1
from importlib.resources import files

_READS = ("load_snapshot", "list", "search")
_DELETES = ("pop_item", "clear", "delete_session")
"""Writes that the server runs even if its memory is full."""


class Script:
    """A script, with the flags by which the server refuses it before it starts."""

    def __init__(self, name: str) -> None:
        text = _text(name) if name in _READS else _text("write") + _text(name)
        flags = "no-writes" if name in _READS else "allow-oom" if name in _DELETES else ""
        self.text = f"#!lua{' flags=' if flags else ''}{flags}\n{text}".encode()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest().encode()


def _text(name: str) -> str:
    return files("parlant_store.backends.redis").joinpath("lua", f"{name}.lua").read_text("utf-8")


@cache
def script(name: str) -> Script:
    """Return the script of lua/``name``.lua."""
    return Script(name)
