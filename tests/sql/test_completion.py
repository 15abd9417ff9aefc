"""What stands in a database beside the tables, where it is missing, and where all of it is."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.conftest import VENDOR
from tests.projects import fresh_database, run_project

pytestmark = [pytest.mark.orm, pytest.mark.django_db(transaction=True)]

WORKS = """
    store.add_items("s", ITEMS)
    assert store.get_items("s") == ITEMS
    assert [hit.session_id for hit in store.search("hello")] == ["s"]
    store.insert_one("c", {"id": "d"})
    assert store.find_one("c", {"id": {"$eq": "d"}}) == {"id": "d"}
    store.update_one("c", {"id": {"$eq": "d"}}, {"a": 1})
    assert store.delete_session("s")
    assert checked() == {}, checked()
"""
NO_MIGRATIONS = {"parlant_store": None}


@pytest.fixture
def fresh(tmp_path):
    with fresh_database(tmp_path) as entry:
        yield {"default": entry}


def test_migrate_makes_all(tmp_path, fresh):
    run_project(tmp_path, "migrate()\n" + dedent(WORKS), fresh)


def test_without_migrations_all_is_there(tmp_path, fresh):
    code = "migrate(run_syncdb=True)\n" + dedent(WORKS)
    run_project(tmp_path, code, fresh, MIGRATION_MODULES=NO_MIGRATIONS)


def test_a_test_run_without_migrations_works(tmp_path, fresh):
    """As pytest --nomigrations, and TEST["MIGRATE"] = False, have Django make the tables."""
    code = """
    from django.test.utils import get_runner, setup_test_environment
    from django.conf import settings
    setup_test_environment()
    runner = get_runner(settings)(verbosity=0, interactive=False)
    old = runner.setup_databases()
    """
    code = dedent(code) + dedent(WORKS) + "\nstores.close_all()"
    code += "\nrunner.teardown_databases(old)"
    fresh["default"]["TEST"] = {"MIGRATE": False}
    if VENDOR == "sqlite3":
        fresh["default"]["TEST"]["NAME"] = str(tmp_path / "test.sqlite3")
    run_project(tmp_path, code, fresh)


BROKEN = {
    "sqlite3": {
        "DROP TABLE parlant_store_session_item_fts": "parlant_store.W012",
        "DROP TRIGGER parlant_store_session_item_fts_insert": "parlant_store.W012",
        "DROP TRIGGER parlant_store_session_item_fts_delete": "parlant_store.W012",
        "DROP TRIGGER parlant_store_event_insert": "parlant_store.W022",
    },
    "postgresql": {
        "DROP INDEX parlant_store_item_terms": "parlant_store.W012",
        "DROP TRIGGER parlant_store_event_insert ON parlant_store_document": "parlant_store.W022",
        "DROP FUNCTION parlant_store_delete_session": "parlant_store.W011",
        "CREATE OR REPLACE FUNCTION parlant_store_version() RETURNS text LANGUAGE sql"
        " AS $$ select 'other' $$; DROP FUNCTION parlant_store_pop_item;"
        " CREATE FUNCTION parlant_store_pop_item(text) RETURNS int LANGUAGE sql"
        " AS $$ select 1 $$": "parlant_store.W011",
    },
}


def test_what_is_missing_is_said_and_made_by_migrate(tmp_path, fresh):
    begin = """
    migrate()
    store.add_items("before", ITEMS)
    client = admin()
    """
    works = dedent(WORKS).replace('["s"]', '["before", "s"]') + 'store.delete_one("c", {})'
    code = dedent(begin) + "".join(
        dedent(breaking(statement, id_)) + works for statement, id_ in BROKEN[VENDOR].items()
    )
    run_project(tmp_path, code, fresh)


def breaking(statement: str, id_: str) -> str:
    return f"""
    with connection.cursor() as cursor:
        cursor.execute({statement!r})
    assert list(checked()) == [{id_!r}], checked()
    assert "manage.py migrate" in checked()[{id_!r}]
    said = [raised(store.add_items, "s", ITEMS), raised(store.search, "hello")]
    said += [raised(store.delete_session, "s"), raised(store.pop_item, "s")]
    print(said)
    assert all(one is None or "; run manage.py migrate" in one for one in said), said
    is_slow = {VENDOR!r} == "postgresql" and "INDEX" in {statement!r}
    assert any(said) or is_slow or {id_!r} == "parlant_store.W022", said
    for url in ("", "session/", "session/?q=hello", "session/overview/", "session/stores/"):
        assert client.get("/admin/parlant_store/" + url, follow=True).status_code == 200, url
    migrate()
    store.delete_session("s")
    assert [hit.session_id for hit in store.search("hello")] == ["before"]
    """


def test_tables_that_are_missing_are_said(tmp_path, fresh):
    code = """
    assert list(checked()) == ["parlant_store.W010"]
    assert "Run manage.py migrate." in checked()["parlant_store.W010"]
    for call in (store.get_items, store.pop_item, store.exists, store.list_versions):
        assert "BackendError" in raised(call, "s"), call
        assert raised(call, "s").endswith("; run manage.py migrate"), raised(call, "s")
    export, erase = ["store_export", "--user", "a"], ["store_erase", "--user", "a", "--noinput"]
    for command in (["store_expire"], export, erase):
        assert "CommandError" in raised(call_command, *command)
    """
    run_project(tmp_path, code, fresh)


def test_a_store_in_a_second_database_without_a_router(tmp_path, fresh):
    with fresh_database(tmp_path) as second:
        code = """
        migrate()
        assert list(checked("default", "other")) == ["parlant_store.W010"]
        assert checked("default") == {}
        hint = "manage.py migrate --database other"
        assert hint in checked("default", "other")["parlant_store.W010"]
        assert raised(store.get_items, "s").endswith("; run " + hint)
        assert raised(store.add_items, "s", ITEMS).endswith("; run " + hint)
        assert "CommandError" in raised(call_command, "store_expire")
        client = admin()
        urls = ["", "session/", "document/", "session/stores/", "session/overview/"]
        urls += ["session/stores/sessions/?store=default", "session/stores/sweep/?store=default"]
        urls += ["session/stores/documents/?store=default"]
        for url in urls:
            assert client.get("/admin/parlant_store/" + url, follow=True).status_code == 200, url
        migrate(database="other")
        """
        after = """
        assert checked("default", "other") == {}
        store.add_items("s", ITEMS, user_id="ada")
        for url in urls:
            assert client.get("/admin/parlant_store/" + url, follow=True).status_code == 200, url
        data = {"action": "delete", "session": '["","s"]', "confirmed": "yes"}
        url = "/admin/parlant_store/session/stores/sessions/change/?store=default"
        assert client.post(url, data).status_code in (200, 302)
        call_command("store_erase", "--user", "ada", "--noinput")
        assert not store.exists("s")
        """
        run_project(
            tmp_path,
            dedent(code) + dedent(WORKS) + dedent(after),
            fresh | {"other": second},
            PARLANT_STORES={"default": {"OPTIONS": {"using": "other"}}},
        )


def test_a_router_may_give_the_app_a_database_of_its_own(tmp_path, fresh):
    Path(tmp_path, "own_router.py").write_text(
        dedent("""
        class Router:
            def db_for_read(self, model, **hints):
                return "other" if model._meta.app_label == "parlant_store" else "default"

            db_for_write = db_for_read

            def allow_migrate(self, db, app_label, **hints):
                return (db == "other") == (app_label == "parlant_store")
        """)
    )
    with fresh_database(tmp_path) as second:
        code = """
        migrate()
        assert list(checked("default", "other")) == ["parlant_store.W010"]
        assert raised(store.get_items, "s").endswith("; run manage.py migrate --database other")
        migrate(database="other")
        assert checked("default", "other") == {}
        assert "parlant_store_session" not in connection.introspection.table_names()
        """
        after = """
        client = admin()
        store.add_items("s", ITEMS, user_id="ada")
        for url in ["", "session/", "session/?q=hello", "document/", "session/stores/"]:
            assert client.get("/admin/parlant_store/" + url, follow=True).status_code == 200, url
        from parlant_store.models import Session
        key = Session.objects.get(session_id="s").pk
        assert client.get(f"/admin/parlant_store/session/{key}/change/").status_code == 200
        data = {"action": "remove", "_selected_action": [key], "keys": str(key), "confirmed": "yes"}
        assert client.post("/admin/parlant_store/session/", data).status_code == 302
        assert not store.exists("s")
        """
        run_project(
            tmp_path,
            dedent(code) + dedent(WORKS) + dedent(after),
            fresh | {"other": second},
            DATABASE_ROUTERS=["own_router.Router"],
        )


def test_a_router_that_needs_a_request_is_not_asked_before_there_is_one(tmp_path, fresh):
    Path(tmp_path, "own_router.py").write_text(
        dedent("""
        from contextvars import ContextVar

        tenant = ContextVar("tenant")

        class Router:
            def db_for_read(self, model, **hints):
                return tenant.get() if model._meta.app_label == "parlant_store" else None

            db_for_write = db_for_read
        """)
    )
    with fresh_database(tmp_path) as second:
        code = """
        migrate()
        from own_router import tenant
        assert list(checked("default", "other")) == ["parlant_store.W010"]
        migrate(database="other")
        assert checked("default", "other") == {}
        import asyncio
        from parlant_store.adapters.openai_agents import Session
        for alias in ("default", "other"):
            tenant.set(alias)
            asyncio.run(Session(alias).add_items(ITEMS))
        for alias in ("default", "other"):
            tenant.set(alias)
            assert [one.session_id for one in store.list_sessions().sessions] == [alias]
        """
        run_project(
            tmp_path, code, fresh | {"other": second}, DATABASE_ROUTERS=["own_router.Router"]
        )


def test_a_database_that_cannot_be_reached_is_said(tmp_path, fresh):
    fresh["default"] |= (
        {"NAME": str(tmp_path / "no" / "such" / "file")}
        if VENDOR == "sqlite3"
        else {"HOST": "127.0.0.1", "PORT": "1"}
    )
    code = """
    assert list(checked()) == ["parlant_store.W014"]
    assert raised(store.get_items, "s").startswith("StoreUnavailable")
    """
    run_project(tmp_path, code, fresh)
