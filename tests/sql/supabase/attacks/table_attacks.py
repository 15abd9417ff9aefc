"""What a user asks of PostgREST about the rows of another."""

from typing import Any

from tests.sql.supabase.attacks import thread_attacks
from tests.sql.supabase.attacks.attackers import (
    A_KEY,
    A_THREAD,
    AGENTS,
    B_KEY,
    B_REQUEST,
    EVENTS,
    SESSIONS,
    A,
    B,
)

DENIED, TAKEN, TOO_MUCH = "42501", "23505", "54000"
SESSION, ITEM = "parlant_store_session", "parlant_store_session_item"
DOCUMENT, REQUEST = "parlant_store_document", "parlant_store_request"

# What finds rows of B's, and nothing of A's.
FILTERS = [
    f"{SESSION}?user_id=eq.{B}",
    f"{SESSION}?user_id=neq.{A}",
    f"{SESSION}?user_id=not.eq.{A}",
    f"{SESSION}?user_id=is.null",
    f"{SESSION}?user_id=isdistinct.{A}",
    f"{SESSION}?or=(user_id.eq.{B},user_id.is.null)",
    f"{SESSION}?or=(user_id.not.eq.{A},and(user_id.gte.0,user_id.neq.{A}))",
    f"{SESSION}?not.and=(user_id.eq.{A},key.not.is.null)",
    f"{SESSION}?key=eq.{B_KEY}",
    f'{SESSION}?session_id=in.(b-session,"b-expired",nobodys)',
    f"{SESSION}?session_id=like.b-*",
    f"{SESSION}?session_id=match.^[Bb]-",
    f"{SESSION}?session_id=gte.b",
    f"{SESSION}?metadata->>note=not.is.null",
    f"{SESSION}?state->>note=like.*state&or=(session_id.eq.b-snapshot)",
    f"{SESSION}?session_id=eq.b-session&select=*,{ITEM}(*)",
    f"{SESSION}?select=*,{ITEM}!inner(*)&{ITEM}.session_key=eq.{B_KEY}",
    f"{SESSION}?key=lt.3",
    f"{ITEM}?session_key=eq.{B_KEY}",
    f"{ITEM}?session_key=eq.{B_KEY}&select=*,{SESSION}(*)",
    f"{ITEM}?session_key=eq.{B_KEY}&select=data,...{SESSION}(metadata,user_id)",
    f"{ITEM}?select=*,{SESSION}!inner(*)&{SESSION}.user_id=eq.{B}",
    f"{ITEM}?terms=fts.hush",
    f"{ITEM}?text=phfts.item hush",
    f"{ITEM}?data=ilike.*HUSH*",
    f"{DOCUMENT}?customer_id=eq.{B}",
    f"{DOCUMENT}?customer_id=neq.{A}",
    f"{DOCUMENT}?session_id=eq.b-talk",
    f"{DOCUMENT}?or=(id.like.b-*,session_id.like.b-*,customer_id.eq.{B})",
    f"{DOCUMENT}?data->>customer_id=eq.{B}",
    f"{DOCUMENT}?data->>key=eq.{B}",
    f'{DOCUMENT}?data=cs.{{"session_id":"b-talk"}}',
    f"{DOCUMENT}?collection=eq.{AGENTS}",
    f"{DOCUMENT}?collection=like.*metadata",
    f"{DOCUMENT}?collection=eq.b-notes",
    f"{DOCUMENT}?key=eq.{B_KEY}",
    *thread_attacks.FILTERS,
]

EMBEDDED = {path for path in FILTERS if "(" in path.partition("select=")[2]}
"""Those that name two tables, which no request of a user may."""

# What finds everything that there is for who asks: A's own.
EVERYTHING = {
    f"{SESSION}?select=session_id": {"a-session"},
    f"{SESSION}?or=(user_id.eq.{A},user_id.not.eq.{A})&select=session_id": {"a-session"},
    f"{SESSION}?order=metadata->note.desc.nullslast&limit=100&select=session_id": {"a-session"},
    f"{ITEM}?select=text": {"plain words"},
    f"{DOCUMENT}?select=id": {"a-note", "a-talk", "a-event"},
    f"{DOCUMENT}?data->>id=not.is.null&select=id": {"a-note", "a-talk", "a-event"},
    **thread_attacks.EVERYTHING,
}

Request = tuple[str, str, Any, dict[str, str]]


def get(path: str, **headers: str) -> Request:
    return "GET", path, None, {name.replace("_", "-"): value for name, value in headers.items()}


def write(method: str, path: str, body: Any = None, prefer: str = "", **headers: str) -> Request:
    prefer = f"return=representation,count=exact,{prefer}".rstrip(",")
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return method, path, body, {"Prefer": prefer} | given


MERGE, IGNORE = "resolution=merge-duplicates", "resolution=ignore-duplicates"
BY_NAME, BY_ID = "on_conflict=namespace,session_id", "on_conflict=collection,id"
EMPTY: dict[str, Any] = {
    "namespace": "",
    "metadata": {},
    "state": {},
    "next_position": 0,
    "item_count": 0,
    "tokens": 0,
}
PLACE: dict[str, Any] = {"session_key": B_KEY, "position": 0, "data": "{}"}


def document(collection: str, data: Any, **columns: Any) -> dict[str, Any]:
    known = {name: data[name] for name in ("id", "session_id", "customer_id") if name in data}
    return {"collection": collection, "data": data} | known | columns


EVENT = {"id": "b-event", "session_id": "b-talk"}
OWN_EVENT = {"id": "b-event", "session_id": "a-talk"}
TALK = {"id": "b-talk", "customer_id": A}

# What changes or removes rows of B's, and finds none.
MISSES: dict[str, Request] = {
    "sessions of B's": write("PATCH", f"{SESSION}?user_id=eq.{B}", {"metadata": {}}),
    "B's session, taken": write("PATCH", f"{SESSION}?key=eq.{B_KEY}", {"user_id": A}),
    "sessions of all but A": write("PATCH", f"{SESSION}?user_id=neq.{A}", {"user_id": A}),
    "nobody's session, taken": write("PATCH", f"{SESSION}?user_id=is.null", {"user_id": A}),
    "B's items": write("PATCH", f"{ITEM}?session_key=eq.{B_KEY}", {"data": "{}"}),
    "B's items, moved to nowhere": write("PATCH", f"{ITEM}?terms=fts.hush", {"session_key": 0}),
    "B's documents": write("PATCH", f"{DOCUMENT}?customer_id=eq.{B}", {"customer_id": A}),
    "B's event": write("PATCH", f"{DOCUMENT}?id=eq.b-event", document(EVENTS, OWN_EVENT)),
    "the figures of B's talk": write(
        "PATCH",
        f"{DOCUMENT}?id=eq.b-talk",
        {"item_count": 9, "failed_calls": 9, "active_minute": 9, "terms": "'x'"},
    ),
    "B's failed calls": write("PATCH", f"{DOCUMENT}?id=eq.b-event", {"failed_calls": 9}),
    "B's value": write("PATCH", f"{DOCUMENT}?id=eq.b-value", {"customer_id": A}),
    "an agent": write("PATCH", f"{DOCUMENT}?collection=eq.{AGENTS}", {"data": {}}),
    "B's sessions, removed": write("DELETE", f"{SESSION}?user_id=eq.{B}"),
    "B's expired session, removed": write("DELETE", f"{SESSION}?session_id=eq.b-expired"),
    "B's items, removed": write("DELETE", f"{ITEM}?session_key=eq.{B_KEY}"),
    "what says hush, removed": write("DELETE", f"{ITEM}?or=(terms.fts.hush,text.like.*hush*)"),
    "B's documents, removed": write("DELETE", f"{DOCUMENT}?customer_id=neq.{A}"),
    "B's events, removed": write("DELETE", f"{DOCUMENT}?session_id=eq.b-talk"),
    "nobody's documents, removed": write(
        "DELETE", f"{DOCUMENT}?customer_id=is.null&id=not.like.a*"
    ),
    "B's session, if it were not there": write(
        "POST", f"{SESSION}?{BY_NAME}", EMPTY | {"session_id": "b-session"}, IGNORE
    ),
    "B's note, if it were not there": write(
        "POST",
        f"{DOCUMENT}?{BY_ID}",
        document("b-notes", {"id": "b-note", "customer_id": A}),
        IGNORE,
    ),
}

# What writes where A may not, or gives away what is A's.
REFUSED: dict[str, tuple[str, Request]] = {
    "a session of B's": (
        DENIED,
        write("POST", SESSION, EMPTY | {"session_id": "new", "user_id": B}),
    ),
    "a session of B's beside an own": (
        DENIED,
        write(
            "POST",
            SESSION,
            [EMPTY | {"session_id": "n", "user_id": A}, EMPTY | {"session_id": "m", "user_id": B}],
        ),
    ),
    "a session of B's as CSV": (
        DENIED,
        write(
            "POST",
            SESSION,
            f"namespace,session_id,user_id,metadata,state,next_position,item_count,tokens\n"
            f"n,n,{B},{{}},{{}},0,0,0",
            Content_Type="text/csv",
        ),
    ),
    "a session with a key": (
        DENIED,
        write("POST", SESSION, EMPTY | {"session_id": "n", "key": 10**6}),
    ),
    "B's session again": (TAKEN, write("POST", SESSION, EMPTY | {"session_id": "b-session"})),
    "B's session by its name": (
        DENIED,
        write("POST", f"{SESSION}?{BY_NAME}", EMPTY | {"session_id": "b-session"}, MERGE),
    ),
    "B's expired session by its name": (
        DENIED,
        write("POST", f"{SESSION}?{BY_NAME}", EMPTY | {"session_id": "b-expired"}, MERGE),
    ),
    "nobody's session by its name": (
        DENIED,
        write("POST", f"{SESSION}?{BY_NAME}", EMPTY | {"session_id": "nobodys"}, MERGE),
    ),
    "B's session by its key": (
        DENIED,
        write(
            "POST", f"{SESSION}?on_conflict=key", EMPTY | {"session_id": "n", "key": B_KEY}, MERGE
        ),
    ),
    "B's session by PUT": (
        DENIED,
        write(
            "PUT",
            f"{SESSION}?key=eq.{B_KEY}",
            EMPTY
            | {
                "key": B_KEY,
                "session_id": "b-session",
                "user_id": A,
                "full_names": None,
                "created_at": "2030-01-01",
                "updated_at": "2030-01-01",
                "expires_at": None,
            },
        ),
    ),
    "the own session for B": (DENIED, write("PATCH", SESSION, {"user_id": B})),
    "the own session for nobody": (DENIED, write("PATCH", SESSION, {"user_id": None})),
    "the own session as B's": (TAKEN, write("PATCH", SESSION, {"session_id": "b-session"})),
    "the own session with B's key": (DENIED, write("PATCH", SESSION, {"key": B_KEY})),
    "the own session with B's long name": (
        DENIED,
        write("PATCH", SESSION, {"full_names": '{"session_id": "b-session"}'}),
    ),
    "the own session's place in lists": (
        DENIED,
        write("PATCH", SESSION, {"active_minute": 9, "length_class": 9, "framework": "x"}),
    ),
    "a session with a place in lists": (
        DENIED,
        write("POST", SESSION, EMPTY | {"session_id": "n", "user_id": A, "active_minute": 9}),
    ),
    "an item in B's session": (DENIED, write("POST", ITEM, PLACE | {"position": 99})),
    "an item in B's session beside an own": (
        DENIED,
        write(
            "POST", ITEM, [PLACE | {"session_key": A_KEY, "position": 99}, PLACE | {"position": 99}]
        ),
    ),
    "an item in no session": (DENIED, write("POST", ITEM, PLACE | {"session_key": 10**9})),
    "B's item by its place": (
        DENIED,
        write("POST", f"{ITEM}?on_conflict=session_key,position", PLACE, MERGE),
    ),
    "B's item, if it were not there": (
        DENIED,
        write("POST", f"{ITEM}?on_conflict=session_key,position", PLACE, IGNORE),
    ),
    "B's item by its key": (
        DENIED,
        write("POST", f"{ITEM}?on_conflict=key", PLACE | {"key": B_KEY}, MERGE),
    ),
    "the own items in B's session": (DENIED, write("PATCH", ITEM, {"session_key": B_KEY})),
    "B's document": (
        DENIED,
        write("POST", DOCUMENT, document("notes", {"id": "n", "customer_id": B})),
    ),
    "B's talk again": (DENIED, write("POST", DOCUMENT, document(SESSIONS, TALK))),
    "B's talk by its id": (
        DENIED,
        write("POST", f"{DOCUMENT}?{BY_ID}", document(SESSIONS, TALK), MERGE),
    ),
    "B's note by its id": (
        DENIED,
        write(
            "POST",
            f"{DOCUMENT}?{BY_ID}",
            document("b-notes", {"id": "b-note", "customer_id": A}),
            MERGE,
        ),
    ),
    "B's old note by its id": (
        DENIED,
        write(
            "POST",
            f"{DOCUMENT}?{BY_ID}",
            document("b-notes", {"id": "b-old", "customer_id": A}),
            MERGE,
        ),
    ),
    "B's event by its id": (
        DENIED,
        write("POST", f"{DOCUMENT}?{BY_ID}", document(EVENTS, OWN_EVENT), MERGE),
    ),
    "an event in B's session": (
        DENIED,
        write("POST", DOCUMENT, document(EVENTS, EVENT | {"id": "n"})),
    ),
    "an own event in B's session": (
        DENIED,
        write("POST", DOCUMENT, document(EVENTS, EVENT | {"id": "n", "customer_id": A})),
    ),
    "a message in B's session": (
        DENIED,
        write(
            "POST",
            DOCUMENT,
            document(EVENTS, EVENT | {"id": "n", "kind": "message"}, failed_calls=9),
        ),
    ),
    "a message in B's session that denies it": (
        DENIED,
        write(
            "POST",
            DOCUMENT,
            document(EVENTS, OWN_EVENT | {"id": "n", "kind": "message"}, session_id="b-talk"),
        ),
    ),
    "an event in B's session that denies it": (
        DENIED,
        write("POST", DOCUMENT, document(EVENTS, EVENT | {"id": "n"}, session_id="a-talk")),
    ),
    "an agent": (DENIED, write("POST", DOCUMENT, document(AGENTS, {"id": "n", "customer_id": A}))),
    "the own note for B": (
        DENIED,
        write(
            "PATCH",
            f"{DOCUMENT}?id=eq.a-note",
            document("notes", {"id": "a-note", "customer_id": B}),
        ),
    ),
    "the own note among agents": (
        DENIED,
        write("PATCH", f"{DOCUMENT}?id=eq.a-note", {"collection": AGENTS}),
    ),
    "the own talk as B's": (
        DENIED,
        write("PATCH", f"{DOCUMENT}?id=eq.a-talk", document(SESSIONS, TALK)),
    ),
    "the own event in B's session": (
        DENIED,
        write("PATCH", f"{DOCUMENT}?id=eq.a-event", document(EVENTS, EVENT | {"id": "a-event"})),
    ),
    "a request of B's": (DENIED, write("POST", REQUEST, {"id": A, "user_id": B})),
    "B's request": (DENIED, get(f"{REQUEST}?id=eq.{B_REQUEST}")),
    "the own requests": (DENIED, get(f"{REQUEST}?select=user_id")),
    "B's request, given away": (
        DENIED,
        write("PATCH", f"{REQUEST}?id=eq.{B_REQUEST}", {"user_id": A}),
    ),
    "B's requests, removed": (DENIED, write("DELETE", f"{REQUEST}?user_id=not.eq.{A}")),
    "B's request again": (DENIED, write("POST", REQUEST, {"id": B_REQUEST})),
    "B's request, if it were not there": (
        DENIED,
        write("POST", REQUEST, {"id": B_REQUEST}, IGNORE),
    ),
    "B's request by its id": (
        DENIED,
        write("POST", f"{REQUEST}?on_conflict=id", {"id": B_REQUEST, "answer": "1"}, MERGE),
    ),
    "the own requests for B": (DENIED, write("PATCH", REQUEST, {"user_id": B})),
    "what policies ask": ("PGRST106", get(SESSION, Accept_Profile="parlant_store_private")),
    "copies in another schema": ("PGRST106", get("session", Accept_Profile="kept")),
    "the catalog": ("PGRST106", get("pg_authid", Accept_Profile="pg_catalog")),
    "auth": ("PGRST106", get("users", Accept_Profile="auth")),
    "writing elsewhere": ("PGRST106", write("POST", "session", {}, Content_Profile="kept")),
    "functions elsewhere": (
        "PGRST106",
        write("POST", "rpc/own_sessions", {}, Content_Profile="parlant_store_private"),
    ),
    "a function of PostgreSQL": ("PGRST202", write("POST", "rpc/pg_read_file", {"x": "/etc"})),
    "a table elsewhere": ("42P01", get("pg_authid")),
    "a qualified table": ("42P01", get("kept.session")),
    "SQL as a table": ("42P01", get(f"{SESSION};drop table {SESSION}")),
    "a count by owner": ("PGRST123", get(f"{SESSION}?select=user_id,count()")),
    "a sum": ("PGRST123", get(f"{DOCUMENT}?select=key.sum()")),
    "documents of sessions": ("PGRST200", get(f"{SESSION}?select=*,{DOCUMENT}(*)")),
    "Django's users": ("PGRST200", get(f"{SESSION}?select=*,auth_user(*)")),
    "a plan": ("PGRST107", get(SESSION, Accept="application/vnd.pgrst.plan+json")),
    "SQL as an order": ("PGRST100", get(f"{SESSION}?order=key%3Bdrop table x")),
    "SQL as a column": ("PGRST100", get(f"{SESSION}?select=key%3Bdrop table x")),
    "a function as a column": ("PGRST200", get(f"{SESSION}?select=pg_sleep(1)")),
    "one row of none": (
        "PGRST116",
        get(f"{SESSION}?key=eq.{B_KEY}", Accept="application/vnd.pgrst.object+json"),
    ),
}

THREAD = thread_attacks.TABLE
NAMED = f"{THREAD}?on_conflict=namespace,thread_id"
MISSES |= {
    "B's threads": write("PATCH", f"{THREAD}?user_id=eq.{B}", {"user_id": A}),
    "nobody's threads": write("PATCH", f"{THREAD}?user_id=is.null", {"user_id": A}),
    "B's threads, removed": write("DELETE", f"{THREAD}?user_id=neq.{A}"),
    "B's thread, if it were not there": write(
        "POST", NAMED, {"namespace": "", "thread_id": "b-thread"}, IGNORE
    ),
}
REFUSED |= {
    "a thread of B's": (
        DENIED,
        write("POST", THREAD, {"namespace": "", "thread_id": "n", "user_id": B}),
    ),
    "B's thread again": (TAKEN, write("POST", THREAD, {"namespace": "", "thread_id": "b-thread"})),
    "B's thread by its name": (
        DENIED,
        write("POST", NAMED, {"namespace": "", "thread_id": "b-thread"}, MERGE),
    ),
    "B's old thread by its name": (
        DENIED,
        write("POST", NAMED, {"namespace": "", "thread_id": "b-old-thread"}, MERGE),
    ),
    "a thread with a key": (
        DENIED,
        write("POST", THREAD, {"namespace": "", "thread_id": "n", "key": 10**6}),
    ),
    "the own thread for B": (DENIED, write("PATCH", THREAD, {"user_id": B})),
    "the own thread for nobody": (DENIED, write("PATCH", THREAD, {"user_id": None})),
    "the own thread as B's": (TAKEN, write("PATCH", THREAD, {"thread_id": "b-thread"})),
    "the own thread with B's long name": (
        DENIED,
        write("PATCH", THREAD, {"full_names": '{"thread_id": "b-thread"}'}),
    ),
    "a thread of no time": (DENIED, write("PATCH", THREAD, {"updated_at": "infinity"})),
    "a circle": (DENIED, write("PATCH", f"{thread_attacks.CHECKPOINT}", {"parent_id": "9"})),
}
for table, row in thread_attacks.ROWS.items():
    by_place, what = (
        f"{table}?{thread_attacks.BY_PLACE[table]}",
        table.removeprefix("parlant_store_"),
    )
    MISSES |= {
        f"B's {what}s": write(
            "PATCH",
            f"{table}?thread_key=eq.{B_KEY}",
            {"type": "pickle"} if "type" in row else {"text": "forged"},
        ),
        f"B's {what}s, removed": write("DELETE", f"{table}?thread_key=neq.{A_THREAD}"),
    }
    REFUSED |= {
        f"a {what} in B's thread": (DENIED, write("POST", table, row)),
        f"a {what} in no thread": (DENIED, write("POST", table, row | {"thread_key": 10**9})),
        f"a {what} with a key": (
            DENIED,
            write("POST", table, row | {"thread_key": A_THREAD, "key": 10**6}),
        ),
        f"B's {what} by its place": (DENIED, write("POST", by_place, row, MERGE)),
        f"B's {what}, if it were not there": (DENIED, write("POST", by_place, row, IGNORE)),
        f"the own {what}s in B's thread": (DENIED, write("PATCH", table, {"thread_key": B_KEY})),
        f"threads with their {what}s": ("PGRST200", get(f"{THREAD}?select=*,{table}(*)")),
    }
