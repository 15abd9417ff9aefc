"""A project of its own, in which tests may break what they like."""

from collections.abc import Iterator
from contextlib import nullcontext
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from psycopg.conninfo import make_conninfo

from parlant_store.sql.supabase.script import supabase_sql
from tests.backends.supabase.project_check.reports import NAME, ODD, Check, contents, run
from tests.empty_tables import django_dsn
from tests.servers.supabase import ROLES, Stack, supabase


@pytest.fixture(scope="package")
def database(django_db_setup: None) -> Iterator[str]:
    """A database of its own, in which tests may break what they like."""
    run(django_dsn(), f"create database {NAME} template template0")
    try:
        yield make_conninfo(django_dsn(), dbname=NAME)
    finally:
        run(django_dsn(), f"drop database {NAME} with (force)")


@pytest.fixture(scope="package")
def running(database: str) -> Iterator[Stack]:
    with supabase(database, schemas=("public", "empty", "agents", ODD)) as stack:
        run(database, f"create schema empty; grant usage on schema empty to {ROLES}")
        run(database, supabase_sql(schema=ODD), supabase_sql(schema="agents"))
        yield stack


@pytest.fixture(scope="package")
def clean() -> list[dict[str, list[str]]]:
    """The contents of a project that no test has changed, once there was one."""
    return []


@pytest.fixture
def fresh(running: Stack, clean: list[dict[str, list[str]]]) -> Stack:
    """A project in which only what supabase_sql prints was run."""
    if [contents(running.dsn)] != clean:
        anew = "drop schema public cascade; create schema public"
        run(running.dsn, f"{anew}; grant usage on schema public to {ROLES}", supabase_sql())
        clean[:] = [contents(running.dsn)]
        running.reload()
    return running


@pytest.fixture
def check(fresh: Stack, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Runs the command and returns its lines; it must fail when ``fails``, and show no key."""
    for name in ("URL", "KEY", "SCHEMA", "ANON_KEY", "USER_TOKEN"):
        monkeypatch.delenv(f"SUPABASE_{name}", raising=False)

    def command(*arguments: str, fails: bool = False, key: str = fresh.secret_key) -> str:
        out = StringIO()
        given = ["--url", fresh.url, "--key", key, *arguments]
        if "--store" in arguments or "--url" in arguments:
            given = list(arguments)
        end = pytest.raises(CommandError, match="checks failed") if fails else nullcontext()
        with end as error:
            call_command("supabase_check", *given, stdout=out, no_color=True)
        if error is not None:
            assert error.value.returncode == 1
            out.write(f"CommandError: {error.value}")
        printed = out.getvalue()
        secrets = {fresh.secret_key, fresh.publishable_key, fresh.service_key, fresh.anon_key}
        secrets |= {argument for argument in given if argument.startswith(("ey", "sb_"))}
        assert not [secret for secret in secrets if secret in printed]
        return printed

    return command
