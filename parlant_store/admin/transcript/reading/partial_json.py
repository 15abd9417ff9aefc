"""What can be read of an item's JSON when only a part of its text was read."""

import json
import re
from typing import Any

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*(?P<end>"?)|[\[\]{},]', re.DOTALL)
_HALF_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*(?P<half>\\(?:u[0-9a-fA-F]{0,3})?)$")
_CLOSERS = {"{": "}", "[": "]"}

# Quotes inside of a text are escaped, so this is never the inside of one; and as no bracket
# stands before the last, these are fields of the outermost object.
_LAST_FIELDS = re.compile(r'(?:,\s*"\w+"\s*:\s*(?:"[^"\\]*"|true|false|null|-?[\d.]+)\s*)+\}\s*$')

_BASE64 = re.compile(r"[A-Za-z0-9+/=]{200}\Z")
_LEFT_OUT = re.compile(r"…\+(?P<number>\d+)\Z")


def beginning(text: str) -> Any:
    """The value that ``text`` is the beginning of, as far as it goes; a cut text ends in "…".

    Raises ValueError when it is none, RecursionError when it is nested too deeply.
    """
    stack: list[str] = []
    closed: list[str] = []
    before_last, is_open = 0, False
    for match in _TOKEN.finditer(text):
        sign = match[0]
        if sign[0] == '"':
            is_open = not match["end"]
        elif sign in "]}":
            closed += [stack.pop()] if stack else []
        else:
            stack += [_CLOSERS[sign]] if sign != "," else []
            before_last, closed = match.start() if sign == "," else match.end(), []
    ends = "".join(reversed(stack))
    try:
        return json.loads((_without_half_escape(text) + '…"' if is_open else text) + ends)
    except ValueError:
        return json.loads(text[:before_last] + "".join(closed) + ends)


def _without_half_escape(text: str) -> str:
    half = _HALF_ESCAPE.search(text[-20:])
    return text[: len(text) - len(half["half"])] if half else text


def last_fields(end: str) -> dict[str, Any]:
    """The fields that an object ends with, as long as they are plain; ``end`` is its end."""
    match = _LAST_FIELDS.search(end)
    fields: dict[str, Any] = json.loads("{" + match[0].lstrip(",")) if match else {}
    return fields


def ends_in_base64(text: str) -> bool:
    return bool(_BASE64.search(text))


def left_out(number: int) -> str:
    """What stands at the end of a text of which ``number`` characters were not read."""
    return f"…+{number}"


def length_of(text: str) -> int | None:
    """How long ``text`` was, with what was left out of it; None when it was cut."""
    match = _LEFT_OUT.search(text)
    if match:
        return match.start() + int(match["number"])
    return None if text.endswith("…") else len(text)
