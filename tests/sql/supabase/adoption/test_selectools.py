"""Sessions that selectools' store on Supabase saved."""

import unicodedata
from typing import Any

import psycopg
import pytest
from postgrest.exceptions import APIError
from psycopg.types.json import Jsonb
from supabase import Client

from parlant_store.content import codec, text_search
from tests.contract.values import IDS
from tests.sql.supabase.adoption.adopted import PARTITIONS, adopted, rows_of
from tests.sql.supabase.adoption.adopted import adopt as adopt
from tests.sql.supabase.adoption.adopted import client as client
from tests.sql.supabase.adoption.adopted import stack as stack
from tests.sql.supabase.adoption.adopted import store as store
from tests.sql.supabase.adoption.old_tables import (
    SELECTOOLS,
    SELECTOOLS_SQL,
)
from tests.sql.supabase.catalogs import everything
from tests.sql.supabase.databases import sql_for


def message(role: str, content: Any, **fields: Any) -> dict[str, Any]:
    """As selectools writes one: with all its fields."""
    empty = dict.fromkeys(("image_base64", "tool_name", "tool_result", "tool_calls"))
    return {"role": role, "content": content, **empty, **fields}


def memory(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**LIMITS, "message_count": len(messages), "messages": list(messages), **fields}


LIMITS = {"max_messages": 20, "max_tokens": None, "summary": "so far"}
LONG = "é" * 400
KEYS = {
    "plain": ("", "plain"),
    "user:42": ("user", "42"),
    "a:b:c": ("a", "b:c"),
    ":x": ("", ":x"),
    "x:": ("", "x:"),
    f"{LONG}:\ud7ff\x01": (LONG, "\ud7ff\x01"),
    f"n:{LONG}": ("n", LONG),
}


def save(
    client: Client, key: str, saved: Any, updated_at: str = "2030-01-01T00:00:00+00:00"
) -> None:
    row = {"session_id": key, "memory_json": saved, "message_count": 1, "updated_at": updated_at}
    client.table(SELECTOOLS).upsert(row, on_conflict="session_id").execute()


def test_sessions_of_selectools_are_sessions_of_the_store(adopt, client, store, database):
    turns = (
        message("user", "Where is my GROẞ parcel, Жанна?"),
        message(
            "assistant", "", tool_calls=[{"name": "find", "parameters": {"n": 1.0}, "id": "1"}]
        ),
        message("tool", "東京都", tool_call_id="1", tool_name="find"),
        message("assistant", "In 東京, it's near"),
    )
    for key in KEYS:
        save(client(), key, memory(*turns, message("user", key)))
    said = adopt()
    assert (
        f"{SELECTOOLS}: {len(KEYS)} rows are sessions of the store, with {5 * len(KEYS)} items"
        in said
    )
    for key, (namespace, session_id) in KEYS.items():
        snapshot = store.load_snapshot(session_id, namespace=namespace)
        assert snapshot.state == {**LIMITS, "message_count": 5, "selectools": "memory"}
        assert [item["content"] for item in snapshot.items] == [
            turn["content"] for turn in turns
        ] + [key]
        assert snapshot.items[1] == {
            "role": "assistant",
            "content": "",
            "tool_calls": turns[1]["tool_calls"],
        }
    found = {(info.namespace, info.session_id): info for info in store.list_sessions().sessions}
    assert found.keys() == set(KEYS.values())
    assert {info.item_count for info in found.values()} == {5}
    assert {info.updated_at.year for info in found.values()} == {2030}
    for query in ("parcel", "gross", "жанна", "東京"):
        assert len(store.search(query, limit=9)) == len(KEYS), query
    assert store.search("都") == []
    assert [hit.session_id for hit in store.search("plain")] == ["plain"]


def test_the_table_of_selectools_stays_where_nobody_reads_it(adopt, client, stack, database):
    save(client(), "a", memory(message("user", "hello")))
    before = rows_of(database, SELECTOOLS)
    adopt("--policy", "open")
    assert rows_of(database, f"{PARTITIONS}.{SELECTOOLS}") == before
    for key in (stack.service_key, stack.anon_key):
        with pytest.raises(APIError):
            client(key).table(SELECTOOLS).select("*").execute()
    rights = "select has_table_privilege(%s, %s, 'select')"
    for role in ("anon", "authenticated", "service_role"):
        asked = database.execute(rights, [role, f"{PARTITIONS}.{SELECTOOLS}"])
        assert asked.fetchone() == (False,)


def test_a_session_of_the_store_keeps_its_id(adopt, client, store, stack, database):
    database.execute(sql_for())
    stack.reload()
    store.add_items("42", [{"role": "user", "content": "newer"}], namespace="user")
    for key in ("user:42", "user:43"):
        save(client(), key, memory(message("user", "older")))
    said = adopt()
    assert f"{SELECTOOLS}: 1 rows are sessions of the store, with 1 items" in said
    table = f"{PARTITIONS}.{SELECTOOLS}"
    assert (
        f"{SELECTOOLS}: 1 of 2 rows have the id of a session of the store, and remain in {table}:"
        " user:42"
    ) in said
    assert [item["content"] for item in store.get_items("42", namespace="user")] == ["newer"]
    assert [item["content"] for item in store.get_items("43", namespace="user")] == ["older"]
    assert len(rows_of(database, table)) == 2
    store.delete_session("43", namespace="user")
    adopt()
    assert not store.exists("43", namespace="user")


@pytest.mark.parametrize(
    ("saved", "state", "items"),
    [
        ({"n": 1}, {"data": {"n": 1}}, []),
        ({"messages": [1], "n": 1}, {"data": {"messages": [1], "n": 1}}, []),
        ({"messages": "x"}, {"data": {"messages": "x"}}, []),
        (
            {"messages": [{"role": "user", "x": None}], "n": 1},
            {"data": {"n": 1}, "messages": True},
            [{"role": "user", "x": None}],
        ),
        ({"messages": []}, {"data": {}, "messages": True}, []),
    ],
)
def test_other_forms_are_dicts_of_the_store(database, saved, state, items):
    database.execute(SELECTOOLS_SQL)
    insert = f"insert into {SELECTOOLS} (session_id, memory_json) values ('a', %s)"
    database.execute(insert, [Jsonb(saved)])
    adopted(database, "--adopt")
    (found,) = database.execute("select state from parlant_store_session").fetchone()
    assert found == state | {"selectools": "dict"}
    found = database.execute("select data::json from parlant_store_session_item").fetchall()
    assert [data for (data,) in found] == items


def test_another_table_of_selectools_is_named(database):
    database.execute(SELECTOOLS_SQL.replace(SELECTOOLS, "memories"))
    database.execute("insert into memories (session_id, memory_json) values ('a', '{}')")
    adopted(database, "--adopt")
    assert len(rows_of(database, "memories")) == 1
    for _ in range(2):
        adopted(database, "--adopt", "memories")
        assert len(rows_of(database, "parlant_store_session")) == 1
        assert len(rows_of(database, f"{PARTITIONS}.memories")) == 1


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            f"insert into {SELECTOOLS} (session_id, memory_json) values ('a', '[1]')",
            "cannot be adopted: memory_json of 'a' must be a JSON object",
        ),
        (
            f"alter table {SELECTOOLS} drop column created_at",
            "cannot be adopted: it has no column created_at",
        ),
    ],
)
def test_a_table_of_selectools_that_says_less_is_left_alone(database, statement, message):
    database.execute(SELECTOOLS_SQL)
    database.execute(statement)
    before = everything(database), rows_of(database, SELECTOOLS)
    with pytest.raises(psycopg.Error, match=message):
        database.execute(sql_for("--adopt"))
    database.execute("rollback")
    assert (everything(database), rows_of(database, SELECTOOLS)) == before


def is_folded_alike(character: str) -> bool:
    """Whether it is one letter in lower case, or one of the two that are often more."""
    normal = unicodedata.normalize("NFKC", character)
    return (
        unicodedata.ucd_3_2_0.category(character) not in ("Cn", "Cs", "Cc")
        and codec.escape(character) == character
        and (len(normal.casefold()) == len(normal) or character in "ßİ")
    )


CHARACTERS = list(filter(is_folded_alike, map(chr, range(0x20000))))
TEXTS = [
    *(" ".join(CHARACTERS[start : start + 5_000]) for start in range(0, len(CHARACTERS), 5_000)),
    "Hello, World! snake_case don't",
    "Ελλάς ΟΔΟΣ straße GROẞ İstanbul ﬁne ①②",
    "東京都へ行く カタカナ・ｶﾅ ไทยแลนด์ ລາວ ភាសា မြန်",
    "हिन्दी العَرَبِيَّة עִבְרִית বাংলা e\u0301te\u0301",
    "x" * 250 + " " + "é" * 150,
    "a b " * 6_000,
    "",
    " \n\t",
    *IDS,
]


def test_words_are_those_of_the_store(database):
    """parlant_store.content.text_search and adopted_sessions.sql must find the same."""
    database.execute(SELECTOOLS_SQL)
    texts = [text for text in TEXTS if codec.printable(text) == text]
    insert = f"insert into {SELECTOOLS} (session_id, memory_json) values ('a', %s)"
    database.execute(insert, [Jsonb(memory(*(message("user", text) for text in texts)))])
    adopted(database, "--adopt")
    found = database.execute("select terms from parlant_store_session_item order by position")
    for text, (terms,) in zip(texts, found.fetchall(), strict=True):
        expected = text_search.tsvector(text_search.words(text)) or None
        is_same = database.execute("select %s::tsvector is not distinct from %s", [expected, terms])
        assert is_same.fetchone() == (True,), ascii(text[:50])
