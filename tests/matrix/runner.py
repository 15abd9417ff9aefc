"""The process of one project.

    python -m tests.matrix.runner KIND SCENARIO...   prints a line of JSON for each scenario
    python -m tests.matrix.runner KIND --wait        waits for a lock until it is told to end

Before each scenario its name is printed as {"begin": name}: if nothing follows, it hung.
"""

import faulthandler
import json
import os
import sys
import time
import traceback
import unittest
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings

from tests.matrix.kinds import project as make_project
from tests.matrix.projects import Project

LINE_SECONDS = 550
"""After which the stacks of a scenario that hangs go to stderr."""


def main(kind: str, *names: str) -> None:
    project = make_project(kind)
    settings.configure(**project.configuration())
    django.setup()
    if names == ("--wait",):
        from tests.matrix.waits import wait_and_end

        wait_and_end(project)
    from tests.matrix.scenarios import load

    load()
    RUNS[project.process](project, names)


def run_plainly(project: Project, names: tuple[str, ...]) -> None:
    project.prepare()
    run_all(project, names)


def run_all(project: Project, names: tuple[str, ...]) -> None:
    for name in names:
        run(project, name)


def run(project: Project, name: str) -> None:
    from tests.matrix.scenarios import SCENARIOS

    say(begin=name)
    faulthandler.dump_traceback_later(LINE_SECONDS, exit=False)
    before = time.monotonic()
    try:
        with project.callers()[0].enter():
            project.before_scenario()
            SCENARIOS[name].function(project)
    except BaseException:
        detail = traceback.format_exc()
    else:
        detail = ""
    faulthandler.cancel_dump_traceback_later()
    seconds = round(time.monotonic() - before, 2)
    say(name=name, ok=not detail, detail=detail, seconds=seconds)


def say(**line: Any) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201


def run_forked(project: Project, names: tuple[str, ...]) -> None:
    """The parent uses the store and an adapter; the child runs the scenarios meanwhile."""
    from django.db import connections

    from tests.matrix.agents import use_an_adapter

    project.prepare()
    use_an_adapter(project)
    connections.close_all()
    child = os.fork()
    if child == 0:
        run_all(project, names)
        os._exit(0)
    os.waitpid(child, 0)
    use_an_adapter(project)


def run_in_test_case(project: Project, names: tuple[str, ...]) -> None:
    from django.test import TestCase
    from django.test.runner import DiscoverRunner

    def test(name: str) -> Callable[[Any], None]:
        return lambda case: run(project, name)

    tests = {f"test_{name}": test(name) for name in names}
    case = type("Case", (TestCase,), {"databases": set(project.databases()), **tests})
    suite = unittest.TestSuite(case(name) for name in tests)
    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    suite.run(unittest.TestResult())
    runner.teardown_databases(databases)


RUNS = {"plain": run_plainly, "fork": run_forked, "testcase": run_in_test_case}

if __name__ == "__main__":
    main(*sys.argv[1:])
