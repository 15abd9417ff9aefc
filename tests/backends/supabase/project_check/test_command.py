"""manage.py supabase_check: its report, its options and its exit codes."""

import json
import os
import re
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from supabase import ClientOptions, create_client

from parlant_store import stores
from parlant_store.sql.functions import version
from tests.backends.supabase.project_check.reports import (
    BACKEND,
    ODD,
    Check,
    configured,
    the_failure,
)
from tests.processes import run
from tests.servers.supabase import Stack


def test_all_is_well(check: Check, fresh: Stack) -> None:
    user = str(uuid4())
    printed = check("--anon-key", fresh.publishable_key, "--user-token", fresh.user_token(user))
    tables, clock = r"9 there; PostgreSQL \d+\.\d+.*", r"\d\.\d s from the server's"
    expected = [
        rf"Store 'command line' at {fresh.url}, schema public",
        r"OK    URL           reached",
        r"OK    key           accepted; the role is service_role",
        rf"OK    version       {version()}, as this package's",
        r"OK    functions     \d+ there",
        rf"OK    tables        {tables}",
        r"OK    row security  on for all of them; policies: service",
        r"OK    grants        none for anon",
        r"OK    other tables  none that anon or every user may read",
        rf"OK    clock         {clock}",
        r"OK    row limit     1,000 rows per answer; the store does not depend on it",
        r"OK    writing       a session was written, read back and deleted",
        r"OK    anon          sees nothing, calls nothing",
        rf"OK    user          {user} sees nothing: users have no access",
    ]
    assert re.fullmatch("\n".join(expected) + "\n", printed), printed


def test_nothing_is_left_behind(check: Check, fresh: Stack) -> None:
    check()
    with psycopg.connect(fresh.dsn) as session:
        assert session.execute("select count(*) from parlant_store_session").fetchone() == (0,)


def test_a_schema_with_an_odd_name(check: Check) -> None:
    assert f", schema {ODD}\n" in check("--schema", ODD)


def test_without_keys_and_without_writing(check: Check) -> None:
    printed = check("--no-write")
    assert (
        "\nSKIP  anon          needs the public key: --anon-key or SUPABASE_ANON_KEY\n" in printed
    )
    assert "\nSKIP  user          needs a user's JWT: --user-token or SUPABASE_USER" in printed
    assert "writing" not in printed


def test_keys_from_the_environment(
    check: Check, fresh: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_KEY", fresh.secret_key)
    monkeypatch.setenv("SUPABASE_SCHEMA", "agents")
    monkeypatch.setenv("SUPABASE_ANON_KEY", fresh.anon_key)
    monkeypatch.setenv("SUPABASE_USER_TOKEN", fresh.user_token(str(uuid4())))
    printed = check("--url", fresh.url)
    assert "schema agents" in printed
    assert "SKIP" not in printed
    assert "the key was refused" in check("--url", fresh.url, "--anon-key", "wrong", fails=True)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (60, r"the store's is (\d+) s ahead of the server's: sessions expire too early"),
        (-60, r"the store's is (\d+) s behind the server's: sessions expire too late"),
        (3, None),
    ],
)
def test_the_clock(
    check: Check, fresh: Stack, settings: Any, seconds: int, said: str | None
) -> None:
    def clock() -> Any:
        return timezone.now() + timedelta(seconds=seconds)

    with configured(settings, url=fresh.url, key=fresh.secret_key, clock=clock):
        printed = check("--store", "mine", fails=said is not None)
    text = r"([\d.]+) s from the server's" if said is None else said
    found = re.search(text, printed if said is None else the_failure(printed))
    assert found is not None
    # Known only as exactly as the request was fast.
    assert float(found[1]) == pytest.approx(abs(seconds), abs=2 if said is None else 20)
    assert ("NTP" in printed) == (said is not None)


def test_a_client_that_the_project_made(check: Check, fresh: Stack, settings: Any) -> None:
    with httpx.Client() as http:
        client = create_client(fresh.url, fresh.secret_key, ClientOptions(httpx_client=http))
        with configured(settings, client=client):
            printed = check("--store", "mine")
    assert f"Store 'mine' at {fresh.url}, schema public" in printed


def test_json(check: Check, fresh: Stack) -> None:
    (report,) = json.loads(check("--json", "--no-write"))
    assert {key: report[key] for key in ("store", "url", "schema")} == {
        "store": "command line",
        "url": fresh.url,
        "schema": "public",
    }
    first, *others = report["findings"]
    assert first == {"outcome": "OK", "about": "URL", "message": "reached", "mend": ""}
    assert [finding["outcome"] for finding in others].count("SKIP") == 2
    printed = check("--json", key="wrong", fails=True)
    (report,) = json.loads(printed.partition("CommandError")[0])
    assert [finding["outcome"] for finding in report["findings"]] == ["OK", "FAIL"]
    assert report["findings"][1]["mend"]


def test_each_store_is_asked(fresh: Stack, settings: Any) -> None:
    options = {"url": fresh.url, "key": fresh.secret_key}
    settings.PARLANT_STORES = settings.PARLANT_STORES | {
        name: {"BACKEND": BACKEND, "OPTIONS": options} for name in ("one", "two")
    }
    out = StringIO()
    call_command("supabase_check", stdout=out)
    stores.forget()
    assert re.findall(r"Store '(\w+)'", out.getvalue()) == ["one", "two"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "PARLANT_STORES has no store in Supabase. Add .*or give --url"),
        (["--store", "default"], "the store 'default' is not in Supabase"),
        (["--store", "none"], "there is no store 'none'"),
        (["--store", "default", "--url", "https://x.y"], "--store and --url exclude each other"),
        (["--key", "x"], "--key and --schema go with --url"),
        (["--url", "https://x.y"], "has no key; set it, as from SUPABASE_KEY"),
        (["--url", "x.y", "--key", "z"], "needs a url like https://name.supabase.co"),
    ],
)
def test_mistakes(arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPABASE_KEY", raising=False)
    with pytest.raises(CommandError, match=said):
        call_command("supabase_check", *arguments)


def test_exit_codes_and_the_environment(fresh: Stack) -> None:
    """With the settings of the demo project, as in CI."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SUPABASE_")
    } | {"DATABASE_URL": "sqlite://:memory:", "DJANGO_SETTINGS_MODULE": "project.settings"}
    good = {
        "SUPABASE_URL": fresh.url,
        "SUPABASE_KEY": fresh.secret_key,
        "SUPABASE_SCHEMA": "agents",
    }
    for own, code in ((good, 0), (good | {"SUPABASE_KEY": "wrong"}, 1), ({}, 1)):
        done = run("manage.py", "supabase_check", env=environment | own)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert f"Store 'supabase' at {fresh.url}, schema agents" in done.stdout or not own
