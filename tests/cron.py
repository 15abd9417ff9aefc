"""Debian's PostgreSQL 15 with pg_cron, for the tests of jobs.

    python -m tests.cron COMMAND...

runs COMMAND with DATABASE_URL naming such a server, which ends with it. It needs root, who
hands the server to the user postgres, and the packages postgresql-15 and postgresql-15-cron.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.supabase.stack import free_ports

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
LIBRARY = Path("/usr/lib/postgresql/15/lib/pg_cron.so")
PATIENCE = 30  # seconds


@contextmanager
def server() -> Iterator[str]:
    """The URI of its database postgres, in which pg_cron runs jobs."""
    if not LIBRARY.exists():
        raise FileNotFoundError(
            f"{LIBRARY} is not there: install pg_cron, by apt-get install postgresql-15-cron"
        )
    with tempfile.TemporaryDirectory(prefix="parlant-store-") as name:
        folder = Path(name)
        shutil.chown(folder, "postgres")
        port, _ = free_ports()
        data = folder / "data"
        initdb = [PROGRAMS / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8"]
        subprocess.run(initdb, user="postgres", check=True, stdout=subprocess.DEVNULL)
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
        process = subprocess.Popen(
            [PROGRAMS / "postgres", "-D", data, *settings],
            user="postgres",
            stderr=subprocess.DEVNULL,
        )
        try:
            uri = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            wait_for(uri)
            with psycopg.connect(uri, autocommit=True) as session:
                session.execute("create extension pg_cron")
            yield uri
        finally:
            process.terminate()
            process.wait()


def wait_for(uri: str) -> None:
    last = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(uri).close()
        except psycopg.OperationalError:
            if time.monotonic() > last:
                raise
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    with server() as uri:
        sys.exit(subprocess.call(sys.argv[1:], env=os.environ | {"DATABASE_URL": uri}))
