"""Debian's PostgreSQL 15 with pg_cron, for the tests of jobs.

    python -m tests.servers.pg_cron COMMAND...

runs COMMAND with DATABASE_URL naming such a server, which ends with it. It needs root, who
hands the server to the user postgres, and the packages postgresql-15 and postgresql-15-cron.
"""

import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from project.supervisor import Supervised
from tests.servers.ports import port_of_a_server
from tests.servers.postgresql import run, wait_for

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
LIBRARY = Path("/usr/lib/postgresql/15/lib/pg_cron.so")


@contextmanager
def server() -> Iterator[str]:
    """The URI of its database postgres, in which pg_cron runs jobs."""
    if not LIBRARY.exists():
        raise FileNotFoundError(
            f"{LIBRARY} is not there: install pg_cron, by apt-get install postgresql-15-cron"
        )
    folder = Path(tempfile.mkdtemp(prefix="parlant-store-"))
    shutil.chown(folder, "postgres")
    with (
        port_of_a_server() as port,
        Supervised(
            ["/bin/sh", "-c", script(folder, port)],
            stop_signal=signal.SIGINT,
            folder=folder,
            user="postgres",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        uri = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        wait_for(uri, process)
        with psycopg.connect(uri, autocommit=True) as session:
            session.execute("create extension pg_cron")
        yield uri


def script(folder: Path, port: int) -> str:
    """What makes the server's files and becomes the server."""
    data = folder / "data"
    initdb = [PROGRAMS / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8"]
    options = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "shared_preload_libraries": "pg_cron",
        "cron.database_name": "postgres",
        "cron.host": "127.0.0.1",
        "fsync": "off",
    }
    settings = [part for option in options.items() for part in ("-c", "{}={}".format(*option))]
    start = [PROGRAMS / "postgres", "-D", data, *settings]
    return f"{shlex.join(map(str, initdb))} && exec {shlex.join(map(str, start))}"


if __name__ == "__main__":
    with server() as uri:
        sys.exit(run(sys.argv[1:], uri))
