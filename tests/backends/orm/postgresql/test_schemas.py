"""Schemas that are renamed or copied after migrate, and what the functions do then."""

import pytest

from tests.projects import fresh_database, run_project

pytestmark = pytest.mark.django_db(transaction=True)

_IN_SCHEMA = """
def run(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []

def count(schema):
    return run(f"SELECT count(*) FROM {schema}.parlant_store_session")[0][0]

def search(schema):
    run(f"SET search_path TO {schema}")

run("CREATE SCHEMA a")
search("a")
migrate()
store.add_items("s", ITEMS)
"""
_WORKS = """
assert store.get_items("s") == ITEMS
store.add_items("t", ITEMS, ttl_seconds=100)
store.set_metadata("t", {"a": 1})
store.insert_one("c", {"id": "d"})
assert [hit.session_id for hit in store.search("hello")] == ["s", "t"]
assert store.pop_item("t") == ITEMS[0]
store.expire()
"""


@pytest.fixture
def project(tmp_path):
    with fresh_database(tmp_path) as entry:
        yield lambda code: run_project(tmp_path, _IN_SCHEMA + code, {"default": entry})


def test_a_renamed_schema_goes_on(project):
    project(f"run('ALTER SCHEMA a RENAME TO b')\nsearch('b')\n{_WORKS}\nassert checked() == {{}}")


def test_a_new_schema_of_the_old_name_gets_nothing(project):
    project(f"""
run("ALTER SCHEMA a RENAME TO b")
run("CREATE SCHEMA a")
search("a")
migrate()
search("b")
{_WORKS}
assert (count("a"), count("b")) == (0, 2)
assert checked() == {{}}, checked()
""")


CLONE = """
run("CREATE SCHEMA b")
for name in connection.introspection.table_names():
    run(f"CREATE TABLE b.{name} (LIKE a.{name} INCLUDING ALL)")
    columns = ", ".join(column for (column,) in run(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'a'"
        f" AND table_name = '{name}' AND is_generated = 'NEVER'"
    ))
    run(f"INSERT INTO b.{name} ({columns}) SELECT {columns} FROM a.{name}")
for name in ("session", "session_item", "document"):
    run(f"SELECT setval(pg_get_serial_sequence('b.parlant_store_{name}', 'key'), 100)")
"""
COPY_FUNCTIONS = """
run("SET check_function_bodies TO off")
for (text,) in run(
    "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace"
    " WHERE nspname = 'a' AND prokind = 'f'"
):
    run(text.replace(" a.", " b."))
for (text,) in run(
    "SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid"
    " WHERE relnamespace = 'a'::regnamespace AND NOT tgisinternal"
):
    run(text.replace(" a.", " b."))
"""


def test_a_copied_schema_works_on_itself(project):
    project(f"""
{CLONE}
search("b")
{COPY_FUNCTIONS}
{_WORKS}
assert (count("a"), count("b")) == (1, 2)
assert checked() == {{}}, checked()
""")


def test_a_copy_without_functions_says_so_and_migrate_makes_them(project):
    project(f"""
{CLONE}
search("b")
assert list(checked()) == ["parlant_store.W011", "parlant_store.W022"], checked()
assert "; run manage.py migrate" in (said := raised(store.add_items, "t", ITEMS) or ""), said
assert count("a") == 1
migrate()
assert checked() == {{}}, checked()
{_WORKS}
assert (count("a"), count("b")) == (1, 2)
""")


def test_functions_of_supabase_in_a_renamed_schema_are_said(project):
    """These name their schema, which Supabase asks of functions."""
    project("""
from parlant_store.sql.functions import functions_sql
run(functions_sql("a"))
assert checked() == {}, checked()
run("ALTER SCHEMA a RENAME TO b")
search("b")
assert list(checked()) == ["parlant_store.W013"]
assert "search_path=a" in checked()["parlant_store.W013"]
migrate()
assert checked() == {}, checked()
store.add_items("t", ITEMS)
""")
