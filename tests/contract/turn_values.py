"""Items of turns, and what a test compares of turns."""

from typing import Any

from tests.contract.snapshot_values import said
from tests.contract.values import numbered


def turn(name: str, answers: int = 1) -> list[dict[str, Any]]:
    """A user's message and ``answers`` items after it."""
    return [*said(name), *numbered(*range(answers))]


def usage(tokens: int, **more: int) -> dict[str, Any]:
    return {"requests": 1, "input_tokens": tokens, "output_tokens": 1, **more}


def numbers(turns: list[Any]) -> list[int]:
    return [turn.number for turn in turns]


def texts(turns: list[Any]) -> list[str]:
    return [turn.text for turn in turns]
