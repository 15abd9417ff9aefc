"""What one call of a user may take of a backend: memory, and time beyond the role's timeout."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from parlant_store.exceptions import AccessDenied
from parlant_store.sql.functions import LIMITS
from tests.servers.supabase import wait_for
from tests.sql.supabase.attacks.attackers import A_THREAD, A, Target, attacked, code_of
from tests.sql.supabase.attacks.function_attacks import (
    ADD,
    AFTER,
    FIND,
    INSERT,
    LIST,
    METADATA,
    NOW,
    UPDATE,
)
from tests.sql.supabase.attacks.thread_attacks import LIST as LIST_THREAD
from tests.sql.supabase.attacks.thread_attacks import NEW, OWN, PLACE, PUT

MAX_GROWTH = 64
"""MB of a backend above what it has after it was asked for little."""

MB = 2**20
Make = Callable[[int], Any]


@pytest.fixture(scope="module")
def project(django_db_setup: None) -> Iterator[Target]:
    with attacked() as target:
        # One connection, whose process is measured.
        target.stack.stop_postgrest()
        target.stack.settings["PGRST_DB_POOL"] = "1"
        target.stack.start_postgrest()
        yield target


@pytest.fixture
def target(project: Target) -> Target:
    project.reset()
    return project


def post(target: Target, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    given = {"Content-Type": "application/json", "Prefer": "return=minimal"}
    return target.http.post(
        path,
        headers=target.a.headers | given | (headers or {}),
        content=body if isinstance(body, str) else json.dumps(body),
    )


def peak(process: int) -> float:
    """The most MB that the process ever had."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def growth(target: Target, path: str, body: Any, **options: Any) -> tuple[float, httpx.Response]:
    """By how many MB the backend grew at most for what is posted, and the answer."""
    return growth_of(target, lambda: post(target, path, body, **options))


def backends(target: Target) -> list[int]:
    """The processes that the server has for PostgREST's calls."""
    find = (
        "select pid from pg_stat_activity where usename = 'authenticator' and query !~* 'listen'"
        # PostgREST of other tests keeps its connections for a while.
        " and datname = current_database()"
    )
    return [process for (process,) in target.server.execute(find).fetchall()]


def the_backend(target: Target) -> int:
    # Another one may not have ended yet, or not have begun to listen.
    assert wait_for(lambda: len(backends(target)) == 1)
    return backends(target)[0]


def growth_of(target: Target, call: Callable[[], httpx.Response]) -> tuple[float, httpx.Response]:
    usual = find_of({"all": []}, p_collection="none")
    assert post(target, "rpc/parlant_store_find", usual).status_code == 200
    process = the_backend(target)
    # From here on, the peak is that of the calls to come.
    Path(f"/proc/{process}/clear_refs").write_text("5")
    before = peak(process)
    answer = call()
    assert the_backend(target) == process
    return peak(process) - before, answer


def find_of(filter_: Any, **more: Any) -> Any:
    return FIND | NOW | {"p_collection": "notes", "p_filter": filter_} | more


def once(function: str, arguments: Any) -> Any:
    request = "00000000-0000-0000-0000-0000000000ff"
    return {"p_request": request, "p_function": function, "p_arguments": arguments}


def conditions(size: int) -> Any:
    return {"any": [{"field": f"f{n}", "in": ["1"]} for n in range(size // 32)]}


def items(count: int, text: str = "{}") -> Any:
    arrays = {"p_data": [text] * count, "p_roles": [None] * count, "p_texts": [None] * count}
    arrays |= {"p_terms": [None] * count, "p_tokens": [1] * count, "p_failed": [1] * count}
    return ADD | {"p_session_id": "a-session"} | arrays


def document(data: Any) -> Any:
    text = json.dumps({"id": "big", "customer_id": A, "x": data})
    columns = {"id": "big", "customer_id": A}
    return INSERT | {"p_collection": "notes", "p_document": text, "p_columns": columns}


RPC = "rpc/parlant_store_"
CALLS: dict[str, tuple[str, Make]] = {
    "conditions": (f"{RPC}find", lambda n: find_of(conditions(n))),
    "values": (f"{RPC}find", lambda n: find_of({"field": "x", "in": ["1"] * (n // 5)})),
    "no values": (f"{RPC}find", lambda n: find_of({"field": "x", "in": [""] * (n // 4)})),
    "numbers": (f"{RPC}find", lambda n: find_of({"all": [1] * (n // 3)})),
    "a name": (f"{RPC}find", lambda n: find_of({"field": "x" * n, "in": ["1"]})),
    "a value": (f"{RPC}find", lambda n: find_of({"field": "x", "in": [f'"{"x" * n}"']})),
    "an array": (f"{RPC}find", lambda n: find_of({"field": "x", "in": [f"[{'1,' * (n // 2)}1]"]})),
    "levels": (
        f"{RPC}find",
        lambda n: '{"p_filter":' + '{"not":' * (n // 8) + "1" + "}" * (n // 8),
    ),
    "a sort": (
        f"{RPC}find_one",
        lambda n: (
            NOW
            | {
                "p_collection": "notes",
                "p_filter": {"all": []},
                "p_sort": [["x", "asc"]] * (n // 14),
            }
        ),
    ),
    "sessions": (
        f"{RPC}list_sessions",
        lambda n: LIST | AFTER | {"p_user_id": None, "p_filter": conditions(n)},
    ),
    "an update": (f"{RPC}update_one", lambda n: UPDATE | {"p_filter": conditions(n)}),
    "a search": (
        f"{RPC}search",
        lambda n: (
            NOW
            | {"p_query": " | ".join(["'a'"] * (n // 6)), "p_namespace": None}
            | {"p_limit": 9, "p_texts": 9, "p_tools": False}
        ),
    ),
    "a document": (f"{RPC}insert_one", lambda n: document("y" * n)),
    "a document of numbers": (f"{RPC}insert_one", lambda n: document([1] * (n // 3))),
    "columns": (
        f"{RPC}insert_one",
        lambda n: document("") | {"p_columns": {f"c{i}": 1 for i in range(n // 12)}},
    ),
    "metadata": (
        f"{RPC}set_metadata",
        lambda n: (
            METADATA
            | {"p_session_id": "a-session"}
            | {"p_metadata": json.dumps({f"c{i}": 1 for i in range(n // 12)})}
        ),
    ),
    "documents": (f"{RPC}replace", lambda n: NOW | {"p_documents": [{"key": 1}] * (n // 12)}),
    "many items": (f"{RPC}once", lambda n: once("add_items", items(n // 24))),
    "empty items": (
        f"{RPC}once",
        lambda n: once("add_items", items(0) | {"p_data": [1] * (n // 3)}),
    ),
    "a long item": (f"{RPC}once", lambda n: once("add_items", items(1, "x" * n))),
    "a turn": (f"{RPC}wait_turn", lambda n: {"p_turn": "x" * n}),
    "a row": (
        "parlant_store_document",
        lambda n: (
            {"collection": "notes", "customer_id": A}
            | {"data": {"customer_id": A, "x": [1] * (n // 3)}}
        ),
    ),
    "rows": (
        "parlant_store_document",
        lambda n: (
            [{"collection": "notes", "customer_id": A, "data": {"x": "y" * 5_000}}] * (n // 5_100)
        ),
    ),
    "a value of a checkpoint": (
        f"{RPC}put_checkpoint",
        lambda n: PUT | NEW | {"p_value": f"\\x{'00' * (n // 2)}"},
    ),
    "sizes of values": (f"{RPC}put_checkpoint", lambda n: PUT | NEW | {"p_sizes": [0] * (n // 3)}),
    "versions": (
        f"{RPC}put_checkpoint",
        lambda n: PUT | NEW | {"p_versions": json.dumps({f"c{i}": "1" for i in range(n // 14)})},
    ),
    "a path with escapes": (
        "parlant%5Fstore_document",
        lambda n: {"collection": "notes", "customer_id": A, "data": {"x": [1] * (n // 3)}},
    ),
}


@pytest.mark.parametrize("what", CALLS)
def test_what_is_sent_takes_little_memory(target, what):
    path, make = CALLS[what]
    limit = LIMITS["max_request" if path.startswith("rpc/") else "max_request_by_table"]
    for size in (limit * 9 // 10, limit * 2):
        grown, answer = growth(target, path, make(size))
        assert grown < MAX_GROWTH, (size, answer.text)
    assert answer.status_code == (400 if what == "levels" else 413), answer.text
    assert answer.json()["code"] in ("54000", "PGRST102")


@pytest.mark.parametrize("function", ["add_items", "add_all", "save", "where", "parts"])
def test_functions_that_would_take_more_are_not_there(target, function):
    grown, answer = growth(target, f"{RPC}{function}", items(MB // 24))
    assert (code_of(answer), grown < MAX_GROWTH) == ("PGRST202", True)


def test_a_length_that_is_not_told_is_refused(target):
    """Asked of PostgREST itself: a gateway may tell the length in place of the caller."""
    headers = {"Content-Type": "application/json"}
    headers["Authorization"] = f"Bearer {target.stack.user_token(A)}"
    url = f"http://127.0.0.1:{target.stack.port}/{RPC}wait_turn"
    for parts, status in ((iter([b'{"p_turn": "x"}']), 413), (b'{"p_turn": "x"}', 204)):
        answer = target.http.post(url, headers=headers, content=parts)
        assert answer.status_code == status, answer.text


def fill(target: Target, count: int, size: int) -> None:
    """What is A's: documents and items, of which each is smaller than what a user may send."""
    target.server.execute(
        "insert into parlant_store_document (collection, id, customer_id, data)"
        " select 'notes', 'n' || n, %s, jsonb_build_object('id', 'n' || n, 'customer_id', %s::text,"
        " 'x', repeat('y', %s)) from generate_series(1, %s) n",
        [A, A, size, count],
    )
    target.server.execute(
        "insert into parlant_store_session_item (session_key, position, data)"
        " select key, 100 + n, '\"' || repeat('y', %s) || '\"'"
        " from parlant_store_session, generate_series(1, %s) n where session_id = 'a-session'",
        [size, count],
    )


def fill_thread(target: Target) -> None:
    """Many checkpoints of A's with a value each, and many writes after the first one."""
    rows = {
        "checkpoint (thread_key, checkpoint_ns, checkpoint_id, parent_id, type, value, versions,"
        " metadata)": "'', 'n' || n, nullif('n' || n - 1, 'n99'), 'user:bytes', '',"
        " jsonb_build_object('c', n), '{}'",
        "channel_value (thread_key, checkpoint_ns, channel, version, type, value)": "'', 'c', n,"
        " 'user:bytes', convert_to(repeat('y', 900000), 'UTF8')",
        "checkpoint_write (thread_key, checkpoint_ns, checkpoint_id, task_id, idx, task_path,"
        " channel, type, value)": "'', 'n100', 't', n, '', 'd', 'user:bytes',"
        " convert_to(repeat('y', 900000), 'UTF8')",
    }
    for columns, values in rows.items():
        target.server.execute(
            f"insert into parlant_store_{columns} select %s, {values}"
            " from generate_series(100, 110) n",
            [A_THREAD],
        )


AT_A = NOW | {"p_namespace": "", "p_session_id": "a-session"}
READS: dict[str, tuple[str, Any]] = {
    "find": ("find", find_of({"all": []}, p_limit=None)),
    "get_items": ("get_items", AT_A | {"p_limit": None}),
    "load": ("load", AT_A),
    "a checkpoint": ("get_checkpoint", PLACE | OWN | {"p_checkpoint_id": "n100"}),
    "checkpoints": ("list_checkpoints", LIST_THREAD | OWN | {"p_limit": None}),
    "a history": ("get_channel_history", PLACE | OWN | {"p_channels": ["d"]}),
}


@pytest.mark.parametrize("what", READS)
def test_a_long_answer_is_refused(target, what):
    function, arguments = READS[what]
    if "p_thread_id" in arguments:
        fill_thread(target)
    else:
        fill(target, 60, 900_000)
    grown, answer = growth(target, f"{RPC}{function}", arguments)
    assert (code_of(answer), grown < MAX_GROWTH) == ("54000", True), (grown, answer.text[:200])
    assert "by a limit" in answer.text
    if "p_limit" in arguments:
        grown, answer = growth(target, f"{RPC}{function}", arguments | {"p_limit": 4})
        assert (answer.status_code, grown < MAX_GROWTH) == (200, True), grown


def test_a_row_grows_no_longer_than_it_may_be(target):
    store = target.store_of_a
    store.insert_one("notes", {"id": "n", "customer_id": A, "a": "x" * 600_000})
    with pytest.raises(AccessDenied):
        store.update_one("notes", {"id": {"$eq": "n"}}, {"b": "x" * 600_000})
    store.set_metadata("a-session", {"a": "x" * 600_000}, merge=True)
    with pytest.raises(AccessDenied):
        store.set_metadata("a-session", {"b": "x" * 600_000}, merge=True)


def test_an_honest_user_meets_no_limit(target):
    store = target.store_of_a
    values = [f"00000000-0000-0000-0000-{n:012}" for n in range(4_900)]
    assert store.find("notes", {"x": {"$in": values}}).documents == ()
    several = [{"a": {"$eq": n}, "b": {"$gt": f"{n}"}} for n in range(400)]
    assert store.find("notes", {"$or": several}).documents == ()
    nested: Any = {"a": {"$eq": 1}}
    for _ in range(24):
        nested = {"$or": [{"b": {"$eq": 2}, "$and": [nested]}, {"c": {"$eq": 1}}]}
    assert store.find("notes", nested).documents == ()
    said = [{"role": "user", "content": f"word {n}"} for n in range(2_000)]
    store.add_items("a-session", said)
    assert store.get_items("a-session")[-2_000:] == said
    long = {"id": "long", "customer_id": A, "x": "word, " * 90_000, "y": list(range(5_000))}
    store.insert_one("notes", long)
    assert store.find_one("notes", {"id": {"$eq": "long"}}) == long


def test_servers_have_no_limits(target):
    store = target.store_of_the_service
    values = [f"value {n}" for n in range(30_000)]
    assert store.find("notes", {"x": {"$in": values}}).documents == ()
    several = [{"a": {"$eq": n}, "b": {"$gt": f"{n}"}} for n in range(1_500)]
    assert store.find("notes", {"$or": several}).documents == ()
    long = {"id": "long", "x": "word, " * 400_000, "y": list(range(150_000))}
    store.insert_one("notes", long)
    assert store.find_one("notes", {"id": {"$eq": "long"}}) == long
    said = [{"role": "user", "content": f"word {n}"} for n in range(12_000)]
    store.add_items("s", said)
    fill(target, 10, 900_000)
    assert len(store.find("notes").documents) > 10


def test_four_at_once_obey_the_timeout(target):
    """The most that a filter may be, on rows enough to take longer than the role may."""
    fill(target, 3_000, 3_000)
    server = target.server
    server.execute("alter role authenticated set statement_timeout to '1s'")
    target.stack.stop_postgrest()
    target.stack.settings["PGRST_DB_POOL"] = "4"
    target.stack.start_postgrest()
    values = [f'"{n}"' for n in range(4_900)]
    larger = {"sign": ">", "kind": "string", "value": '"x"'}
    parts = [{"field": f"f{n}"} | larger for n in range(900)]
    body = find_of({"any": [*parts, {"field": "x", "in": values}]}, p_count_to=10**9)
    try:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: post(target, f"{RPC}find", body), range(4)))
        times = [psutil.Process(process).cpu_times() for process in backends(target)]
        assert {code_of(answer) for answer in answers} == {"57014"}, answers[0].text[:300]
        # Without limits each took half a minute.
        assert sum(used.user + used.system for used in times) < 15
    finally:
        server.execute("alter role authenticated reset statement_timeout")
        target.stack.stop_postgrest()
        target.stack.settings["PGRST_DB_POOL"] = "1"
        target.stack.start_postgrest()
