"""What PostgREST answers to an attacker who calls a function."""

from dataclasses import dataclass
from typing import Any

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """Not done, for this reason of PostgreSQL's."""

    code: str = "42501"


@dataclass(frozen=True)
class Text:
    """SQL that is printed and not run, with these words in it."""

    words: str


TOLD = Text("")
DENIED = Refused()
NOT_THERE = Refused("PGRST202")

NOW = {"p_now": "2030-01-01T00:00:00Z"}
ENDS = {"p_expires_at": None}
