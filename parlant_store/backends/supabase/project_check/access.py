"""Checks of what anonymous clients and users can see of a project."""

from datetime import UTC, datetime
from typing import Any

from parlant_store.backends.supabase.project_check.findings import (
    AGAIN,
    CLOSE,
    KEYS,
    Finding,
    fail,
    names_of,
    ok,
    own_tables,
    plural,
    skip,
)
from parlant_store.backends.supabase.rest.answers import Answer
from parlant_store.backends.supabase.rest.requests import Rest
from parlant_store.backends.supabase.rest.shapes import list_of, optional, record, text

MANY = 100
"""Limit on the counted rows that a user sees."""

_NO_SESSION = "parlant_store_check"
"""A name that no session has."""


def seen_by_anon(rest: Rest, key: str | None) -> Finding:
    about = "anon"
    if key is None:
        return skip(about, "needs the public key: --anon-key or SUPABASE_ANON_KEY")
    anon = rest.with_key(key=key)
    role = anon.claims.get("role", "anon")
    if role != "anon":
        return fail(about, f"the key for anon has the role {role}", f"Use the public key {KEYS}.")
    answers = _answers_to_anon(anon)
    for answer in answers.values():
        if answer.key_refused:
            return fail(
                about,
                f"the key was refused: {answer.message}",
                f"Use a public key of this project {KEYS}.",
            )
        if not (answer.good or answer.denied):
            message = f"no clear answer: {answer.status or ''} {answer.message}"
            return fail(about, message, AGAIN)
    if seen := [name for name, answer in answers.items() if _shows(name, answer)]:
        return fail(
            about,
            f"everybody who has the public key gets an answer from {names_of(seen)}",
            CLOSE,
        )
    return ok(about, "sees nothing, calls nothing")


def _answers_to_anon(anon: Rest) -> dict[str, Answer]:
    now = datetime.now(UTC).isoformat()
    named = {"namespace": _NO_SESSION, "session_id": _NO_SESSION, "now": now}
    calls: dict[str, dict[str, Any]] = {
        "status": {},
        "get_session": named,
        "get_items": {**named, "limit": 1},
        "list_collections": {"now": now},
    }
    return {
        **{
            table: anon.rows(table, list_of(record()), columns="*", limit=1)
            for table in own_tables()
        },
        **{f"parlant_store_{name}()": anon.call(name, **args) for name, args in calls.items()},
    }


def _shows(name: str, answer: Answer) -> bool:
    """Whether anon got a row, or any answer of a function."""
    return answer.good and (name.endswith("()") or bool(answer.body))


def seen_by_user(rest: Rest, token: str | None, anon_key: str | None) -> Finding:
    about = "user"
    if token is None:
        return skip(about, "needs a user's JWT: --user-token or SUPABASE_USER_TOKEN")
    user = rest.with_key(key=anon_key, token=token)
    if user.claims.get("role") in ("anon", "service_role"):
        message = f"the token is not a user's: its role is {user.claims['role']}"
        return fail(about, message, "Use the access token of a user who signed in.")
    who = f"{user.claims.get('sub', 'the user')}"
    sessions = user.rows(
        "parlant_store_session",
        list_of(record(user_id=optional(text))),
        columns="user_id",
        limit=MANY + 1,
    )
    documents = user.rows(
        "parlant_store_document", list_of(record()), columns="key", limit=MANY + 1
    )
    for answer in (sessions, documents):
        if answer.key_refused:
            message = f"the token was refused: {answer.message}"
            return fail(about, message, "Sign in again and use the new access token.")
        if not (answer.good or answer.denied):
            message = f"no clear answer: {answer.status or ''} {answer.message}"
            return fail(about, message, AGAIN)
    owners = {row["user_id"] for row in sessions.body} if sessions.good else set()
    if len(owners) > 1:
        return fail(
            about,
            f"{who} sees sessions of {len(owners)} owners",
            "Run what manage.py supabase_rls --policy owner prints, in the SQL editor.",
        )
    if sessions.denied and documents.denied:
        return ok(about, f"{who} sees nothing: users have no access")
    seen = f"{_count(sessions, 'session')} and {_count(documents, 'document')}"
    return ok(about, f"{who} sees {seen}")


def _count(answer: Answer, what: str) -> str:
    number = len(answer.body) if answer.good else 0
    return f"more than {MANY} {what}s" if number > MANY else plural(number, what)
