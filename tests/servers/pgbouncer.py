"""PgBouncer in transaction mode, in front of the tests' PostgreSQL.

    python -m tests.servers.pgbouncer COMMAND...

runs COMMAND with DATABASE_URL leading through a PgBouncer of its own to the PostgreSQL that
DATABASE_URL named. PGBOUNCER may name its executable (Debian: apt-get install pgbouncer).
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict

from project.supervisor import Supervised
from tests.servers.ports import port_of_a_server
from tests.servers.postgresql import run

TIMEOUT_SECONDS = 120

SETTINGS = """
[databases]
* = {target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
auth_file = {folder}/users
admin_users = {user}
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
logfile = {folder}/log
pidfile = {folder}/pid
"""


def executable() -> str:
    """The path of PgBouncer: PGBOUNCER of the environment, or where systems install it."""
    path = os.environ.get("PGBOUNCER") or shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(
            f"PgBouncer is not at {path}: apt-get install pgbouncer, or set PGBOUNCER to its "
            "executable."
        )
    return path


@contextmanager
def pgbouncer(url: str, *, pool_size: int = 5) -> Iterator[str]:
    """Start a PgBouncer; give the URL of the same database through it.

    ``url``: of a PostgreSQL that needs no password.
    ``pool_size``: how many connections PgBouncer keeps to each database.
    """
    target = conninfo_to_dict(url)
    user, name = str(target.get("user") or "postgres"), str(target.get("dbname") or "postgres")
    with (
        tempfile.TemporaryDirectory(prefix="parlant-store-", ignore_cleanup_errors=True) as made,
        port_of_a_server() as port,
    ):
        folder = Path(made)
        (folder / "users").write_text(f'"{user}" ""\n')
        (folder / "settings.ini").write_text(
            SETTINGS.format(
                target=_target(target), port=port, folder=folder, user=user, pool_size=pool_size
            )
        )
        account = _account(str(target.get("host", "")), folder)
        with Supervised(
            [executable(), folder / "settings.ini"],
            # In transaction mode SIGTERM waits for clients, in newer versions for ever.
            stop_signal=signal.SIGINT,
            grace_seconds=5,
            folder=folder,
            user=account,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            _wait_until_open(process, port, folder / "log")
            yield f"postgresql://{quote(user)}@127.0.0.1:{port}/{quote(name)}"


def _target(target: Mapping[str, object]) -> str:
    parts = {name: target[name] for name in ("host", "port", "user") if target.get(name)}
    return " ".join(f"{name}={value}" for name, value in parts.items())


def _account(host: str, folder: Path) -> str | None:
    """Root may not run PgBouncer: the owner of PostgreSQL's socket does, or nobody."""
    if os.geteuid() != 0:
        return None
    owner = Path(host).owner() if host.startswith("/") else "nobody"
    account = "nobody" if owner == "root" else owner
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, account)
    return account


def _wait_until_open(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"PgBouncer did not start: {log.read_text() if log.exists() else 'no log'}")


def main(command: list[str]) -> int:
    with pgbouncer(os.environ["DATABASE_URL"]) as url:
        return run(command, url)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
