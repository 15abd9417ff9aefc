"""What manage.py supabase_sql prints and writes, and what it refuses."""

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from psycopg import Connection

from tests.sql.supabase.catalogs import differences, everything
from tests.sql.supabase.databases import ODD, connected, emitted, new_database

ROOT = Path(__file__).resolve().parents[3]


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


def test_a_migration_does_the_same_in_a_transaction_of_the_cli(folder, project, database):
    Path("supabase").mkdir()
    path = Path(emitted("--migration", "--policy", "owner").strip())
    with database.transaction():
        database.execute(path.read_text())
        assert database.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    with new_database(project) as name, connected(name) as other:
        other.execute(emitted(policy="owner"))
        assert differences(everything(database), everything(other)) == []
