"""Attacks by the app's functions, each called as a browser can call it."""

import json
import uuid
from typing import Any

import httpx
import pytest

from parlant_store.sql.supabase.policies import SERVICE_ONLY
from tests.sql.supabase.attacks.attackers import B_KEY, B_REQUEST, MARK, A, B, Target, code_of
from tests.sql.supabase.attacks.attackers import project as project
from tests.sql.supabase.attacks.attackers import served as served
from tests.sql.supabase.attacks.attackers import target as target
from tests.sql.supabase.attacks.expectations import NOT_THERE, Refused, Text
from tests.sql.supabase.attacks.function_attacks import (
    BY_ONCE,
    CALLS,
    REPEATABLE,
    WHOLE_SESSIONS,
)

OF_ALL_ROWS = {"expire", "expire_threads", "sweep", "ensure_index"}
"""Functions with no name of a row."""

WITH_TERMS = ("search", "search_threads", "search_memories", "write_memories", "put_checkpoint")
INTERNAL = {
    *("count_event", "count_session", "session_compute", "thread_compute"),
    *("mark_value", "name_thread"),
}
"""Functions of the service whose parameters have no names, and those of triggers."""

SERVICES = {name.removeprefix("parlant_store_") for name in SERVICE_ONLY}


def is_expected(answer: httpx.Response, expected: Any) -> bool:
    if isinstance(expected, Refused):
        return code_of(answer) == expected.code
    if isinstance(expected, Text):
        return answer.status_code < 300 and expected.words in answer.text
    return answer.status_code < 300 and bool(
        (answer.json() if answer.content else None) == expected
    )


def test_every_function_is_attacked(project):
    there = set(project.functions())
    missing = there - set(CALLS) - SERVICES
    assert not missing, f"say in function_attacks.CALLS what they answer to an attacker: {missing}"
    assert set(CALLS) | SERVICES == there


@pytest.mark.parametrize("function", sorted(INTERNAL))
def test_internal_functions_of_the_service_are_not_there(target, function):
    assert code_of(target.a.call(function, {})) == "PGRST202"
    assert code_of(once(target, function, {})) == "22023"


@pytest.mark.parametrize("function", sorted(SERVICES - INTERNAL))
def test_functions_of_the_service_are_refused(target, function):
    usual = dict.fromkeys(target.functions()[function])
    for arguments in (usual, usual | {"p_limit": 9} if "p_limit" in usual else usual):
        assert code_of(target.a.call(function, arguments)) == "42501"
        assert code_of(once(target, function, arguments)) in ("42501", "22023")


@pytest.mark.parametrize("function", WHOLE_SESSIONS)
def test_whole_sessions_are_written_by_the_service_alone(target, function):
    arguments, before = WHOLE_SESSIONS[function], target.rows()
    assert arguments.keys() == target.functions()[function].keys()
    for answer in (target.a.call(function, arguments), once(target, function, arguments)):
        assert code_of(answer) == "42501", answer.text
    assert target.rows() == before


@pytest.mark.parametrize("function", CALLS)
def test_a_function_reaches_nothing_of_another(target, function):
    for arguments, expected in CALLS[function]:
        answer = target.a.call(function, arguments)
        if function in BY_ONCE:
            expected = NOT_THERE
        assert is_expected(answer, expected), (arguments, answer.text)


@pytest.mark.parametrize("function", CALLS)
def test_a_repeatable_function_reaches_nothing_of_another(target, function):
    for arguments, expected in CALLS[function]:
        answer = once(target, function, arguments)
        if function not in REPEATABLE:
            expected = Refused("22023")
        assert is_expected(answer, expected), (arguments, answer.text)


def once(target: Target, function: Any, arguments: Any) -> httpx.Response:
    request = {"p_request": str(uuid.uuid4()), "p_function": function, "p_arguments": arguments}
    return target.a.call("once", request)


# What no caller of these means


@pytest.mark.parametrize(
    "name",
    [
        "once",
        "ensure_index",
        "expire",
        "where",
        "add_all",
        "lock_one",
        "forget_requests",
        "",
        None,
        "%",
        "add_items') --",
        'add_items" --',
        "clear(null, null, null, null); drop table parlant_store_session; --",
        "pop_item(p_namespace => '') as r, parlant_store_session --",
        "parlant_store_clear",
        "CLEAR",
        "private.own_sessions",
    ],
)
def test_nothing_else_is_called_by_name(target, name):
    for arguments in ({}, {"p_limit": 9, "p_now": "infinity"}, None):
        answer = once(target, name, arguments)
        assert code_of(answer) in ("22023", "42501"), answer.text


@pytest.mark.parametrize("arguments", [None, [], 1, "x", [{}], {}, {"p_namespace": {"a": "'"}}])
def test_arguments_that_are_no_arguments(target, arguments):
    for function in REPEATABLE:
        mine = target.rows()
        answer = once(target, function, arguments)
        if answer.status_code < 300:
            # Names that are null name nothing.
            nothing = [None, False, 0, [], {"v_key": None}]
            nothing.append({"v_threads": 0, "v_has_threads": None})
            nothing.append({"v_items": None, "v_is_hidden": False})
            nothing.append({"deleted": None, "items": None, "is_missing": False})
            nothing.append({"items": None, "is_missing": False, "is_taken": False})
            nothing.append({"is_found": False, "is_missing": False})
            assert answer.json() in nothing, answer.text
            mine["request"] = target.rows()["request"]
        assert target.rows() == mine, function


def test_the_answer_to_another_is_not_told(target):
    for name in ("pop_item", "clear", "expire", "", "where"):
        for arguments in (CALLS["pop_item"][0][0], {}, None):
            call = {"p_request": B_REQUEST, "p_function": name, "p_arguments": arguments}
            assert code_of(target.a.call("once", call)) == "42501"
    answered = target.service.http.post(
        "rpc/parlant_store_once",
        headers=target.service.headers,
        json={"p_request": B_REQUEST, "p_function": "pop_item", "p_arguments": {}},
    )
    assert MARK in answered.text


QUOTES = [
    "'",
    '"',
    "\\' or true --",
    "x' or true --",
    'x") or ("key" = "key',
    "'); drop table parlant_store_session; --",
    "$$; select 1; $$ %s %(a)s %L %I %1$s",
    "b-%*",
]
DEEP = '{"not":' * 10_000 + '{"all":[]}' + "}" * 10_000
HOSTILE: dict[str, list[Any]] = {
    "text": [None, *QUOTES[:4], "b-session", "x" * 10_000, {"a": 1}],
    "bigint": [None, -1, 0, 2**63 - 1, -(2**63), 2**63, 10**400, 0.5, "1; select 1", "x"],
    "timestamp with time zone": [None, "infinity", "-infinity", "294276-12-31", "x' or true"],
    "boolean": [None, True, False, "x", 7],
    "text[]": [None, [], [None], ["'"], ["{}"] * 3, [["{}"], ["{}"]], "{", 7, {"a": 1}],
    "bigint[]": [None, [], [None], [2**63], [-1], [["1"]], "{", {"a": 1}],
    "timestamp with time zone[]": [None, [], [None], ["infinity"], ["x' or true"], "{", {"a": 1}],
    "integer[]": [None, [], [None], [2**31], [-1], ["x"], "{", {"a": 1}],
    "bytea": [None, "", "\\x", "\\x1", "x' or true", "\\x00ff", 7],
    "uuid": [None, "x", "' or true", 7],
    "jsonb": [
        None,
        7,
        "x",
        True,
        [],
        [None],
        [[]],
        [["x' --", "asc"]],
        [["key", "asc, (select 1)"]],
        [["key", None]],
        [[None, "asc"]],
        [{"key": B_KEY, "old": None}],
        {},
        {"all": 7},
        {"all": {"any": []}},
        {"all": [7]},
        {"not": None},
        {"field": None, "in": ["1"]},
        {"field": 7, "in": ["1"]},
        {"field": ["x"], "in": [7, None]},
        {"field": "x", "in": {"a": 1}},
        {"field": "x", "in": ["no JSON"]},
        {"field": "data", "column": True, "in": ["{}"]},
        {"field": "ctid", "column": True, "in": ["(0,1)"]},
        {"field": "parlant_store_document", "column": True, "in": ["x"]},
        {"field": "x", "column": "maybe", "in": ["x"]},
        {"field": "x", "in": [], "null": "maybe"},
        {"field": "x", "sign": "=", "kind": "string", "value": '"x"'},
        {"field": "x", "sign": "< 1 or 1 <", "kind": "number", "value": "1"},
        {"field": "x", "sign": "<", "kind": "number' or true --", "value": "1"},
        {"field": "offset", "sign": "<", "kind": "number", "value": "NaN"},
        {"field": "offset", "sign": ">", "kind": "number", "value": '"x"'},
        {"field": "x", "sign": "<", "kind": None, "value": None},
    ],
}


HOSTILE["json"] = HOSTILE["jsonb"]


def hostile(name: str, kind: str) -> list[Any]:
    """Values for the parameter; filters and the like are not for every object."""
    if kind in ("json", "jsonb") and name not in ("p_filter", "p_sort", "p_operands", "p_texts"):
        return HOSTILE[kind][:12]
    return HOSTILE[kind]


@pytest.mark.parametrize("function", CALLS)
def test_arguments_of_other_kinds(target, function):
    """Each parameter in turn, the others as they should be."""
    others = target.others()
    usual = CALLS[function][0][0]
    for name, kind in target.functions()[function].items():
        for value in hostile(name, kind):
            arguments = usual | {name: value}
            if function in BY_ONCE:
                answer = once(target, function, arguments)
            else:
                answer = target.a.call(function, arguments)
            assert is_good_sql(answer, function, value), (name, value, answer.text)
        assert target.others() == others, name


def is_good_sql(answer: httpx.Response, function: str, value: Any) -> bool:
    """Whether no statement was made of it that is none, or names what is not there."""
    code = code_of(answer)
    if function in WITH_TERMS and code == "42601":
        return True  # of the tsquery or tsvector
    if "column" in str(value) and code == "42703":
        return True
    return code not in ("42601", "42703", "42P01", "42883")


@pytest.mark.parametrize("function", sorted({*CALLS} - OF_ALL_ROWS))
def test_no_quote_reaches_what_was_not_named(served, function):
    """The service role, which no policy binds, names nothing that is there."""
    before = served.rows()
    usual = nothing(CALLS[function][0][0])
    for name, kind in served.functions()[function].items():
        for value in hostile(name, kind) if kind.startswith("json") else QUOTES:
            answer = served.service.call(function, usual | {name: value})
            assert is_good_sql(answer, function, value), (name, value, answer.text)
    now = served.rows()
    for table, rows in before.items():
        assert set(rows) <= set(now[table]), table


def nothing(arguments: Any) -> Any:
    """The arguments with names that nobody has."""
    text = json.dumps(arguments)
    for name in (A, B, B_REQUEST):
        text = text.replace(name, str(uuid.uuid4()))
    for name in ('"b-', '"a-', "'hush"):
        text = text.replace(name, f"{name[0]}none-")
    return json.loads(text)


@pytest.mark.parametrize("quote", QUOTES)
def test_quotes_in_filters_are_data(target, quote):
    value = json.dumps(quote)
    filters = [
        {"field": quote, "in": [value]},
        {"field": quote, "in": [value, value, "1"]},
        {"field": quote, "sign": ">", "kind": "string", "value": value},
        {"field": quote, "sign": "<=", "kind": "number", "value": "1"},
        {"field": "text", "in": [value]},
        {"field": "offset", "in": [value, "true"]},
        {"field": "customer_id", "column": True, "in": [quote]},
        {"field": "customer_id", "column": True, "in": [quote, f"{quote},{quote}", f"{{{quote}}}"]},
        {"any": [{"field": quote, "in": [f"[{value}]", f"{{{value}: {value}}}"]}]},
    ]
    sort = [[quote, "desc"], ["offset", "asc"]]
    notes = {"p_collection": "b-notes", "p_now": "2030-01-01"}
    for filter_ in filters:
        for who in (target.a, target.service):
            arguments = notes | {"p_filter": filter_}
            answer = who.call("find_one", arguments | {"p_sort": sort})
            assert (answer.status_code, answer.json()) == (200, None), answer.text
            answer = who.call("delete_one", arguments)
            assert answer.json() is None, answer.text
    first = target.service.http.post(
        "rpc/parlant_store_find_one",
        headers=target.service.headers,
        json=notes | {"p_filter": {"all": []}, "p_sort": sort},
    )
    assert json.loads(first.json())["id"] in ("b-note", "b-old")


@pytest.mark.parametrize("quote", QUOTES)
def test_quotes_in_rules_are_data(served, quote):
    """The rules of retention keep what has begun since 2000, so that nothing is due."""
    before = served.rows()
    rule = {
        "documents": True,
        "now": "2000-01-01",
        "created_until": "2000-01-01",
        "created_until_text": "2000",
    }
    changes: list[dict[str, Any]] = [
        {name: quote} for name in (*rule, "collection", "updated_until")
    ]
    changes.append({"documents": False, "namespace": quote})
    for function, parameters in served.functions().items():
        if "p_rule" in parameters:
            usual = dict.fromkeys(parameters) | {"p_limit": 9, "p_examine": 9}
            usual = {name: value for name, value in usual.items() if name in parameters}
            for change in changes:
                for after in (None, [quote, quote]) if "p_after" in parameters else (None,):
                    places = {} if after is None else {"p_after": after}
                    answer = served.service.call(
                        function, usual | {"p_rule": rule | change} | places
                    )
                    assert is_good_sql(answer, function, change), (function, change, answer.text)
    assert served.rows() == before


@pytest.mark.parametrize(
    "query", ["a & !b", "!hush", "'", ":*", "!", "hush &", "<->", "((", "hush:ABCD*", "' | '", "\\"]
)
def test_the_syntax_of_searches(target, query):
    asked = CALLS["search"][0][0] | {"p_query": query}
    answer = target.a.call("search", asked)
    if answer.status_code == 200:
        assert {row[1] for row in answer.json()} <= {"a-session"}
    else:
        assert code_of(answer) == "42601"


@pytest.mark.parametrize("quote", [*QUOTES, "key) where true --", "text", "left(data::text, 1)"])
def test_quotes_in_indexes(served, quote):
    usual = CALLS["ensure_index"][0][0]
    changes: list[dict[str, Any]] = [
        {"p_name": quote},
        {"p_name": f"{usual['p_name']} {quote}"},
        {"p_fields": [["text", quote]]},
        {"p_fields": [[f"x {quote}", "asc"]]},
    ]
    for change in changes:
        for unique in (False, True):
            answer = served.service.call("ensure_index", usual | change | {"p_unique": unique})
            assert code_of(answer) == "22023", answer.text
    unique = {"p_collection": quote, "p_unique": True}
    made = served.service.call("ensure_index", usual | unique)
    doubled = quote.replace("'", "''")
    found = served.server.execute(
        "select pg_get_expr(indpred, indrelid) from pg_index where indexrelid = %s::regclass",
        [usual["p_name"]],
    )
    predicate = found.fetchall()
    served.server.execute(f"drop index {usual['p_name']}")
    assert made.json() is True
    assert predicate == [(f"(collection = '{doubled}'::text)",)]


def test_filters_without_end(target):
    for function in ("find", "find_one", "delete_one", "update_one", "list_sessions"):
        arguments = json.dumps(CALLS[function][0][0] | {"p_filter": "@"})
        answer = target.a.call(function, arguments.replace('"@"', DEEP))
        assert code_of(answer) in ("54000", "54001", "PGRST102"), answer.text
    assert target.a.call("version", {}).status_code == 200
