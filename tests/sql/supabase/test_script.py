"""What manage.py supabase_sql emits, run by PostgreSQL."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg import Connection

from parlant_store.sql.supabase.access import POLICIES
from parlant_store.sql.supabase.cron import job_name
from parlant_store.sql.supabase.schema import identifier, literal, tables_sql
from tests.servers.supabase import roles_sql
from tests.sql.supabase.catalogs import catalog, differences, everything
from tests.sql.supabase.databases import ODD, Database, connected, emitted, new_database

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def empty(database: Database) -> Database:
    return database


@pytest.fixture
def migrated(project: str, migrate: Callable[..., None]) -> Iterator[Database]:
    with new_database(project) as name, connected(name) as database:
        migrate(database)
        yield database


def use(database: Database, schema: str) -> None:
    """Lets all who connect from now on work in the schema."""
    database.execute(f"create schema if not exists {identifier(schema)}")
    name = identifier(database.info.dbname)
    database.execute(f"alter database {name} set search_path to {identifier(schema)}")


def test_the_tables_and_functions_are_those_of_migrate(empty, migrated):
    empty.execute(emitted())
    made = catalog(migrated)
    assert all(made[kind] for kind in ("columns", "sequences", "indexes", "functions", "types"))
    assert differences(catalog(empty), made) == [], "sql/schema.py must render what migrate makes"


def test_in_another_schema_they_are_those_of_migrate_too(project, empty, migrate):
    empty.execute(emitted(schema=ODD))
    with new_database(project) as name, connected(name) as other:
        use(other, ODD)
        migrate(other)
        made = catalog(other, ODD)
        assert made["columns"]
        assert differences(catalog(empty, ODD), made) == []
    assert not any(catalog(empty, "public").values())


@pytest.mark.parametrize("schema", ["public", ODD])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_second_run_changes_nothing(empty, policy, schema):
    empty.execute("create publication supabase_realtime")
    script = emitted(schema=schema, policy=policy, realtime=True)
    empty.execute(script)
    before = everything(empty, schema)
    assert before["columns"]
    assert before["security: policies"]
    empty.execute(script)
    assert differences(everything(empty, schema), before) == []


def fill(database: Database) -> list[Any]:
    """A row in each table."""
    database.execute("""
        insert into parlant_store_document (collection, id, data) values ('c', 'd', '{"id": "d"}');
        insert into parlant_store_session (
            namespace, session_id, metadata, state, next_position, item_count, tokens
        ) values ('', 's', '{}', '{}', 1, 1, 0);
        insert into parlant_store_session_item (session_key, position, data)
            select key, 0, '{}' from parlant_store_session;
        insert into parlant_store_request (id) values (gen_random_uuid());
    """)
    return rows(database)


def rows(database: Database) -> list[Any]:
    tables = ("document", "session", "session_item", "request")
    queries = [f"select '{table}', t.* from parlant_store_{table} t" for table in tables]
    return [row for query in queries for row in database.execute(query)]


@pytest.mark.parametrize("policy", POLICIES)
def test_the_owner_of_the_database_may_run_it(empty, policy):
    role, name = map(identifier, (f"{empty.info.dbname}_owner", empty.info.dbname))
    empty.execute(f"create role {role}; alter database {name} owner to {role}")
    empty.execute(f"grant usage on schema auth to {role}; set role {role}")
    try:
        empty.execute("create publication supabase_realtime")
        for _ in range(2):
            empty.execute(emitted(policy=policy, realtime=True))
        owners = empty.execute(
            "select distinct tableowner from pg_tables where schemaname = 'public'"
        )
        assert owners.fetchall() == [(f"{empty.info.dbname}_owner",)]
    finally:
        empty.execute(f"rollback; reset role; reassign owned by {role} to current_user")
        empty.execute(f"drop owned by {role}; drop role {role}")


@pytest.mark.parametrize("policy", POLICIES)
def test_tables_that_migrate_made_keep_their_rows_and_become_the_same(empty, migrated, policy):
    kept = fill(migrated)
    assert len(kept) == 4
    script = emitted(policy=policy)
    migrated.execute(script)
    assert rows(migrated) == kept
    empty.execute(script)
    assert differences(everything(migrated), everything(empty)) == []


def test_the_app_may_come_to_django_after_the_script(empty, migrate):
    empty.execute(emitted(policy="owner"))
    kept, before = fill(empty), everything(empty)
    migrate(empty, fake_initial=True)
    assert differences(everything(empty), before) == []
    assert rows(empty) == kept
    applied = empty.execute("select app, name from django_migrations").fetchall()
    assert ("parlant_store", "0001_initial") in applied


def test_nothing_connects(monkeypatch):
    script = emitted()

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(Connection, "connect", refuse)
    assert emitted() == script


@pytest.mark.parametrize("url", ["postgresql://x@127.0.0.1:9/none", "sqlite:////none/none"])
def test_another_process_without_database_or_client_prints_the_same(url):
    arguments = ["--policy", "owner", "--owner-claim", "org_id", "--cron", "5 seconds"]
    code = (
        "import sys; sys.modules['supabase'] = None; sys.argv = ['manage.py', *sys.argv[1:]]\n"
        "from django.core.management import execute_from_command_line as run; run(sys.argv)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, "supabase_sql", *arguments],
        env=os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "project.settings"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == emitted(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--schema", ODD, "--policy", "owner", "--realtime", "--cron", "*/15 * * * *"),
        (
            "--schema",
            "public",
            "--policy",
            "owner",
            "--table-prefix",
            "a_,b's _",
            "--anonymous",
            "deny",
        ),
        (
            "--schema",
            "public",
            "--policy",
            "owner",
            "--table-prefix",
            "",
            "--user-collections",
            "notes,memos",
        ),
        (
            "--schema",
            "public",
            "--policy",
            "owner",
            "--sessions-collection",
            "x_sessions",
            "--readable-collections",
            "a",
        ),
    ],
)
def test_the_header_says_how_it_was_made(arguments):
    script = emitted(*arguments)
    (command,) = re.findall(r"^--     python manage.py supabase_sql (.*)$", script, re.MULTILINE)
    shell = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], stdout=subprocess.PIPE)
    assert sorted(shell.stdout.decode().splitlines()) == sorted(arguments)


def test_a_failing_script_leaves_nothing_behind(empty):
    with pytest.raises(psycopg.Error, match="publication supabase_realtime does not exist"):
        empty.execute(emitted(realtime=True))
    empty.execute("rollback")
    assert not any(catalog(empty).values())


def published(database: Database) -> set[tuple[str, str]]:
    found = database.execute("select schemaname, tablename from pg_publication_tables")
    return set(found.fetchall())


def test_realtime_publishes_sessions_items_and_documents(empty):
    empty.execute("create table other (key int)")
    empty.execute("create publication supabase_realtime for table other")
    empty.execute(emitted(schema=ODD, realtime=True))
    tables = ("document", "session", "session_item")
    own = {(ODD, f"parlant_store_{table}") for table in tables}
    assert published(empty) == {("public", "other"), *own}


def test_realtime_takes_a_publication_of_all_tables(empty):
    empty.execute("create publication supabase_realtime for all tables")
    empty.execute(emitted(realtime=True))
    assert ("public", "parlant_store_session") in published(empty)


def test_postgrest_is_told(empty):
    with connected(empty.info.dbname) as listener:
        listener.execute("listen pgrst")
        empty.execute(emitted())
        (told,) = listener.notifies(timeout=120, stop_after=1)
    assert told.payload == "reload schema"


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
def test_the_job_removes_what_has_expired(empty, schema):
    """In place of pg_cron, a table notes the call; the command is run as pg_cron would."""
    empty.execute(emitted(schema=schema))
    empty.execute(CRON)
    empty.execute(cron_statement(emitted(schema=schema, cron="*/15 * * * *")))
    name, schedule, command = empty.execute("select * from cron.calls").fetchone()
    assert (name, schedule) == (job_name(schema), "*/15 * * * *")
    table = f"{identifier(schema)}.parlant_store_document"
    empty.execute(f"""
        insert into {table} (collection, id, data, expires_at)
        values ('c', 'gone', '{{}}', now()), ('c', 'alive', '{{}}', now() + interval '1 day')
    """)
    empty.execute(command)
    assert empty.execute(f"select id from {table}").fetchall() == [("alive",)]


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
        cron_database.execute(emitted(schema="of_cron", cron=schedule))
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


def test_open_is_warned_of():
    out, err = StringIO(), StringIO()
    call_command("supabase_sql", policy="open", stdout=out, stderr=err)
    assert "anyone who has the project's public key reads and changes everything" in err.getvalue()
    assert "anyone who has" not in out.getvalue()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schema": ""}, "The schema '' has 0 bytes"),
        ({"schema": "é" * 32}, "has 64 bytes"),
        ({"schema": "a\n;drop table x"}, "cannot be printed"),
        ({"schema": "a\0"}, "cannot be printed"),
        ({"schema": "\udc80"}, "cannot be printed"),
        ({"owner_claim": "sub"}, "needs the policy owner"),
        ({"owner_claim": "a\nb", "policy": "owner"}, "a.+b"),
        ({"policy": "closed"}, "closed"),
        ({"output": "x.sql", "migration": "x"}, "exclude each other"),
        ({"migration": "../x"}, "'../x' is no name for a migration"),
        ({"migration": ""}, "'' is no name for a migration"),
    ],
)
def test_a_wrong_option_is_refused(options, message):
    with pytest.raises(CommandError, match=message):
        emitted(**options)


def test_a_schema_of_63_bytes_is_whole(empty):
    schema = "s" * 63
    empty.execute(emitted(schema=schema))
    assert catalog(empty, schema)["columns"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_output_is_a_file(folder):
    assert emitted(output="x.sql") == "x.sql\n"
    assert Path("x.sql").read_bytes() == emitted().encode()
    assert emitted("--policy", "owner", "--output", "x.sql") == "x.sql\n"
    assert Path("x.sql").read_text() == emitted(policy="owner")
    assert [path.name for path in folder.iterdir()] == ["x.sql"]


def test_output_follows_a_link(folder):
    (folder / "real.sql").touch()
    (folder / "link.sql").symlink_to("real.sql")
    emitted(output="link.sql")
    assert (folder / "link.sql").is_symlink()
    assert (folder / "real.sql").read_text() == emitted()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("none/x.sql", "there is no folder .*none"),
        ("/dev/null", "it is no file"),
        (".", "it is no file"),
        (f"{'x' * 300}.sql", "cannot be written"),
    ],
)
def test_output_that_cannot_be_written(folder, output, message):
    with pytest.raises(CommandError, match=message):
        emitted(output=output)
    assert list(folder.iterdir()) == []


def test_output_keeps_what_was_there_when_writing_fails(folder, monkeypatch):
    Path("x.sql").write_text("before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CommandError, match=r"x\.sql cannot be written: No space left"):
        emitted(output="x.sql")
    assert [path.name for path in folder.iterdir()] == ["x.sql"]
    assert Path("x.sql").read_text() == "before"


def test_a_migration_needs_a_project(folder):
    with pytest.raises(CommandError, match=r"run `supabase init` first, or use --output"):
        emitted("--migration")
    assert list(folder.iterdir()) == []


def migrations() -> list[str]:
    return sorted(path.name for path in Path("supabase/migrations").iterdir())


def test_a_migration_is_written_once(folder):
    Path("supabase").mkdir()
    printed = emitted("--migration")
    assert re.fullmatch(r"supabase/migrations/2\d{13}_parlant_store\.sql\n", printed)
    out, err = StringIO(), StringIO()
    call_command("supabase_sql", "--migration", stdout=out, stderr=err)
    assert out.getvalue() == printed
    assert "the newest migration does the same" in err.getvalue()
    assert migrations() == [Path(printed.strip()).name]


def test_another_migration_is_written_when_something_changed(folder):
    Path("supabase").mkdir()
    printed = [emitted("--migration", "--policy", policy) for policy in ("service", "owner")]
    # The newest is compared, not any.
    printed += [emitted("--migration"), emitted("--migration", "of-other_name")]
    assert sorted(set(printed)) == printed
    assert migrations() == [Path(path.strip()).name for path in printed]


def test_what_the_header_says_is_no_change(folder):
    Path("supabase").mkdir()
    path = Path(emitted("--migration").strip())
    path.write_text(re.sub(r"store [\d.]+ on", "store 0.0.1 on", path.read_text(), count=1))
    assert "store 0.0.1 on" in path.read_text()
    call_command("supabase_sql", "--migration", stdout=StringIO(), stderr=StringIO())
    assert migrations() == [path.name]


def test_a_migration_that_cannot_be_read_is_named(folder):
    Path("supabase/migrations").mkdir(parents=True)
    Path("supabase/migrations/20200101000000_x.sql").write_bytes(b"\xff")
    with pytest.raises(CommandError, match=r"20200101000000_x\.sql cannot be read"):
        emitted("--migration", "x")


def test_a_migration_does_the_same_in_a_transaction_of_the_cli(folder, project, empty):
    Path("supabase").mkdir()
    path = Path(emitted("--migration", "--policy", "owner").strip())
    with empty.transaction():
        empty.execute(path.read_text())
        assert empty.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    with new_database(project) as name, connected(name) as other:
        other.execute(emitted(policy="owner"))
        assert differences(everything(empty), everything(other)) == []


def test_parts_of_a_do_block_are_quoted(empty):
    """The quotes of a DO block never occur in the schema's name."""
    schema = "$$ $q$ $qq$"
    empty.execute(f"create schema {identifier(schema)}")
    empty.execute(tables_sql(schema))
    assert catalog(empty, schema)["constraints"]
    assert literal("a'b\\") == " E'a''b\\\\'"
