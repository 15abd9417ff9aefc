"""The job of pg_cron that manage.py supabase_sql schedules."""

import re
import time
from collections.abc import Iterator

import pytest
from django.core.management import CommandError
from django.db import connection

from parlant_store.sql.supabase.cron import job_name
from parlant_store.sql.supabase.schema import identifier
from tests.servers.supabase import roles_sql
from tests.sql.supabase.databases import ODD, Database, connected, emitted, sql_for

GOOD = """
*/15 * * * *|0 3 * * *|0,30 8-18/2 1-7 jan-mar,12 MON-fri|59 23 31 12 7|0 12 $ * *|* * * * sun
1 seconds|59 seconds|1 second|00 00 01 01 00
""".strip().replace("\n", "|")
BAD = (
    """
||* * * *|* * * * * *|60 * * * *|* 24 * * *|* * 0 * *|* * 32 * *|* * * 13 *|* * * * 8
5/10 * * * *|30-10 * * * *|*/0 * * * *|1, * * * *|-1 * * * *|a * * * *|* jan * * *|1-2-3 * * * *
$ * * * *|0 seconds|60 seconds|5 minutes|@daily|*  * * * *|* * * *\t*|* * * * *\x00|1_0 * * * *
*/15 * * * *'|* * * * foo|fri-mon * * * *|* * * * fri-mon|² * * * *
""".replace("\n", "|")
    .removeprefix("|")
    .removesuffix("|")
)


@pytest.mark.parametrize("schedule", GOOD.split("|"))
def test_a_schedule_of_pg_cron_is_taken(schedule):
    script = emitted(cron=schedule)
    assert script.count(f"'{schedule}'") == 2  # in the header, for the shell, and in the SQL


@pytest.mark.parametrize("schedule", BAD.split("|"))
def test_another_schedule_is_refused_by_name(schedule):
    with pytest.raises(CommandError, match=re.escape(f"The schedule {schedule!r} ")):
        emitted(cron=schedule)


# As pg_cron declares it.
CRON = """
    create schema cron;
    create table cron.calls (job_name text, schedule text, command text);
    create function cron.schedule(job_name text, schedule text, command text) returns bigint
    begin atomic
        insert into cron.calls values (job_name, schedule, command) returning 1::bigint;
    end
"""


def cron_statement(script: str) -> str:
    before, statement = script.split("create extension if not exists pg_cron with schema")
    assert before.endswith("\n")
    place, _, call = statement.partition(";\n")
    assert place == " pg_catalog"
    return call.partition("\n")[0]


@pytest.mark.parametrize("schema", ["public", ODD])
def test_the_job_removes_what_has_expired(database, schema):
    """In place of pg_cron, a table notes the call; the command is run as pg_cron would."""
    database.execute(sql_for(schema=schema))
    database.execute(CRON)
    database.execute(cron_statement(emitted(schema=schema, cron="*/15 * * * *")))
    name, schedule, command = database.execute("select * from cron.calls").fetchone()
    assert (name, schedule) == (job_name(schema), "*/15 * * * *")
    table = f"{identifier(schema)}.parlant_store_document"
    database.execute(f"""
        insert into {table} (collection, id, data, expires_at)
        values ('c', 'gone', '{{}}', now()), ('c', 'alive', '{{}}', now() + interval '1 day')
    """)
    database.execute(command)
    assert database.execute(f"select id from {table}").fetchall() == [("alive",)]


def test_each_schema_has_a_job_of_its_own():
    assert job_name("public") == "parlant_store_expire"
    assert job_name("tenant") != job_name("public")


@pytest.fixture
def cron_database() -> Iterator[Database]:
    """The one database of the server whose jobs pg_cron runs."""
    with connected(connection.settings_dict["NAME"]) as server:
        (name,) = server.execute("select current_setting('cron.database_name')").fetchone()
    with connected(name) as database:
        database.execute(roles_sql())
        yield database
        database.execute("drop schema of_cron cascade")
        database.execute("select cron.unschedule(%s)", [job_name("of_cron")])


@pytest.mark.cron
def test_pg_cron_takes_the_job_and_replaces_it(cron_database):
    for schedule in ("*/15 * * * *", "0,30 8-18/2 1-7 jan-mar,12 MON-fri"):
        cron_database.execute(sql_for(schema="of_cron", cron=schedule))
        jobs = cron_database.execute(
            "select schedule from cron.job where jobname = %s", [job_name("of_cron")]
        )
        assert jobs.fetchall() == [(schedule,)]


@pytest.mark.cron
def test_pg_cron_removes_what_has_expired(cron_database):
    script = emitted(schema="of_cron", cron="* * * * *")
    cron_database.execute(script)
    cron_database.execute(
        "insert into of_cron.parlant_store_document (collection, id, data, expires_at)"
        " values ('c', 'gone', '{}', now()), ('c', 'alive', '{}', now() + interval '1 day')"
    )
    for _attempt in range(6):
        if removed_by_cron(cron_database):
            break
        # pg_cron 1.4 misses a job that is scheduled while it reads the jobs, until the next change
        # of one: LoadCronJobList takes its snapshot first, RefreshTaskHash is satisfied afterwards.
        cron_database.execute(script)
    left = cron_database.execute("select id from of_cron.parlant_store_document").fetchall()
    assert left == [("alive",)], cron_database.execute(
        "select (select array_agg(job) from cron.job), (select array_agg(run) from"
        " cron.job_run_details run), (select array_agg(activity) from pg_stat_activity activity"
        " where backend_type ~ 'cron')"
    ).fetchall()


def removed_by_cron(database: Database) -> bool:
    """Wait for the expired document to go, for as long as a job of each minute may take."""
    last = time.monotonic() + 100
    query = "select 1 from of_cron.parlant_store_document where id = 'gone'"
    while database.execute(query).fetchone() and time.monotonic() < last:
        time.sleep(0.5)
    return not database.execute(query).fetchone()
