"""The scenarios of the matrix, by name, in the order in which they run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from tests.matrix.projects import Project

Function = Callable[[Any], None]


@dataclass(frozen=True)
class Scenario:
    function: Function
    needs: str = ""
    """The framework that it needs; an environment without it leaves it out."""

    own: bool = False
    """Is it for the kinds alone that name it?"""

    shared: bool = False
    """Does it run in the environment of selectools too?"""


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *, needs: str = "", own: bool = False, shared: bool = False
) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        SCENARIOS[function.__name__] = Scenario(function, needs, own, shared)
        return function

    return register


def names_for(project: Project) -> list[str]:
    """The scenarios of a kind, as far as this environment has the frameworks for them."""
    load()
    has_selectools = find_spec("selectools") is not None
    return [
        name
        for name, found in SCENARIOS.items()
        if (name in project.own or not found.own)
        and (not project.only or name in project.only)
        and name not in project.without
        and (not found.needs or find_spec(found.needs))
        and (not has_selectools or found.shared)
    ]


def load() -> None:
    """Have every scenario registered."""
    from tests.matrix import agents, isolation, kind_scenarios, personal_data, stores, waits, web  # noqa: F401


def eventually(condition: Callable[[], Any], what: str, seconds: float = 120) -> None:
    """Wait until ``condition()`` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def equal(found: Any, expected: Any, what: str = "") -> None:
    assert found == expected, f"{what} found {found!r}, expected {expected!r}"
