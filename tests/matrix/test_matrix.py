"""Many kinds of Django projects, and in each of them the same scenarios.

A kind runs once, in a process of its own; each of its scenarios is a test. Two run at a time.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from subprocess import PIPE
from threading import Timer
from typing import Any

import pytest

from tests.matrix.kinds import KINDS, project
from tests.matrix.projects import FOLDER, PGBOUNCER, POSTGRESQL
from tests.matrix.scenarios import names_for
from tests.processes import Process
from tests.servers.pgbouncer import pgbouncer

AT_A_TIME = 2
SECONDS = 600
"""For one scenario, or to start: far more than it takes."""

CELLS = [(kind, name) for kind in KINDS for name in names_for(project(kind))]

Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Results]]]:
    """The results of the kinds whose cells were selected, as they come."""
    selected: dict[str, list[str]] = {}
    for item in request.session.items:
        if (cell := getattr(item, "callspec", None)) and "scenario" in cell.params:
            selected.setdefault(cell.params["kind"], []).append(cell.params["scenario"])
    url = os.environ["DATABASE_URL"]
    with (
        tempfile.TemporaryDirectory(prefix="parlant-store-") as folder,
        pgbouncer(url) as through,
        ThreadPoolExecutor(AT_A_TIME) as threads,
    ):
        own = {POSTGRESQL: url, PGBOUNCER: through, FOLDER: folder, "PARLANT_HOME": folder}
        environment = os.environ | own
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        try:
            yield {
                kind: threads.submit(run_kind, kind, names, environment)
                for kind, names in selected.items()
            }
        finally:
            threads.shutdown(cancel_futures=True)


def run_kind(kind: str, names: list[str], environment: dict[str, str]) -> Results:
    """Run scenarios of a kind; after one that hangs, go on with the next in a new process."""
    results: Results = {}
    while left := [name for name in names if name not in results]:
        begun, said = run_process(kind, left, environment, results)
        if begun in results or begun not in left:
            lost = left if begun not in left else [n for n in left if n not in results]
            for name in lost:
                results[name] = {"ok": False, "detail": f"the process ended: {said}"}
        else:
            results[begun] = {"ok": False, "detail": f"it hung, or ended the process: {said}"}
    return results


def run_process(
    kind: str, names: list[str], environment: dict[str, str], results: Results
) -> tuple[str, str]:
    """Add what a process says to ``results``; return which scenario began last, and stderr."""
    begun = ""
    command = ["-m", "tests.matrix.runner", kind, *names]
    with (
        tempfile.TemporaryFile("a+") as errors,
        Process(*command, env=environment, stdout=PIPE, stderr=errors) as process,
    ):
        timer = Timer(SECONDS, process.kill)
        timer.start()
        for line in process.stdout:
            timer.cancel()
            timer = Timer(SECONDS, process.kill)
            timer.start()
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if "begin" in said:
                begun = said["begin"]
            else:
                results[said["name"]] = said
        process.wait()
        timer.cancel()
        errors.seek(0)
        return begun, errors.read()[-8_000:]


@pytest.mark.parametrize(("kind", "scenario"), CELLS)
def test_cell(runs: dict[str, Future[Results]], kind: str, scenario: str) -> None:
    result = runs[kind].result()[scenario]
    assert result["ok"], result["detail"]
