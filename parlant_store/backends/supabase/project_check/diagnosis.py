"""Checks of a Supabase project, over the REST API only."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from parlant_store.backends.supabase.project_check.access import seen_by_anon, seen_by_user
from parlant_store.backends.supabase.project_check.findings import (
    AGAIN,
    CLOSE,
    KEYS,
    Finding,
    Outcome,
    fail,
    names_of,
    ok,
    own_tables,
    plural,
    skip,
)
from parlant_store.backends.supabase.rest.answers import Answer
from parlant_store.backends.supabase.rest.requests import CHECK_SECONDS, Rest
from parlant_store.backends.supabase.rest.shapes import STATUS, integer, list_of, record, text
from parlant_store.exceptions import AccessDenied, StoreError
from parlant_store.sql.functions import names as function_names
from parlant_store.sql.functions import version
from parlant_store.sql.supabase.policies import SERVICE_ONLY

if TYPE_CHECKING:
    from parlant_store.backends.supabase import SupabaseBackend

NAMESPACE = "parlant_store_check"
"""The namespace of the session that the check writes and reads."""

MAX_SKEW = timedelta(seconds=5)
_SQL = "Run what manage.py supabase_sql prints, with your --schema and --policy, in the SQL editor"
_RLS = "Run what manage.py supabase_rls prints, with your --schema and --policy, in the SQL editor"
_GUESTS = ("anon", "authenticated")
_INTERNAL = "parlant_store_request"
"""The table that functions use for users."""


def diagnose(
    store: "SupabaseBackend",
    *,
    anon_key: str | None = None,
    user_token: str | None = None,
    write: bool = True,
) -> Iterator[Finding]:
    """Yield each finding; checks that cannot succeed after an earlier FAIL are left out.

    anon_key: the public key of the project, to check what everybody can see.
    user_token: a user's JWT, to check what this user can see.
    write: whether to write, read and delete a session.
    """
    try:
        rest = store.connection.rest(CHECK_SECONDS)
    except AccessDenied:
        yield skip("access token", "access_token returns none outside of a request; not checked")
        return
    before = store.clock()
    answer = rest.call("status", _is_status)
    after = store.clock()
    if not answer.unsent:
        reached = _url(answer)
        yield reached
        if reached.outcome is Outcome.FAIL:
            return
    if answer.key_refused:
        yield _refused_key(rest, answer)
        return
    yield _key(rest, answer)
    if not answer.good:
        yield _refused(rest, answer)
        return
    status = answer.body
    yield _version(status)
    if status["version"] == version():
        yield _functions(status)
        yield _tables(status)
        yield _security(status["tables"])
        yield _guests(status)
        yield _others(status["open"])
        yield _clock(status["now"], before, after)
        yield _row_limit(rest.call("rows", list_of(integer)))
        if write:
            yield _writing(store)
    yield seen_by_anon(rest, anon_key)
    yield seen_by_user(rest, user_token, anon_key)


def _is_status(value: Any) -> bool:
    """Whether it is a result of parlant_store_status; that of old versions has other fields."""
    is_any = record(version=text, role=text)(value)
    return is_any and (value["version"] != version() or STATUS(value))


def _url(answer: Answer) -> Finding:
    if answer.status is None:
        return fail(
            "URL",
            f"no answer: {answer.message}",
            "Compare the url with that of the project (dashboard: Project Settings > Data API), "
            "and check whether the project is paused.",
        )
    if answer.status >= 500:
        return fail(
            "URL",
            f"answers {answer.status}: {answer.message}",
            "Check the status of the project in the dashboard: it may be paused, or starting.",
        )
    if answer.good or answer.status in (401, 403) or answer.code:
        return ok("URL", "reached")
    return fail(
        "URL",
        f"something answers, but not the REST API of Supabase: {answer.status} {answer.message}",
        "Use the url of the project, as https://name.supabase.co, without a path.",
    )


def _refused_key(rest: Rest, answer: Answer) -> Finding:
    if rest.has_token:
        return fail(
            "access token",
            f"refused: {answer.message}",
            "Use a token of this project that has not expired; access_token may be a function.",
        )
    return fail(
        "key",
        f"refused: {answer.message}",
        f"Use a key of this project {KEYS}; older keys, which are JWTs, end in 2026.",
    )


def _key(rest: Rest, answer: Answer) -> Finding:
    role = answer.body["role"] if answer.good else rest.claims.get("role")
    return ok("key", f"accepted; the role is {role}" if role else "accepted")


def _refused(rest: Rest, answer: Answer) -> Finding:
    """Return why the role gets no answer of the functions."""
    role = rest.claims.get("role")
    if answer.code == "PGRST106":
        return fail(
            "schema",
            f"the API does not expose the schema {rest.schema!r}",
            "Expose it (dashboard: Project Settings > Data API > Exposed schemas), or correct the "
            "store's schema.",
        )
    if answer.code in ("PGRST202", "42883"):
        return fail(
            "functions",
            f"missing in the schema {rest.schema!r}",
            f"{_SQL}. If that was done: notify pgrst, 'reload schema';",
        )
    if answer.code == "42501" and role == "anon":
        return fail(
            "role",
            "anon may not use the store, and this is the public key",
            f"Use the secret key {KEYS} in the store, or an access_token with this key.",
        )
    if answer.code == "42501":
        return fail(
            "role",
            f"{role or 'it'} may not use the store: {answer.message}",
            f"{_RLS}: with --policy owner users may use it.",
        )
    message = f"the answer is {answer.status} {answer.code}: {answer.message}"
    return fail("functions", message, f"{_SQL}.")


def _version(status: dict[str, Any]) -> Finding:
    if status["version"] == version():
        return ok("version", f"{version()}, as this package's")
    return fail(
        "version",
        f"the functions are {status['version']}, this package's are {version()}",
        f"{_SQL}; or install the version of the package that they are from.",
    )


def _functions(status: dict[str, Any]) -> Finding:
    callers = {function["name"]: function["may"] for function in status["functions"]}
    expected = set(function_names())
    if missing := expected - callers.keys():
        return fail("functions", f"missing: {names_of(missing)}", f"{_SQL}.")
    role = status["role"]
    service_only = set(SERVICE_ONLY) if role in _GUESTS else set()
    if refused := {name for name in expected - service_only if role not in callers[name]}:
        return fail("functions", f"{role} may not call {names_of(refused)}", f"{_RLS}.")
    return ok("functions", f"{len(expected)} there")


def _tables(status: dict[str, Any]) -> Finding:
    privileges = {table["name"]: table["may"] for table in status["tables"]}
    if missing := set(own_tables()) - privileges.keys():
        return fail("tables", f"missing: {names_of(missing)}", f"{_SQL}.")
    verbs = ("select", "insert", "update", "delete")
    internal = {_INTERNAL} if status["role"] in _GUESTS else set()
    used = [name for name in own_tables() if name not in internal]
    refused = {verb for name in used for verb in verbs if verb not in privileges[name]}
    if refused:
        message = f"{status['role']} lacks the grants to {names_of(refused)} in some of the tables"
        return fail("tables", message, f"{_RLS}.")
    return ok("tables", f"{len(privileges)} there; PostgreSQL {status['postgresql']}")


def _security(tables: Sequence[dict[str, Any]]) -> Finding:
    if bare := [table["name"] for table in tables if not table["secured"]]:
        return fail("row security", f"off for {names_of(bare)}", f"{_RLS}.")
    names = {name.removeprefix("parlant_store_") for table in tables for name in table["policies"]}
    return ok("row security", f"on for all of them; policies: {names_of(names) or 'none'}")


def _guests(status: dict[str, Any]) -> Finding:
    """Check the grants of anon, the role of everybody who has the public key."""
    seen = [table["name"] for table in status["tables"] if "anon" in table["open_to"]]
    called = [function["name"] for function in status["functions"] if "anon" in function["may"]]
    if seen or called:
        may = [f"use {names_of(seen)}"] if seen else []
        may += [f"call {plural(len(called), 'function')}"] if called else []
        return fail(
            "grants",
            f"everybody who has the public key may {' and '.join(may)}",
            CLOSE,
        )
    return ok("grants", "none for anon")


def _others(names: Sequence[str]) -> Finding:
    if names:
        return fail(
            "other tables",
            f"everybody who has the public key, or any user, can read {names_of(names)}",
            "Run what manage.py supabase_rls --lock-django prints, with your --policy: it closes "
            "Django's tables; turn row level security on for others.",
        )
    return ok("other tables", "none that anon or every user may read")


def _clock(server: float, before: datetime, after: datetime) -> Finding:
    """Compare the clock of the store, in the middle of the request, with that of the server."""
    middle = before + (after - before) / 2
    skew = middle.astimezone(UTC) - datetime.fromtimestamp(server, UTC)
    seconds = skew.total_seconds()
    if abs(skew) - (after - before) / 2 > MAX_SKEW:
        direction = "ahead of" if seconds > 0 else "behind"
        return fail(
            "clock",
            f"the store's is {abs(seconds):,.0f} s {direction} the server's: sessions expire too "
            + ("early" if seconds > 0 else "late"),
            "Let NTP set this machine's clock, as timedatectl set-ntp true does.",
        )
    return ok("clock", f"{abs(seconds):.1f} s from the server's")


def _row_limit(answer: Answer) -> Finding:
    if not answer.good:
        return fail("row limit", f"answers {answer.status}: {answer.message}", f"{_RLS}.")
    number = len(answer.body)
    limit = f"{number:,} rows per answer" if number <= 10_000 else "above 10,000 rows per answer"
    return ok("row limit", f"{limit}; the store does not depend on it")


def _writing(store: "SupabaseBackend") -> Finding:
    session_id = str(uuid.uuid4())
    item = {"role": "user", "content": "supabase_check"}
    try:
        store.add_items(session_id, [item], namespace=NAMESPACE, ttl_seconds=60)
        items = store.get_items(session_id, namespace=NAMESPACE)
        store.delete_session(session_id, namespace=NAMESPACE)
    except AccessDenied as exc:
        return fail("writing", str(exc), f"{_RLS}.")
    except StoreError as exc:
        return fail("writing", str(exc), AGAIN)
    if items != [item]:
        return fail(
            "writing",
            "a session that was written could not be read back",
            f"{_RLS}.",
        )
    return ok("writing", "a session was written, read back and deleted")
