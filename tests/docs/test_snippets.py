"""The code and the settings of README.md and the other pages."""

import ast
import asyncio
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient, override_settings
from django.urls import path

from parlant_store import conf
from tests.docs.pages import ELSEWHERE, PAGES, README, ROOT, blocks, kind, of_kind
from tests.docs.projects import MODULES, manage, succeed, write_project


@pytest.mark.any_database
@pytest.mark.parametrize("page", ELSEWHERE)
def test_pages_that_are_followed_elsewhere(page):
    assert Path(ROOT, "docs", page) in PAGES
    assert page in Path(ROOT, ELSEWHERE[page]).read_text("utf-8")


@pytest.mark.any_database
def test_every_block_is_run_by_a_test():
    run_here = {"python", "script", "sh", "settings.py", "settings for PostgreSQL", *MODULES}
    run_here |= {"models.py", "tests.py", "test_agents.py"}
    unknown = [block.where for block in blocks() if kind(block) not in run_here]
    assert not unknown, f"teach {Path(__file__).name} to run the blocks at {', '.join(unknown)}"
    assert run_here == {kind(block) for block in blocks()}


def asserting(source: str) -> str:
    """``source`` with each result that a comment after code shows turned into an assertion."""
    lines = []
    for line in source.splitlines():
        code, _, shown = line.partition("  # ")
        if shown and code.strip():
            ast.literal_eval(shown)
            ast.parse(code, mode="eval")
            line = f"assert ({code}) == ({shown}), ({code!r}, ({code}))"
        lines.append(line)
    return "\n".join(lines)


@pytest.mark.any_database
def test_a_wrong_result_in_a_comment_is_noticed():
    with pytest.raises(AssertionError):
        exec(asserting("1 + 1  # 3"), {})
    exec(asserting("1 + 1  # 2"), {})


@pytest.mark.parametrize("block", of_kind("python"))
def test_python(block, store):
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(asserting(block.text), block.where, "exec"), names)
    if "agent" in names:
        reply_offline(names, store)
    if "history" in names:
        show_history(names["history"])


def reply_offline(names: dict[str, Any], store: Any) -> None:
    from agents import set_tracing_disabled

    from project.demo_agent import ScriptedModel

    set_tracing_disabled(True)
    names["agent"].model = ScriptedModel()
    answer = asyncio.run(names["reply"]("session-1", "ada", "Hello."))
    session = store.get_session("session-1", namespace="guide")
    assert (answer, session.user_id, session.item_count) == ("Where do you live?", "ada", 2)


def show_history(view: Any) -> None:
    """The async view, as a server of ASGI calls it."""

    class urls:
        urlpatterns = (path("<session_id>/", view),)

    async def post(text: str) -> Any:
        return (await AsyncClient().post("/session-1/", {"text": text})).json()["items"]

    async def posts() -> Any:
        return await post("hello"), await post("again")

    with override_settings(ROOT_URLCONF=urls):
        first, second = asyncio.run(posts())
    assert first == [{"role": "user", "content": "hello"}]
    assert second == [*first, {"role": "user", "content": "again"}]


@pytest.mark.any_database
@pytest.mark.parametrize("block", of_kind("script"))
def test_script(block, tmp_path):
    then = """
        import asyncio
        from parlant_store.adapters.openai_agents import Session
        assert asyncio.run(Session("session-1").get_items())[0]["content"] == "hello"
        """
    succeed(tmp_path, sys.executable, "-c", block.text + textwrap.dedent(then))
    assert Path(tmp_path, "agents.sqlite3").exists()


@pytest.mark.any_database
def test_settings(migrated):
    checked = manage(migrated, "check", "--database", "default", "--fail-level", "WARNING")
    assert "parlant_store" not in checked
    code = """
        from parlant_store import store
        print(store.find("c").documents, store.using)
        print(store._connection().alias, store.reads)
        """
    assert "() None\nreplica router" in manage(migrated, "shell", "-c", textwrap.dedent(code))


@pytest.mark.any_database
def test_the_default_that_is_shown_is_the_default():
    (text,) = [b.text for b in blocks() if b.text.startswith("# settings.py\nPARLANT_STORES = ")]
    names: dict[str, Any] = {}
    exec(text, names)
    assert names["PARLANT_STORES"] == conf.DEFAULT


@pytest.mark.any_database
def test_sqlite_without_the_recommended_options_is_warned_of(tmp_path):
    write_project(tmp_path, ['INSTALLED_APPS += ["parlant_store"]'])
    warned = manage(tmp_path, "check")
    assert "parlant_store.W001" in warned
    assert "database is locked" in README.read_text("utf-8")


@pytest.mark.any_database
@pytest.mark.parametrize("block", of_kind("settings for PostgreSQL"))
def test_settings_for_postgresql(block, tmp_path):
    write_project(tmp_path, ['INSTALLED_APPS += ["parlant_store"]', block.text])
    manage(tmp_path, "check", "--fail-level", "WARNING")
    code = """
        from django.db import connection
        from parlant_store import store
        from parlant_store.backends.orm.database.connection import may_prepare

        print(store.executor.count, "threads, prepared:", may_prepare(connection))
        """
    # Without a server: the settings alone decide.
    said = manage(tmp_path, "shell", "-c", textwrap.dedent(code))
    assert "5 threads, prepared: False" in said
    with Path(tmp_path, "settings.py").open("a") as file:
        file.write("del PARLANT_STORES\n")
    said = manage(tmp_path, "check")
    assert "parlant_store.W015" in said
    assert "Set its threads to 5" in said


@pytest.mark.parametrize("block", of_kind("tests.py"))
def test_tests(block, tested_project):
    Path(tested_project, "tests.py").write_text(block.text)
    count = block.text.count("def test_")
    assert f"Ran {count} test" in manage(tested_project, "test", "--noinput")


@pytest.mark.parametrize("block", of_kind("test_agents.py"))
def test_tests_of_pytest(block, tested_project):
    Path(tested_project, "test_agents.py").write_text(block.text)
    Path(tested_project, "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = settings\n")
    said = succeed(tested_project, sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    assert f"{block.text.count('def test_')} passed" in said


@pytest.mark.any_database
def test_tenants(migrated):
    """What the option's function returns is entered around the call, on the store's thread."""
    code = """
        import asyncio
        from threading import current_thread
        from parlant_store.adapters.openai_agents import Session
        from parlant_store.signals import session_saved
        from tenants import current_tenant, use_tenant

        def receive(**kwargs):
            print(current_tenant(), "on", current_thread().name)

        session_saved.connect(receive)
        with use_tenant("acme"):
            asyncio.run(Session("session-1").add_items([{}]))
        asyncio.run(Session("session-1").add_items([{}]))
        """
    said = manage(migrated, "shell", "-c", textwrap.dedent(code))
    assert "acme on store-default-0\nNone on store-default-0" in said


@pytest.mark.any_database
def test_views(migrated):
    """A view writes by the store and by an adapter, in the transaction of its request."""
    code = """
        from django.http import JsonResponse
        from django.test import Client
        from django.urls import path
        from parlant_store import store
        import views

        def failing(request):
            views.message(request)
            raise ValueError("after both have written")

        class urls:
            urlpatterns = [path("message", views.message), path("failing", failing)]

        client = Client(raise_request_exception=False)
        from django.test import override_settings
        with override_settings(ROOT_URLCONF=urls, ALLOWED_HOSTS=["testserver"]):
            items = client.post("/message", {"text": "hello"}).json()["items"]
            print([item["content"] for item in items])
            print(client.post("/failing", {"text": "hello"}).status_code)
            print(len(store.get_items("session-1")), "items")
        """
    said = manage(migrated, "shell", "-c", textwrap.dedent(code))
    assert "['hello', 'Thank you.']" in said
    assert "500\n2 items" in said


@pytest.mark.any_database
def test_an_adapter_in_the_callers_own_transaction(migrated):
    """It is not let wait for itself, and the error says what the page says."""
    code = """
        from asgiref.sync import async_to_sync
        from django.db import transaction
        from parlant_store import store
        from parlant_store.adapters.openai_agents import Session
        from parlant_store.exceptions import StoreUnavailable

        with transaction.atomic():
            store.add_items("session-1", [{}])
            try:
                async_to_sync(Session("session-1").add_items)([{}])
            except StoreUnavailable as exc:
                print(exc)
            async_to_sync(Session("session-1", store="request").add_items)([{}])
        print(len(store.get_items("session-1")), "items")
        """
    said = manage(migrated, "shell", "-c", textwrap.dedent(code))
    assert "caller's own (transaction.atomic, ATOMIC_REQUESTS)" in said
    assert "option threads: 0" in said
    assert "2 items" in said


@pytest.mark.any_database
@pytest.mark.parametrize("block", of_kind("models.py"))
def test_models(block, migrated):
    Path(migrated, "shop").mkdir()
    Path(migrated, "shop", "__init__.py").touch()
    Path(migrated, "shop", "models.py").write_text(block.text)
    with Path(migrated, "settings.py").open("a") as file:
        file.write('INSTALLED_APPS += ["shop"]\n')
    manage(migrated, "makemigrations", "shop")
    manage(migrated, "migrate")
    code = """
        import sys
        from django.core.management import call_command
        from django.utils import timezone
        from parlant_store import store
        from parlant_store.models import Session
        from shop.models import Complaint, Rating

        for name, model, fields in [("a", Rating, {"stars": 5}), ("b", Complaint, {})]:
            store.add_items(name, [{"role": "user", "content": "hello"}])
            model.objects.create(session=Session.objects.get(session_id=name), **fields)
            store.set_expiry(name, timezone.now())
        call_command("store_expire", stderr=sys.stdout)
        print(Rating.objects.count(), Complaint.objects.count())
        """
    said = manage(migrated, "shell", "-c", textwrap.dedent(code))
    assert "removed 1 sessions" in said
    assert "session 'b' is protected by shop.Complaint 1" in said
    assert "\n0 1\n" in said
