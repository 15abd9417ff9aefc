"""manage.py supabase_check with wrong addresses, keys, tokens and users."""

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from parlant_store import stores
from parlant_store.exceptions import BackendError
from parlant_store.sql.supabase.policies import policies_sql
from tests.backends.supabase.project_check.reports import (
    Check,
    configured,
    failed,
    run,
    the_failure,
)
from tests.servers.http_proxy import Proxy, Reply, page
from tests.servers.supabase import Stack


@pytest.mark.parametrize("name", ["secret_key", "service_key"])
def test_both_kinds_of_keys(check: Check, fresh: Stack, name: str) -> None:
    assert "accepted; the role is service_role" in check(key=getattr(fresh, name))


@pytest.mark.parametrize(
    ("path", "said"),
    [("", "no answer: .*refused"), ("/nowhere", "not the REST API of Supabase: 404")],
)
def test_a_wrong_url(check: Check, fresh: Stack, path: str, said: str) -> None:
    url = fresh.url + path if path else "http://127.0.0.1:9"
    printed = check("--url", url, "--key", fresh.secret_key, fails=True)
    assert re.search(rf"URL           .*{said}", the_failure(printed))
    assert "Project Settings > Data API" in printed or "without a path" in printed
    assert "OK  " not in printed
    assert printed.endswith("1 of 1 checks failed")


def test_a_password_in_the_url_is_not_shown(check: Check, fresh: Stack) -> None:
    url = fresh.url.replace("//", "//ann:hidden@")
    printed = check("--url", url, "--key", fresh.secret_key, "--json", fails=True)
    assert "hidden" not in printed
    assert f'"{fresh.url}"' in printed


def test_a_project_that_is_down(check: Check, fresh: Stack) -> None:
    fresh.stop_postgrest()
    try:
        printed = check(fails=True)
    finally:
        fresh.start_postgrest()
    assert "URL           answers 503" in the_failure(printed)
    assert "paused" in printed


@pytest.mark.parametrize("key", ["sb_secret_wrong", "nokey", "eyJ.eyJ.x"])
def test_a_wrong_key(check: Check, key: str) -> None:
    printed = check(key=key, fails=True)
    assert the_failure(printed).startswith("key           refused: ")
    assert "Project Settings > API Keys" in printed
    assert key not in printed


def test_the_public_key_in_place_of_the_secret_one(check: Check, fresh: Stack) -> None:
    printed = check(key=fresh.publishable_key, fails=True)
    assert "OK    key           accepted; the role is anon" in printed
    assert the_failure(printed).startswith("role          anon may not use the store")
    assert "Use the secret key" in printed


def test_a_store_whose_token_is_not_there(check: Check, fresh: Stack, settings: Any) -> None:
    given = {"url": fresh.url, "key": fresh.secret_key, "access_token": lambda: None}
    fresh.gateway.clear()
    with configured(settings, **given):
        printed = check("--store", "mine")
    skipped = "access_token returns none outside of a request; not checked"
    assert f"SKIP  access token  {skipped}" in printed
    assert fresh.gateway.requests == []
    with configured(settings, **given, allow_service=True):
        assert "the role is service_role" in check("--store", "mine")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, r"URL           something answers, but not the REST API of Supabase: 200 .*Sign in"),
        (302, r"URL           something answers, but not the REST API of Supabase: 302 .*Sign in"),
        (401, r"key           refused: .*Sign in"),
        (403, r"key           refused: .*Sign in"),
        (502, r"URL           answers 502: .*Sign in"),
    ],
)
def test_a_page_in_place_of_the_project(check: Check, status: int, said: str) -> None:
    with Proxy().running() as proxy:
        proxy.answers(page(status))
        printed = check("--url", proxy.url, "--key", "sb_secret_x", fails=True)
    assert re.match(said, the_failure(printed))


def test_a_page_in_place_of_later_answers(check: Check, fresh: Stack) -> None:
    """A proxy that wants a sign-in for all but the first request."""
    found = httpx.post(
        f"{fresh.url}/rest/v1/rpc/parlant_store_status", headers={"apikey": fresh.secret_key}
    )
    with Proxy().running() as proxy:
        proxy.answers(Reply(200, found.content), page(200))
        printed = check(
            *("--url", proxy.url, "--key", "sb_secret_x", "--anon-key", "sb_publishable_x"),
            *("--user-token", fresh.user_token(str(uuid4()))),
            fails=True,
        )
    assert [failure.split()[0] for failure in failed(printed)] == ["row", "writing", "anon", "user"]
    assert printed.count("Sign in") == 4


def test_a_users_store(check: Check, fresh: Stack, settings: Any) -> None:
    run(fresh.dsn, policies_sql(schema="public", policy="owner"))
    token = fresh.user_token(str(uuid4()))
    with configured(settings, url=fresh.url, key=fresh.publishable_key, access_token=lambda: token):
        printed = check("--store", "mine", "--user-token", token)
        stores["mine"].add_items("s", [{"n": 1}])
        assert "sees 1 session and 0 documents" in check("--store", "mine", "--user-token", token)
    assert "Store 'mine' at" in printed
    assert "accepted; the role is authenticated" in printed
    assert re.search("policies: .*owner", printed)
    assert "sees 0 sessions and 0 documents" in printed
    late = fresh.user_token(str(uuid4()), expires_in=-60)
    with configured(settings, url=fresh.url, key=fresh.publishable_key, access_token=late):
        printed = check("--store", "mine", fails=True)
    assert the_failure(printed).startswith("access token  refused: JWT expired")


def test_a_user_under_the_policy_service(check: Check, fresh: Stack, settings: Any) -> None:
    token = fresh.user_token(str(uuid4()))
    with configured(settings, url=fresh.url, key=fresh.publishable_key, access_token=token):
        printed = check("--store", "mine", fails=True)
    assert the_failure(printed).startswith("role          authenticated may not use the store")
    assert "--policy owner" in printed


def test_users_whose_ids_are_no_uuids(check: Check, fresh: Stack, settings: Any) -> None:
    token = fresh.user_token("user_2abc")
    with configured(settings, url=fresh.url, key=fresh.publishable_key, access_token=token):
        run(fresh.dsn, policies_sql(schema="public", policy="owner"))
        for call in (
            lambda: stores["mine"].get_items("s"),
            lambda: stores["mine"].add_items("s", [{"n": 1}]),
        ):
            with pytest.raises(BackendError, match="--owner-claim sub"):
                call()
        run(fresh.dsn, policies_sql(schema="public", policy="owner", owner_claim="sub"))
        stores["mine"].add_items("s", [{"n": 1}])
        assert stores["mine"].get_session("s").user_id == "user_2abc"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"expires_in": -60}, "the token was refused: JWT expired"),
        ({"role": "service_role"}, "not a user's: its role is service_role"),
    ],
)
def test_a_wrong_token(check: Check, fresh: Stack, claims: dict[str, Any], said: str) -> None:
    printed = check("--user-token", fresh.user_token(str(uuid4()), **claims), fails=True)
    assert said in the_failure(printed)


@pytest.mark.parametrize("role", ["secret_key", "service_key"])
def test_a_key_that_is_not_for_anon(check: Check, fresh: Stack, role: str) -> None:
    printed = check("--anon-key", getattr(fresh, role), fails=True)
    assert "the key for anon has the role service_role" in the_failure(printed)
