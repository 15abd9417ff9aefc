"""What a user's requests to tables, and to collections by their names, may take of a backend."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.sql.supabase.attacks.attackers import A, Target, attacked, code_of
from tests.sql.supabase.attacks.table_attacks import DOCUMENT, ITEM, SESSION, TOO_MUCH
from tests.sql.supabase.attacks.test_bounds import (
    AT_A,
    MAX_GROWTH,
    RPC,
    fill,
    fill_thread,
    find_of,
    growth_of,
)
from tests.sql.supabase.attacks.test_bounds import target as target
from tests.sql.supabase.attacks.thread_attacks import VALUE, WRITE

TIMEOUT_SECONDS = 8
"""That of authenticated on Supabase."""


@contextmanager
def one_backend(**options: Any) -> Iterator[Target]:
    """Through one connection, whose process is measured."""
    with attacked(**options) as target:
        target.server.execute(
            f"alter role authenticated set statement_timeout to '{TIMEOUT_SECONDS}s'"
        )
        try:
            target.stack.stop_postgrest()
            target.stack.settings["PGRST_DB_POOL"] = "1"
            target.stack.start_postgrest()
            yield target
        finally:
            target.server.execute("alter role authenticated reset statement_timeout")


@pytest.fixture(scope="module", params=["plain", "partitioned"])
def project(request: pytest.FixtureRequest, django_db_setup: None) -> Iterator[Target]:
    collections = ["notes"] if request.param == "partitioned" else []
    with one_backend(collections=collections) as target:
        yield target


def repeated(template: str, count: int) -> str:
    return ",".join(template.format(n=number) for number in range(count))


WIDE = {
    # Asked of 60 rows of 900 kB each.
    "all documents": f"{DOCUMENT}?select=*",
    "all items": f"{ITEM}?select=*",
    "all values": f"{VALUE}?select=*",
    "a value often": f"{VALUE}?version=eq.100&select={repeated('a{n}:value', 300)}",
    "all writes": f"{WRITE}?select=*",
    "an order of values": f"{VALUE}?select=key&order=value&limit=1",
    "a page of them": f"{DOCUMENT}?order=id.desc&limit=20&offset=5",
    "a column often": f"{DOCUMENT}?id=eq.n1&select={repeated('a{n}:data', 300)}",
    "a column without another name": f"{DOCUMENT}?id=eq.n1&select={repeated('data', 300)}",
    "a field often": f"{DOCUMENT}?id=eq.n1&select={repeated('a{n}:data->x', 300)}",
    "everything often": f"{DOCUMENT}?id=eq.n1&select={repeated('*', 100)}",
    "a cast often": f"{DOCUMENT}?id=eq.n1&select={repeated('a{n}:data::text', 300)}",
    "an item often": f"{ITEM}?position=eq.101&select={repeated('a{n}:data', 300)}",
    "conditions": f"{DOCUMENT}?id=eq.n1&or=({repeated('data->>x.eq.{n}', 300)})",
    "conditions of a regular expression": f"{DOCUMENT}?data->>x=match.(y*)*z",
    "conditions of words": f"{DOCUMENT}?data->>x=fts.zebra",
    "parts of a document": f"{DOCUMENT}?data=not.cs.{{}}",
    "an order": f"{DOCUMENT}?id=eq.n1&order={repeated('data->x{n}', 300)}",
    "an order of all": f"{DOCUMENT}?select=id&order=data->x&limit=1",
    "steps": f"{DOCUMENT}?id=eq.nested&select=id&data{'->a' * 150}=eq.1",
}
HEADERS: dict[str, dict[str, str]] = {
    "as JSON": {},
    "as CSV": {"Accept": "text/csv"},
    "counted": {"Prefer": "count=exact", "Range": "0-9"},
}


def ask(target: Target, path: str, headers: dict[str, str]) -> Any:
    # Asked of PostgREST itself: Supabase's gateway takes shorter urls.
    url = f"http://127.0.0.1:{target.stack.port}/{path}"
    bearer = {"Authorization": target.a.headers["Authorization"]}
    return growth_of(target, lambda: target.http.get(url, headers=bearer | headers))


@pytest.fixture
def wide(project: Target) -> Target:
    """The project with rows that are read alone: they stay for the next test that reads them."""
    there = project.server.execute(f"select from {DOCUMENT} where id = 'nested'")
    if there.rowcount == 0:
        project.reset()
        fill(project, 60, 900_000)
        fill_thread(project)
        nested: Any = "x" * 800_000
        for _ in range(150):
            nested = {"a": nested}
        project.server.execute(
            f"insert into {DOCUMENT} (collection, id, customer_id, data)"
            " values ('notes', 'nested', %s, %s)",
            [A, json.dumps({"id": "nested", "customer_id": A} | nested)],
        )
    return project


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_wide_rows_take_little_memory(wide, headers):
    has_partitions = wide.server.execute("select to_regclass('notes')").fetchone() != (None,)
    # The headers change what PostgREST asks of a table, with partitions or without.
    for what, path in WIDE.items() if headers == {} or not has_partitions else ():
        grown, answer = ask(wide, path, headers)
        assert (code_of(answer), grown < MAX_GROWTH) == (TOO_MUCH, True), (what, grown, answer.text)
    if has_partitions:
        for path in (path.replace(DOCUMENT, "notes") for path in WIDE.values() if DOCUMENT in path):
            grown, answer = ask(wide, path, headers)
            assert grown < MAX_GROWTH, path
            assert code_of(answer) == TOO_MUCH or answer.json() == [], (path, answer.text[:300])


@pytest.mark.parametrize(
    "path",
    [
        f"{ITEM}?select=*,{SESSION}(*)",
        f"{ITEM}?select=data,...{SESSION}(metadata)",
        f"{SESSION}?select=*,{ITEM}(*)",
        f"{SESSION}?select=*,{ITEM}(*,{SESSION}(*,{ITEM}(*)))",
        f"{ITEM}?select=text,{SESSION}(*)&order={SESSION}(user_id).desc",
    ],
)
def test_a_row_is_not_repeated_for_each_of_another_table(target, path):
    grown, answer = ask(target, path, {})
    assert (code_of(answer), grown < MAX_GROWTH) == (TOO_MUCH, True), answer.text


NO_ORDER = "42883"
"""Of JSON."""

FILTERED = [
    f"or=({repeated('pgrst_scalar->x.eq.{n}', 300)})",
    "pgrst_scalar=not.is.null",
    f"order={repeated('pgrst_scalar->x{n}', 300)}",
    "order=pgrst_scalar.desc",
]


@pytest.mark.parametrize("query", FILTERED)
def test_what_a_function_answers_is_not_filtered(target, query):
    fill(target, 4, 900_000)
    calls = {
        "find": find_of({"all": []}, p_limit=4),
        "get_items": AT_A | {"p_limit": 4},
        "load": AT_A,
    }
    for function, arguments in calls.items():
        url = f"http://127.0.0.1:{target.stack.port}/{RPC}{function}?{query}"
        headers = {"Authorization": target.a.headers["Authorization"]}
        grown, answer = growth_of(
            target,
            lambda url=url, body=arguments, headers=headers: target.http.post(
                url, headers=headers, json=body
            ),
        )
        assert code_of(answer) in (TOO_MUCH, NO_ORDER), (function, answer.text)
        assert grown < MAX_GROWTH, function


# What is written, and comes back


ROW = {"collection": "notes", "customer_id": A}
WRITES: dict[str, tuple[str, str, Any]] = {
    "many made longer": (
        "PATCH",
        f"{DOCUMENT}?collection=eq.notes&id=is.null",
        {"data": {"customer_id": A, "x": "y" * 200_000}},
    ),
    "one, and often": (
        "POST",
        f"{DOCUMENT}?select={repeated('a{n}:data', 300)}",
        ROW | {"data": {"customer_id": A, "x": "y" * 200_000}},
    ),
    "many changed": ("PATCH", f"{DOCUMENT}?collection=eq.notes&id=is.null", {"expires_at": None}),
    "many removed": ("DELETE", f"{DOCUMENT}?collection=eq.notes&id=is.null", None),
}


@pytest.mark.parametrize("what", WRITES)
def test_what_is_written_takes_little_memory(target, what):
    target.server.execute(
        f"insert into {DOCUMENT} (collection, customer_id, data) select 'notes', %s,"
        " jsonb_build_object('customer_id', %s::text, 'x', repeat('y', 400))"
        " from generate_series(1, 20000) n",
        [A, A],
    )
    method, path, body = WRITES[what]
    url = f"http://127.0.0.1:{target.stack.port}/{path}"
    headers = {"Authorization": target.a.headers["Authorization"]}
    headers |= {"Prefer": "return=representation"}
    grown, answer = growth_of(
        target, lambda: target.http.request(method, url, headers=headers, json=body)
    )
    assert (code_of(answer), grown < MAX_GROWTH) == (TOO_MUCH, True), (grown, answer.text)


# What is allowed


LARGEST = {
    # Just below what is refused.
    "long rows": (f"{DOCUMENT}?select=data&id=like.n*", 25, 100_000),
    "a long page of short rows": (f"{DOCUMENT}?select=*", 1_000, 600),
    "short rows by their names": (f"{ITEM}?select=data,text", 1_000, 600),
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("what", LARGEST)
def test_the_most_that_is_read_takes_little_memory(target, what, headers):
    path, count, size = LARGEST[what]
    # For CSV the row is named more often, and to count is to look at all of it once more.
    fill(target, count if headers == {} or size < 10_000 else count // 4, size)
    grown, answer = ask(target, path, headers)
    assert (answer.is_success, grown < MAX_GROWTH) == (True, True), (grown, answer.text[:300])


def test_an_honest_user_reads_tables_by_the_page(target):
    """Ten thousand short rows: pages, counts, orders, and what a filter finds."""
    fill(target, 10_000, 300)
    fill_one = f"{DOCUMENT}?id=eq.n77&select=id,data"
    assert len(target.a.send("GET", fill_one).json()) == 1
    answer = target.a.send("GET", f"{DOCUMENT}?collection=eq.notes&order=id.desc&limit=50")
    assert len(answer.json()) == 50
    assert int(answer.headers["Content-Range"].partition("/")[2]) > 10_000
    assert len(target.a.send("GET", f"{ITEM}?order=position.desc&select=data").json()) == 1_000
    assert target.a.send("HEAD", f"{ITEM}?select=key").is_success
    answer = target.a.send("DELETE", f"{DOCUMENT}?id=like.n1*", None, {"Prefer": "return=minimal"})
    assert answer.is_success, answer.text
