"""What supabase_sql makes of the tables and functions of another version, and of their rows."""

import re
from pathlib import Path
from typing import Any

import pytest

from parlant_store.sql.computed_columns import COLUMNS
from tests.sql.supabase.catalogs import differences, everything
from tests.sql.supabase.databases import Database, emitted
from tests.sql.supabase.test_orders import made as made
from tests.sql.supabase.test_orders import published as published

FIRST = Path(__file__).with_name("first_version.sql")
"""What supabase_sql --policy owner printed before the first release."""

USER = "00000000-0000-0000-0000-00000000000a"
FILL = f"""
    insert into parlant_store_document (collection, id, customer_id, data, expires_at)
        select collection, 'd' || n, '{USER}', jsonb_build_object(
            'id', 'd' || n, 'n', n, 'customer_id', '{USER}'
        ), null
        from generate_series(1, 50) n, unnest(array['notes', 'other']) collection;
    insert into parlant_store_session (
        namespace, session_id, user_id, metadata, state, next_position, item_count, tokens
    ) select '', 's' || n, '{USER}', '{{"a": [1.0]}}', '{{}}', 2, 2, n
        from generate_series(1, 20) n;
    insert into parlant_store_session_item (session_key, position, data, terms, text)
        select key, n, '{{"n": 1.0}}', 'word', 'word'
        from parlant_store_session, generate_series(0, 1) n;
    insert into parlant_store_request (id, answer) select gen_random_uuid(), 'a'
        from generate_series(1, 3);
"""
OPTIONS: dict[str, dict[str, Any]] = {
    "service": {"policy": "service"},
    "owner": {"policy": "owner", "realtime": True, "user_collections": "notes"},
    "partitions": {"policy": "owner", "collections": "notes", "user_collections": "notes"},
}


OBJECTS = """
    select oid, relfilenode, relname from pg_class where relname ~ 'parlant' union all
    select oid, 0, proname from pg_proc where proname ~ '^parlant' order by 1
"""
"""What a script that has nothing to do leaves as it is, and does not make anew."""


TABLES = ("document", "session", "session_item", "request")


def columns(database: Database) -> list[str]:
    """The columns of each table."""
    return [
        database.execute(
            "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute"
            f" where attrelid = 'parlant_store_{table}'::regclass and attnum > 0"
            " and not attisdropped"
        ).fetchone()[0]
        for table in TABLES
    ]


def rows(database: Database, names: list[str]) -> list[Any]:
    return [
        sorted(map(repr, database.execute(f"select {these} from parlant_store_{table}")))
        for table, these in zip(TABLES, names, strict=True)
    ]


def users_items(database: Database) -> Any:
    """What today's functions read for the user."""
    with database.transaction():
        database.execute("set local role authenticated")
        database.execute(
            "select set_config('request.jwt.claims', %s, true)", [f'{{"sub": "{USER}"}}']
        )
        return database.execute(
            "select parlant_store_get_items('', 's7', null, now())::jsonb,"
            " jsonb_array_length((parlant_store_find('notes', '{\"all\": []}', 99, null, null,"
            " 'asc', null, now()) ->> 'documents')::jsonb)"
        ).fetchone()


@pytest.mark.parametrize("which", OPTIONS)
def test_the_first_version_becomes_this_one(made, which):
    script = emitted(**OPTIONS[which])
    database = made(FIRST.read_text(), FILL)
    names = columns(database)
    before = rows(database, names)
    assert [len(each) for each in before] == [100, 20, 40, 3]
    wanted = everything(made(script))
    database.execute(script)
    objects = database.execute(OBJECTS).fetchall()
    for _ in range(2):
        assert rows(database, names) == before
        assert differences(everything(database), wanted) == []
        assert database.execute(OBJECTS).fetchall() == objects
        database.execute(script)
    if which != "service":
        assert users_items(database) == (['{"n": 1.0}'] * 2, 50)


def test_threads_that_were_closed_or_had_no_words_are_opened(made):
    script = emitted(policy="owner")
    database = made(script)
    wanted = everything(database)
    for table in ("thread", "checkpoint", "channel_value", "checkpoint_write"):
        name = f"parlant_store_{table}"
        database.execute(
            f"revoke all on {name} from authenticated;"
            f"drop policy parlant_store_owner on {name};"
            f"drop policy parlant_store_reading on {name};"
            f"drop trigger parlant_store_{'own' if table == 'thread' else 'mark'} on {name}"
        )
    database.execute("revoke execute on all functions in schema public from authenticated")
    database.execute("drop table parlant_store_thread_message")
    assert differences(everything(database), wanted)
    database.execute(script)
    assert differences(everything(database), wanted) == []


def test_generated_columns_become_computed_ones(made):
    script = emitted(policy="owner")
    database = made(script)
    wanted = without_place(everything(database))
    for table, columns in COLUMNS.items():
        database.execute(f"drop trigger {table}_compute on {table}")
        for column, (source, kind) in columns.items():
            type_ = "text" if column == "framework" else "bigint"
            # The policies name the columns; the script creates them again.
            database.execute(
                f"alter table {table} drop column {column} cascade; alter table {table} add column"
                f" {column} {type_} generated always as ({kind.postgresql.format(source)}) stored"
            )
    database.execute(
        "insert into parlant_store_session (namespace, session_id, metadata, state, next_position,"
        """ item_count, updated_at) values ('', 's', '{}', '{"selectools": 1}', 5, 5, 'epoch')"""
    )
    for count in (5, 9):
        database.execute(script)
        assert differences(without_place(everything(database)), wanted) == []
        values = "active_minute, framework, length_class"
        found = database.execute(f"select {values} from parlant_store_session").fetchone()
        assert found == (0, "selectools", 2 if count == 5 else 3)
        database.execute("update parlant_store_session set item_count = 9, active_minute = 7")


@pytest.mark.parametrize("which", ["service", "partitions"])
def test_a_migration_that_changes_tables_is_part_of_the_script(made, settings, which):
    today = emitted(**OPTIONS[which])
    own = "alter table parlant_store_session {} column own {}"
    added = own.format("add", "int not null default 1")
    database = made(today, FILL, f"{added}; {own.format('alter', 'drop default')}")
    kept = "count(*), min(key)"
    before = {
        table: database.execute(f"select {kept} from parlant_store_{table}").fetchone()
        for table in ("document", "session", "session_item")
    }
    settings.MIGRATION_MODULES = {"parlant_store": "tests.sql.supabase.next_migrations"}
    script = emitted(**OPTIONS[which])
    assert "parlant_store_note" in script
    for _ in range(2):
        database.execute(script)
        for table, counted in before.items():
            sql = f"select {kept} from parlant_store_{table}"
            assert database.execute(sql).fetchone() == counted
        found = everything(database)
    assert database.execute(
        "select distinct title, weight, seen_at is null from parlant_store_session"
    ).fetchall() == [("it's new", 7, False)]
    assert database.execute(
        "select distinct labels, language, pg_typeof(labels)::text from parlant_store_document"
    ).fetchall() == [({}, None, "jsonb")]
    assert database.execute("select tokens from parlant_store_session limit 1").fetchone() == ("1",)
    assert database.execute(
        "select distinct tokens from parlant_store_session_item"
    ).fetchall() == [(3,)]
    # What is no longer the app's stays, and refuses no row that does not have it.
    database.execute(
        "insert into parlant_store_session (namespace, session_id, metadata, state, next_position,"
        " item_count, tokens, title) values ('', 'new', '{}', '{}', 0, 0, '0', '')"
    )
    wanted = everything(made(script))
    left = differences(without_place(found), without_place(wanted))
    # PostgreSQL names the indexes of partitions that are there already.
    expected = ["'own'", *(["_language_idx", "doc_l"] if "collections" in OPTIONS[which] else [])]
    assert all(any(name in row for name in expected) for row in left), left


def without_place(catalog: dict[str, list[str]]) -> dict[str, list[str]]:
    """Columns without their numbers, which those of new tables have in another order."""
    columns = [re.sub(r"(None|\]), \d+, '", r"\1, '", row, count=1) for row in catalog["columns"]]
    return catalog | {"columns": sorted(columns)}
