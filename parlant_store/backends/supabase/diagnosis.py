"""What stands between a store and its project of Supabase, asked over the REST API alone."""

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.apps import apps

from parlant_store.backends.supabase.rest import Answer, Rest
from parlant_store.exceptions import AccessDenied, StoreError
from parlant_store.sql.functions import functions_sql, version
from parlant_store.sql.supabase.policies import SERVICE_ONLY

if TYPE_CHECKING:
    from parlant_store.backends.supabase import SupabaseBackend

NAMESPACE = "parlant_store_check"
"""Where the session is that is written and read back."""

MAX_SKEW = timedelta(seconds=5)
MANY = 100
"""Rows that are counted of what a user sees."""

_SQL = "Run what manage.py supabase_sql prints, with your --schema and --policy, in the SQL editor"
_RLS = "Run what manage.py supabase_rls prints, with your --schema and --policy, in the SQL editor"
_CLOSE = "Run what manage.py supabase_rls --policy service prints, or --policy owner."
_KEYS = "(dashboard: Project Settings > API Keys)"
_AGAIN = "Run this again; the project's logs may say more."
_GUESTS = ("anon", "authenticated")


class Outcome(StrEnum):
    OK = "OK"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one probe found. No key and no token stands in it."""

    outcome: Outcome
    about: str
    """The probe, in a word or two."""

    said: str
    mend: str = ""
    """What to do about a FAIL; empty otherwise."""


def diagnose(
    store: "SupabaseBackend",
    rest: Rest,
    *,
    anon_key: str | None = None,
    user_token: str | None = None,
    write: bool = True,
) -> Iterator[Finding]:
    """Each finding as soon as it is there; probes that an earlier FAIL makes void are left out.

    rest: the API as the store sees it.
    anon_key: the project's public key, to see what everybody sees.
    user_token: a user's JWT, to see what that user sees.
    write: whether a session is written, read back and deleted.
    """
    before = store.clock()
    answer = rest.call("status")
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
    here = answer.body
    yield _version(here)
    if here["version"] == version():
        yield _functions(here)
        yield _tables(here)
        yield _security(here["tables"])
        yield _guests(here)
        yield _others(here["open"])
        yield _clock(here["now"], before, after)
        yield _row_limit(rest.call("rows"))
        if write:
            yield _writing(store)
    yield _anon(rest, anon_key)
    yield _user(rest, user_token, anon_key)


def _ok(about: str, said: str) -> Finding:
    return Finding(outcome=Outcome.OK, about=about, said=said)


def _fail(about: str, said: str, mend: str) -> Finding:
    return Finding(outcome=Outcome.FAIL, about=about, said=said, mend=mend)


def _skip(about: str, said: str) -> Finding:
    return Finding(outcome=Outcome.SKIP, about=about, said=said)


def _url(answer: Answer) -> Finding:
    if answer.status is None:
        return _fail(
            "URL",
            f"no answer: {answer.said}",
            "Compare the url with the project's (dashboard: Project Settings > Data API), and look "
            "whether it is paused.",
        )
    if answer.status >= 500:
        return _fail(
            "URL",
            f"answers {answer.status}: {answer.said}",
            "See the project's status in the dashboard: it may be paused, or starting.",
        )
    known = isinstance(answer.body, dict) and "version" in answer.body
    if known or answer.status in (401, 403) or answer.code:
        return _ok("URL", "reached")
    return _fail(
        "URL",
        f"something answers, but not the REST API of Supabase: {answer.status} {answer.said}",
        "Give the project's url alone, as https://name.supabase.co, with no path.",
    )


def _refused_key(rest: Rest, answer: Answer) -> Finding:
    if rest.has_token:
        return _fail(
            "access token",
            f"refused: {answer.said}",
            "Give a token of this project that has not expired; access_token may be a function.",
        )
    return _fail(
        "key",
        f"refused: {answer.said}",
        f"Give a key of this project {_KEYS}; older keys, which are JWTs, end in 2026.",
    )


def _key(rest: Rest, answer: Answer) -> Finding:
    role = answer.body["role"] if answer.good else rest.claims.get("role")
    return _ok("key", f"accepted; the role is {role}" if role else "accepted")


def _refused(rest: Rest, answer: Answer) -> Finding:
    """Why the functions give this role no answer."""
    role = rest.claims.get("role")
    if answer.code == "PGRST106":
        return _fail(
            "schema",
            f"the API does not show the schema {rest.schema!r}",
            "Expose it (dashboard: Project Settings > Data API > Exposed schemas), or correct the "
            "store's schema.",
        )
    if answer.code in ("PGRST202", "42883"):
        return _fail(
            "functions",
            f"missing in the schema {rest.schema!r}",
            f"{_SQL}. If that was done: notify pgrst, 'reload schema';",
        )
    if answer.code == "42501" and role == "anon":
        return _fail(
            "role",
            "anon may not use the store, and this is the public key",
            f"Give the store the secret key {_KEYS}, or an access_token beside this key.",
        )
    if answer.code == "42501":
        return _fail(
            "role",
            f"{role or 'it'} may not use the store: {answer.said}",
            f"{_RLS}: with --policy owner users may use it.",
        )
    said = f"the answer is {answer.status} {answer.code}: {answer.said}"
    return _fail("functions", said, f"{_SQL}.")


def _version(here: dict[str, Any]) -> Finding:
    if here["version"] == version():
        return _ok("version", f"{version()}, as this package's")
    return _fail(
        "version",
        f"the functions are {here['version']}, this package's are {version()}",
        f"{_SQL}; or install the package that they are of.",
    )


def _functions(here: dict[str, Any]) -> Finding:
    found = {function["name"]: function["may"] for function in here["functions"]}
    expected = set(re.findall(r"function \w+\.(parlant_store_\w+)", functions_sql("s")))
    if missing := expected - found.keys():
        return _fail("functions", f"missing: {_names(missing)}", f"{_SQL}.")
    role = here["role"]
    allowed = set(SERVICE_ONLY) if role in _GUESTS else set()
    if refused := {name for name in expected - allowed if role not in found[name]}:
        return _fail("functions", f"{role} may not call {_names(refused)}", f"{_RLS}.")
    return _ok("functions", f"{len(expected)} there")


def _tables(here: dict[str, Any]) -> Finding:
    found = {table["name"]: table["may"] for table in here["tables"]}
    if missing := set(_own_tables()) - found.keys():
        return _fail("tables", f"missing: {_names(missing)}", f"{_SQL}.")
    verbs = ("select", "insert", "update", "delete")
    refused = {verb for name in _own_tables() for verb in verbs if verb not in found[name]}
    if refused:
        said = f"{here['role']} lacks the grants to {_names(refused)} in some of the tables"
        return _fail("tables", said, f"{_RLS}.")
    return _ok("tables", f"{len(found)} there; PostgreSQL {here['postgresql']}")


def _security(tables: Sequence[dict[str, Any]]) -> Finding:
    if bare := [table["name"] for table in tables if not table["secured"]]:
        return _fail("row security", f"off for {_names(bare)}", f"{_RLS}.")
    names = {name.removeprefix("parlant_store_") for table in tables for name in table["policies"]}
    return _ok("row security", f"on for all of them; policies: {_names(names) or 'none'}")


def _guests(here: dict[str, Any]) -> Finding:
    """What the catalog says of anon, who is everybody."""
    seen = [table["name"] for table in here["tables"] if "anon" in table["open_to"]]
    called = [function["name"] for function in here["functions"] if "anon" in function["may"]]
    if seen or called:
        may = [f"use {_names(seen)}"] if seen else []
        may += [f"call {_plural(len(called), 'function')}"] if called else []
        return _fail(
            "grants",
            f"whoever has the public key may {' and '.join(may)}",
            _CLOSE,
        )
    return _ok("grants", "none for anon")


def _others(names: Sequence[str]) -> Finding:
    if names:
        return _fail(
            "other tables",
            f"whoever has the public key, or any user, can read {_names(names)}",
            "Run what manage.py supabase_rls --lock-django prints, with your --policy: it closes "
            "Django's tables; turn row level security on for others.",
        )
    return _ok("other tables", "none that anon or every user may read")


def _clock(server: float, before: datetime, after: datetime) -> Finding:
    """The store's clock against the server's, in the middle of the request."""
    middle = before + (after - before) / 2
    skew = middle.astimezone(UTC) - datetime.fromtimestamp(server, UTC)
    seconds = skew.total_seconds()
    if abs(skew) - (after - before) / 2 > MAX_SKEW:
        direction = "ahead of" if seconds > 0 else "behind"
        return _fail(
            "clock",
            f"the store's is {abs(seconds):,.0f} s {direction} the server's: sessions expire too "
            + ("early" if seconds > 0 else "late"),
            "Let NTP set this machine's clock, as timedatectl set-ntp true does.",
        )
    return _ok("clock", f"{abs(seconds):.1f} s from the server's")


def _row_limit(answer: Answer) -> Finding:
    if not answer.good:
        return _fail("row limit", f"answers {answer.status}: {answer.said}", f"{_RLS}.")
    number = len(answer.body)
    limit = f"{number:,} rows per answer" if number <= 10_000 else "above 10,000 rows per answer"
    return _ok("row limit", f"{limit}; the store does not depend on it")


def _writing(store: "SupabaseBackend") -> Finding:
    session_id = str(uuid.uuid4())
    item = {"role": "user", "content": "supabase_check"}
    try:
        store.add_items(session_id, [item], namespace=NAMESPACE, ttl_seconds=60)
        found = store.get_items(session_id, namespace=NAMESPACE)
        store.delete_session(session_id, namespace=NAMESPACE)
    except AccessDenied as exc:
        return _fail("writing", str(exc), f"{_RLS}.")
    except StoreError as exc:
        return _fail("writing", str(exc), _AGAIN)
    if found != [item]:
        return _fail(
            "writing",
            "a session that was written could not be read back",
            f"{_RLS}.",
        )
    return _ok("writing", "a session was written, read back and deleted")


def _anon(rest: Rest, key: str | None) -> Finding:
    about = "anon"
    if key is None:
        return _skip(about, "needs the public key: --anon-key or SUPABASE_ANON_KEY")
    anon = rest.seen_with(key=key)
    role = anon.claims.get("role", "anon")
    if role != "anon":
        return _fail(about, f"the key given for anon is one of {role}", f"Give the other {_KEYS}.")
    answers = _asked_of_anon(anon)
    for answer in answers.values():
        if answer.key_refused:
            return _fail(
                about,
                f"the key was refused: {answer.said}",
                f"Give a public key of this project {_KEYS}.",
            )
        if not (answer.good or answer.denied):
            said = f"no clear answer: {answer.status or ''} {answer.said}"
            return _fail(about, said, _AGAIN)
    if seen := [name for name, answer in answers.items() if _shows(name, answer)]:
        return _fail(
            about,
            f"whoever has the public key gets an answer from {_names(seen)}",
            _CLOSE,
        )
    return _ok(about, "sees nothing, calls nothing")


def _asked_of_anon(anon: Rest) -> dict[str, Answer]:
    now = datetime.now(UTC).isoformat()
    named = {"namespace": NAMESPACE, "session_id": NAMESPACE, "now": now}
    calls: dict[str, dict[str, Any]] = {
        "status": {},
        "get_session": named,
        "get_items": {**named, "limit": 1},
        "list_collections": {"now": now},
    }
    return {
        **{table: anon.rows(table, columns="*", limit=1) for table in _own_tables()},
        **{f"parlant_store_{name}()": anon.call(name, **given) for name, given in calls.items()},
    }


def _shows(name: str, answer: Answer) -> bool:
    """Whether anon got something: a row, or any answer of a function."""
    return answer.good and (name.endswith("()") or bool(answer.body))


def _user(rest: Rest, token: str | None, anon_key: str | None) -> Finding:
    about = "user"
    if token is None:
        return _skip(about, "needs a user's JWT: --user-token or SUPABASE_USER_TOKEN")
    user = rest.seen_with(key=anon_key, token=token)
    if user.claims.get("role") in ("anon", "service_role"):
        said = f"the token given is not a user's: its role is {user.claims['role']}"
        return _fail(about, said, "Give the access token of a user who signed in.")
    who = f"{user.claims.get('sub', 'the user')}"
    sessions = user.rows("parlant_store_session", columns="user_id", limit=MANY + 1)
    documents = user.rows("parlant_store_document", columns="key", limit=MANY + 1)
    for answer in (sessions, documents):
        if answer.key_refused:
            said = f"the token was refused: {answer.said}"
            return _fail(about, said, "Sign in again and give the new access token.")
        if not (answer.good or answer.denied):
            said = f"no clear answer: {answer.status or ''} {answer.said}"
            return _fail(about, said, _AGAIN)
    owners = {row["user_id"] for row in sessions.body} if sessions.good else set()
    if len(owners) > 1:
        return _fail(
            about,
            f"{who} sees sessions of {len(owners)} owners",
            "Run what manage.py supabase_rls --policy owner prints, in the SQL editor.",
        )
    if sessions.denied and documents.denied:
        return _ok(about, f"{who} sees nothing: users have no access")
    seen = f"{_count(sessions, 'session')} and {_count(documents, 'document')}"
    return _ok(about, f"{who} sees {seen}")


def _count(answer: Answer, what: str) -> str:
    number = len(answer.body) if answer.good else 0
    return f"more than {MANY} {what}s" if number > MANY else _plural(number, what)


def _plural(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _own_tables() -> list[str]:
    models = apps.get_app_config("parlant_store").get_models()
    return sorted(model._meta.db_table for model in models)


def _names(names: Sequence[str] | set[str]) -> str:
    """The first few, in order."""
    ordered = sorted(names)
    shown = ordered if len(ordered) <= 6 else ordered[:5]
    more = len(ordered) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
