"""Keys, tokens and passwords, and how they stay out of what is shown."""

import re
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

HIDDEN = "[hidden]"
_SHORT = 8
"""Characters up to which a secret may be a part of other words."""


class Secret(Generic[T]):
    """A key, a token, a url with a password, or a function that gives one; no repr shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        return self._value

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def scrub(text: str, secrets: Iterable[str]) -> str:
    """``text`` with HIDDEN in place of each of the secrets."""
    for secret in sorted({each for each in secrets if each}, key=len, reverse=True):
        pattern = re.escape(secret)
        if len(secret) <= _SHORT:
            pattern = rf"(?<!\w){pattern}(?!\w)"
        text = re.sub(pattern, HIDDEN, text)
    return text
