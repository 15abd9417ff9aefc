"""What migrate makes on PostgreSQL besides the models' tables."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from parlant_store.models import Session
from parlant_store.sql.functions import functions_sql
from tests.contract.values import numbered

COUNT = functions_sql().count("create or replace function")


def rows(sql: str, *params: object) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


def search(schema: str) -> None:
    """Let the connection work in ``schema``."""
    rows("SELECT set_config('search_path', quote_ident(%s), false)", schema)


def functions(schema: str = "public") -> list[tuple[object, ...]]:
    return rows(
        "SELECT proname, proconfig FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace"
        " WHERE nspname = %s AND proname LIKE 'parlant%%'",
        schema,
    )


def test_text_that_orders_is_compared_by_code_point(store):
    found = rows(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_name LIKE 'parlant_store_%%' AND collation_name = 'C'"
    )
    documents = {column for table, column in found if table == "parlant_store_document"}
    sessions = {column for table, column in found if table == "parlant_store_session"}
    promoted = {"id", "version", "creation_utc", "session_id", "customer_id", "agent_id"}
    assert documents == {"collection", *promoted}
    assert sessions == {"namespace", "session_id", "user_id", "parent_id"}


def test_no_function_fixes_its_search_path(store):
    found = functions()
    assert len(found) == COUNT
    assert "search_path" not in str([settings for _, settings in found])


def test_migrating_back_takes_the_functions_away(store):
    try:
        call_command("migrate", "parlant_store", "zero", verbosity=0)
        assert functions() == []
    finally:
        call_command("migrate", "parlant_store", verbosity=0)
    assert len(functions()) == COUNT
    store.add_items("s", numbered(1))
    assert store.get_items("s") == numbered(1)


def test_sqlmigrate_shows_the_functions(store):
    out = StringIO()
    call_command("sqlmigrate", "parlant_store", "0001", stdout=out)
    assert "create or replace function parlant_store_add_items" in out.getvalue().lower()


@pytest.fixture
def tenant(store):
    """A schema of its own, as one for each tenant has it."""
    rows('CREATE SCHEMA "Ten\'ant"')
    search("Ten'ant")
    yield "Ten'ant"
    search("public")
    rows('DROP SCHEMA "Ten\'ant" CASCADE')


def test_another_schema_has_tables_and_functions_of_its_own(store, tenant):
    call_command("migrate", verbosity=0)
    assert len(functions(tenant)) == COUNT
    store.add_items("s", numbered(1))
    store.set_metadata("s", {"a": 1})
    assert Session.objects.count() == 1
    search("public")
    assert not store.exists("s")
    store.add_items("s", numbered(2))
    search(tenant)
    assert store.get_items("s") == numbered(1)
    assert store.pop_item("s") == {"n": 1}
