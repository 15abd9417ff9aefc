"""Attacks by token, and by table: what a browser can ask of PostgREST itself."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.sql.supabase.attacks.attackers import A, Attacker, B, Target, code_of, unsigned
from tests.sql.supabase.attacks.attackers import project as project
from tests.sql.supabase.attacks.attackers import target as target
from tests.sql.supabase.attacks.table_attacks import (
    DENIED,
    DOCUMENT,
    EMBEDDED,
    EVERYTHING,
    FILTERS,
    ITEM,
    MISSES,
    REFUSED,
    SESSION,
    TAKEN,
    TOO_MUCH,
)


def is_nothing(answer: Any) -> bool:
    """Whether no row was found, and no number of rows tells of any."""
    ranged = answer.headers.get("Content-Range", "*/0")
    return answer.status_code < 300 and answer.json() == [] and ranged.endswith(("/0", "/*"))


def is_refused(path: str, answer: Any) -> bool:
    """Whether it was for the tables that it names; where nothing is looked at, nothing is found."""
    return path in EMBEDDED and code_of(answer) == TOO_MUCH


# A, signed in


@pytest.mark.parametrize("path", FILTERS)
def test_nothing_of_another_is_found(target, path):
    headers = [{}, {"Range": "0-99999"}, {"Accept": "text/csv"}]
    for given in headers:
        answer = target.a.send("GET", path, headers=given)
        if is_refused(path, answer):
            continue
        if "Accept" in given:
            assert (answer.status_code, answer.text.strip()) == (200, "")
        else:
            assert is_nothing(answer), answer.text
    head = target.a.send("HEAD", path)
    if path not in EMBEDDED or head.status_code != 413:
        assert (head.status_code, head.headers["Content-Range"]) == (200, "*/0")


def test_the_filters_find_what_is_there(target):
    for path in FILTERS:
        found = target.service.http.get(path, headers=target.service.headers)
        assert found.json(), path
        assert "a-session" not in found.text


@pytest.mark.parametrize("path", EVERYTHING)
def test_everything_is_what_is_the_users(target, path):
    answer = target.a.send("GET", path)
    assert {next(iter(row.values())) for row in answer.json()} == EVERYTHING[path]
    assert answer.headers["Content-Range"].endswith(f"/{len(answer.json())}")


@pytest.mark.parametrize("what", MISSES)
def test_no_row_of_another_is_changed(target, what):
    mine = target.rows()
    assert is_nothing(target.a.send(*MISSES[what]))
    assert target.rows() == mine


@pytest.mark.parametrize("what", REFUSED)
def test_a_user_is_refused(target, what):
    code, request = REFUSED[what]
    before = target.rows()
    answer = target.a.send(*request)
    assert code_of(answer) == code, answer.text
    assert target.rows() == before


@pytest.mark.parametrize("table", [ITEM, SESSION, DOCUMENT])
def test_everything_changed_or_removed_is_the_users(target, table):
    own = len(target.rows()[table.removeprefix("parlant_store_")])
    others = target.others()
    own -= len(others[table.removeprefix("parlant_store_")])
    moment = "created_at" if table == ITEM else "expires_at"
    assert len(target.a.send("PATCH", table, {moment: "2031-01-01"}).json()) == own
    target.a.send("DELETE", ITEM)
    target.a.send("DELETE", table)
    assert target.rows() == others | {
        name: rows
        for name, rows in target.rows().items()
        if f"parlant_store_{name}" not in (table, ITEM)
    }
    assert target.others() == others


# Who is not let in


def soon(**claims: Any) -> dict[str, Any]:
    return {"role": "authenticated", "sub": B, "exp": 2_000_000_000} | claims


STRANGERS: dict[str, Callable[[Target], dict[str, str]]] = {
    "anon": lambda t: {"apikey": t.stack.anon_key},
    "publishable": lambda t: {"apikey": t.stack.publishable_key},
    "anon as a user": lambda t: bearer(t, soon(role="anon")),
    "a token without a role": lambda t: bearer(t, {"sub": B}),
    "a token with no role": lambda t: bearer(t, soon(role=None)),
    "no token but a password": lambda t: {"Authorization": "Basic cG9zdGdyZXM6"},
    "another secret": lambda t: given(t.stack.sign(soon(), "x" * 40)),
    "no signature": lambda t: given(unsigned(soon())),
    "the signature cut off": lambda t: given(t.stack.user_token(B).rpartition(".")[0] + "."),
    "another's signature": lambda t: given(swapped(t.stack.user_token(A), t.stack.user_token(B))),
    "the service with another secret": lambda t: given(
        t.stack.sign(soon(role="service_role"), t.stack.publishable_key.ljust(40))
    ),
    "the service unsigned": lambda t: given(unsigned(soon(role="service_role"))),
    "a token that is none": lambda t: given("a.b.c"),
    "expired": lambda t: given(t.stack.user_token(B, expires_in=-60)),
    "not yet valid": lambda t: bearer(t, soon(nbf=1_999_999_999)),
    "postgres": lambda t: bearer(t, soon(role="postgres")),
    "authenticator": lambda t: bearer(t, soon(role="authenticator")),
    "a role that is not there": lambda t: bearer(t, soon(role="'; reset role; --")),
    "roles": lambda t: bearer(t, soon(role=["service_role", "authenticated"])),
    "an unknown key": lambda t: {"apikey": "sb_secret_guessed"},
    "no key": lambda t: {"apikey": ""},
}


def given(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def bearer(target: Target, claims: dict[str, Any]) -> dict[str, str]:
    return given(target.stack.sign(claims))


def swapped(signed: str, told: str) -> str:
    return ".".join([*told.split(".")[:2], signed.split(".")[2]])


NOWHERE = {"PGRST202", "42501", "PGRST301", "22023", "None"}
"""What strangers are told: no function, permission denied, a bad token, no role, an unknown key."""


WITH_A_ROLE = {"anon", "publishable", "anon as a user", "expired", "authenticator"}


@pytest.mark.parametrize("who", STRANGERS)
def test_strangers_are_refused(target, who):
    """Those who are sent away at the door try every tenth way alone."""
    stranger = Attacker(target.http, target.attacker().headers | STRANGERS[who](target))
    before = target.rows()
    each = slice(None, None, 1 if who in WITH_A_ROLE else 10)
    for path in [*EVERYTHING][each]:
        assert code_of(stranger.send("GET", path)) in NOWHERE, path
    for what, request in [*MISSES.items()][each]:
        assert code_of(stranger.send(*request)) in NOWHERE, what
    for what, (code, request) in [*REFUSED.items()][each]:
        # What is not there for users is not there for strangers.
        assert code_of(stranger.send(*request)) in NOWHERE | ({code} - {TAKEN}), what
    for function, parameters in [*target.functions().items()][each]:
        answer = stranger.call(function, dict.fromkeys(parameters))
        assert code_of(answer) in NOWHERE, function
    assert target.rows() == before


@pytest.mark.parametrize("which", ["anon_key", "publishable_key"])
def test_the_public_is_told_of_nothing(target, which):
    told = target.attacker(key=getattr(target.stack, which)).send("GET", "")
    assert told.status_code == 200
    assert "parlant" not in told.text
    assert SESSION in target.a.send("GET", "").text


# A signed token without a user is nobody's, or is refused for what it says.
NOBODIES: dict[str, tuple[set[str], dict[str, Any]]] = {
    "without a user": (set(), {}),
    "null": (set(), {"sub": None}),
    "empty": ({"22P02"}, {"sub": ""}),
    "no UUID": ({"22P02"}, {"sub": f"{B}' or true --"}),
    "a list": ({"PGRST301"}, {"sub": [B]}),
    "an object": ({"PGRST301"}, {"sub": {"id": B}}),
    "a number": ({"PGRST301"}, {"sub": 11}),
    "elsewhere": (set(), {"user_metadata": {"sub": B}, "app_metadata": {"sub": B}, "email": B}),
}


@pytest.mark.parametrize("who", NOBODIES)
def test_a_token_of_nobody(target, who):
    codes, claims = NOBODIES[who]
    nobody = target.attacker(target.stack.sign({"role": "authenticated"} | claims))
    before = target.rows()
    for path in (*FILTERS, *EVERYTHING):
        answer = nobody.send("GET", path)
        # A collection that is closed is not looked into, whoever asks.
        assert code_of(answer) in codes or is_refused(path, answer) or is_nothing(answer), path
    for what, request in MISSES.items():
        answer = nobody.send(*request)
        assert is_nothing(answer) or code_of(answer) in codes | {DENIED}, what
    for what, (code, request) in REFUSED.items():
        answer = nobody.send(*request)
        assert is_nothing(answer) or code_of(answer) in codes | {DENIED, code}, what
    assert target.rows() == before


@pytest.mark.parametrize(
    "claims",
    [
        {"user_metadata": {"sub": B, "role": "service_role"}, "app_metadata": {"sub": B}},
        {"email": B, "user_id": B, "uid": B, "id": B, "Sub": B, " sub": B},
        {"request.jwt.claim.sub": B, "claims": {"sub": B}},
        {"roles": ["service_role"], "is_anonymous": True, "aud": "service_role"},
    ],
    ids=repr,
)
def test_claims_that_name_another(target, claims):
    impostor = target.attacker(target.stack.user_token(A, **claims))
    for path in FILTERS:
        answer = impostor.send("GET", path)
        assert is_refused(path, answer) or is_nothing(answer), path
    for path, own in EVERYTHING.items():
        assert {next(iter(row.values())) for row in impostor.send("GET", path).json()} == own
