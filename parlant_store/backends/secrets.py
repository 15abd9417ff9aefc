"""Keys, tokens and passwords, which no message or repr may show."""

import re
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

HIDDEN = "[hidden]"
_SHORT = 8
"""The length up to which a secret is replaced as a whole word only."""


class Secret(Generic[T]):
    """A key, a token, a url with a password, or a function that returns one, hidden in repr."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        return self._value

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` with HIDDEN instead of each of the secrets."""
    for secret in sorted({each for each in secrets if each}, key=len, reverse=True):
        pattern = re.escape(secret)
        if len(secret) <= _SHORT:
            pattern = rf"(?<!\w){pattern}(?!\w)"
        text = re.sub(pattern, HIDDEN, text)
    return text
