"""Behind a PgBouncer in transaction mode that nobody told the project of, answers are right."""

import json
import os
from pathlib import Path
from subprocess import PIPE

import psycopg
import pytest

from tests.matrix.load import KEPT
from tests.matrix.projects import FOLDER, PGBOUNCER, POSTGRESQL
from tests.processes import Process, run
from tests.servers.pgbouncer import pgbouncer

PROCESSES = 3
CALLS = 5_000
SECONDS = 1_800
"""Far more than it takes."""

LEFT = """
    SELECT (SELECT array_agg(session_id || ' ' || item_count ORDER BY session_id)
            FROM parlant_store_session WHERE session_id NOT LIKE 'agent-%'),
           (SELECT array_agg(DISTINCT collection) FROM parlant_store_document
            WHERE collection NOT LIKE 'parlant_store.%')
"""


@pytest.mark.parametrize("kind", ["pgbouncer_load"])
def test_readers_writers_and_agents_of_three_processes(tmp_path: Path, kind: str) -> None:
    url = os.environ["DATABASE_URL"]
    with pgbouncer(url) as through:
        own = {POSTGRESQL: url, PGBOUNCER: through, FOLDER: str(tmp_path)}
        environment = os.environ | own | {"PARLANT_HOME": str(tmp_path)}
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        start = ["-m", "tests.matrix.runner", kind, "prepare_load"]
        run(*start, env=environment, timeout=SECONDS).check_returncode()
        command = ["-m", "tests.matrix.load", kind]
        share = str(CALLS // PROCESSES + 1)
        processes = [
            Process(*command, str(number), share, env=environment, stdout=PIPE)
            for number in range(PROCESSES)
        ]
        said = [json.loads(process.communicate(timeout=SECONDS)[0]) for process in processes]
    assert [result["wrong"] for result in said] == [[]] * PROCESSES
    assert sum(result["calls"] for result in said) >= CALLS
    with psycopg.connect(url, dbname=f"matrix_{kind}_default") as connection:
        sessions, collections = connection.execute(LEFT).fetchone() or ()
    assert sessions == [f"keep-{number} 5" for number in range(KEPT)]
    assert collections == ["keep"]
