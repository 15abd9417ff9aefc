"""Scenarios of single kinds."""

import json
from io import StringIO
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import transaction

from tests.matrix.personal_data import run
from tests.matrix.projects import Place, Project
from tests.matrix.scenarios import equal, eventually, scenario
from tests.matrix.stores import QUESTION, names
from tests.matrix.waits import add
from tests.matrix.web import ODD, PARSED, client


@scenario(own=True)
def watched(project: Any) -> None:
    """Whatever watches the project's statements sees the store's, the adapters' among them."""
    from parlant_store import store

    seen = project.seen
    calls = {
        "add_items": lambda: store.add_items("watched", [QUESTION]),
        "get_items": lambda: store.get_items("watched"),
        "insert_one": lambda: store.insert_one("watched", {"id": "a"}),
        "find": lambda: store.find("watched"),
        "adapter, asyncio.run": lambda: project.runs()[0](lambda: add("watched")),
        "adapter, async_to_sync": lambda: project.runs()[-1](lambda: add("watched")),
    }
    for name, call in calls.items():
        before = len(seen)
        call()
        assert any("parlant_store" in text for text in seen[before:]), f"{name} was not seen"


@scenario(own=True)
def reads_follow_the_router(project: Project) -> None:
    """With the option, plain reads come from the replica; what relies on a write does not."""
    from parlant_store import store

    store.add_items("reads", [QUESTION], user_id="rita")
    equal(store.get_items("reads"), [], "on the replica")
    equal(store.list_sessions(prefix="reads").sessions, ())
    with transaction.atomic():
        equal(store.get_items("reads"), [QUESTION], "in the caller's transaction")
    receipt = json.loads(run("store_erase", "--store", "default", "--user", "rita", "--noinput"))
    found = [(s["sessions"], s["left"]) for s in receipt["stores"]]
    equal(found[0], (1, 0), "erased of what the replica does not have")


@scenario(own=True)
def read_only(project: Any) -> None:
    """Where nothing may be written, what is read is answered, and a write is an error."""
    from parlant_store import store
    from parlant_store.exceptions import StoreError

    def read() -> None:
        equal(store.get_items("before"), [QUESTION])
        equal(store.get_items("expired"), [])
        equal([s.session_id for s in store.list_sessions().sessions], ["before"])
        equal([d["id"] for d in store.find("before").documents], ["a"])
        equal([hit.session_id for hit in store.search("lighthouse")], ["before"])
        equal(store.load_snapshot("before").items, [QUESTION])
        equal(store.list_collections(), ["before"])

    read()
    with transaction.atomic():
        read()
    equal(len(run("store_export", "--store", "default", "--user", "ada").splitlines()), 2)
    for name, call in {
        "add_items": lambda: store.add_items("before", [QUESTION]),
        "insert_one": lambda: store.insert_one("before", {"id": "b"}),
    }.items():
        try:
            call()
        except StoreError as exc:
            assert "read-only" in str(exc), f"{name}: {exc}"
        else:
            raise AssertionError(f"{name} raised nothing")
    read()
    equal(project.browser.get("/admin/parlant_store/session/").status_code, 200)


@scenario(own=True)
def cascade(project: Project) -> None:
    """Rows that point at what goes, with CASCADE, go with it."""
    from parlant_store import store
    from parlant_store.models import Document, Session, SessionItem

    rating, highlight, reading = map(model, ("Rating", "Highlight", "Reading"))
    for name in ("deleted", "expired", "revived"):
        store.add_items(f"cascade-{name}", [QUESTION])
        session = Session.objects.get(session_id=f"cascade-{name}")
        rating.objects.create(session=session)
        highlight.objects.create(item=SessionItem.objects.get(session=session))
    store.insert_one("cascade", {"id": "a"})
    reading.objects.create(document=Document.objects.get(collection="cascade"))
    expire_now("cascade-expired", "cascade-revived")
    store.add_items("cascade-revived", [QUESTION, QUESTION])
    equal(len(store.get_items("cascade-revived")), 2, "written to what had expired")
    call_command("store_expire", verbosity=0, stdout=StringIO())
    assert store.delete_session("cascade-deleted")
    equal(store.drop_collection("cascade"), 1)
    left = [name for name in names(project) if name.startswith("cascade")]
    equal(left, ["cascade-revived"])
    equal([found.objects.count() for found in (rating, highlight, reading)], [0, 0, 0])


@scenario(own=True)
def protect(project: Project) -> None:
    """A row that is protected stays and is named; the others go."""
    from django.core.management.base import CommandError

    from parlant_store import store
    from parlant_store.exceptions import StoreError
    from parlant_store.models import Session

    for number in range(3):
        store.add_items(f"protect-{number}", [QUESTION], user_id="paul")
    session = Session.objects.get(session_id="protect-1")
    invoice = model("Invoice").objects.create(session=session)
    try:
        store.delete_session("protect-1")
    except StoreError as exc:
        assert "nvoice" in str(exc), str(exc)
    else:
        raise AssertionError("a protected session was deleted")
    expire_now("protect-0", "protect-1")
    out, err = StringIO(), StringIO()
    try:
        call_command("store_expire", verbosity=1, stdout=out, stderr=err)
    except CommandError as exc:
        err.write(str(exc))
    left = sorted(name for name in names(project) if name.startswith("protect"))
    equal(left, ["protect-1", "protect-2"])
    assert "protect-1" in out.getvalue() + err.getvalue(), "the protected session is named"
    invoice.delete()
    call_command("store_expire", verbosity=0, stdout=StringIO())
    equal([name for name in names(project) if name.startswith("protect")], ["protect-2"])


def model(name: str) -> Any:
    return apps.get_model("ratings", name)


def expire_now(*session_ids: str) -> None:
    from datetime import timedelta

    from django.utils import timezone

    from parlant_store.models import Session

    past = timezone.now() - timedelta(seconds=1)
    Session.objects.filter(session_id__in=session_ids).update(expires_at=past)


@scenario(own=True)
def incomplete(project: Project) -> None:
    """Without the migrations: a check says so, each call works or says so, no page breaks."""
    from parlant_store import store
    from parlant_store.exceptions import StoreError

    calls = {
        "add_items": lambda: store.add_items("a", [QUESTION]),
        "get_items": lambda: len(store.get_items("a")),
        "search": lambda: len(store.search("lighthouse")),
        "insert_one": lambda: store.insert_one("c", {"id": "a"}),
        "find": lambda: len(store.find("c").documents),
        "expire": lambda: store.expire(),
    }
    answers: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            answers[name] = call()
        except StoreError as exc:
            answers[name] = exc
            assert "migrat" in str(exc).lower(), f"{name}: {exc!r}"
            assert "parlant_store." in checks(project), f"{name} fails, and no check says so"
    for write, read in (
        ("add_items", "get_items"),
        ("insert_one", "find"),
        ("add_items", "search"),
    ):
        if answers[write] is None and not isinstance(answers[read], StoreError):
            equal(answers[read], 1, f"{read} after {write}:")
    browser, failed = client(), []
    for path in ("", "session/", "document/"):
        for query in ODD + PARSED:
            url = f"/admin/parlant_store/{path}?{query}"
            if (response := browser.get(url)).status_code >= 500:
                failed.append((url[:90], repr(getattr(response, "exc_info", ["", ""])[1])[:200]))
    equal(failed, [])


@scenario(own=True)
def nothing_left(project: Project) -> None:
    """What the tests before this one wrote was rolled back."""
    from parlant_store.models import Document, Session

    found = [*Session.objects.values_list("session_id", flat=True)]
    equal([*found, *Document.objects.values_list("collection", flat=True)], [])


@scenario(own=True)
def broken(project: Project) -> None:
    """Connections that the server closed while nobody used them are opened anew, unnoticed."""
    from parlant_store import store

    project.runs()[0](lambda: add("broken"))
    kill_connections(project)
    equal(store.get_items("broken"), [QUESTION])
    project.runs()[0](lambda: add("broken"))
    kill_connections(project)
    project.runs()[-1](lambda: add("broken"))
    equal(len(store.get_items("broken")), 3)


def kill_connections(project: Project) -> None:
    statement = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with project.connect() as server:
        server.execute(statement)
        eventually(lambda: len(server.execute(statement).fetchall()) == 0, "all are closed")


@scenario(own=True)
def told_by_a_check(project: Project) -> None:
    """The check says that migrate and the admin do not know of the store's database."""
    said = checks(project)
    assert "parlant_store." in said, f"no check: {said!r}"
    assert "HINT" in said, said


def checks(project: Project) -> str:
    """What manage.py check --database says."""
    said = StringIO()
    try:
        call_command("check", databases=list(project.databases()), stdout=said, stderr=said)
    except SystemCheckError as exc:
        said.write(str(exc))
    return said.getvalue()


@scenario(own=True)
def queries(project: Project) -> None:
    """With DEBUG the store's threads keep no statements."""
    import gc

    from django.db import connections
    from django.db.backends.base.base import BaseDatabaseWrapper

    project.runs()[0](lambda: add("queries"))
    kept = [
        len(found.queries_log)
        for found in gc.get_objects()
        if isinstance(found, BaseDatabaseWrapper) and found is not connections[found.alias]
    ]
    equal(sum(kept), 0, "statements on other threads")


@scenario(own=True)
def renamed(project: Project) -> None:
    """After a schema got another name, calls work in it, or say what is to be done."""
    works_or_says(project, project.place)


@scenario(own=True)
def cloned(project: Any) -> None:
    """In the clone of a tenant's schema, calls work in it, or say what is to be done."""
    from django_tenants.clone import CloneSchema
    from django_tenants.utils import schema_context

    from parlant_store import store

    store.add_items("renamed", [{"of": "acme"}])
    CloneSchema().clone_schema("acme", "copy")
    with schema_context("copy"):
        works_or_says(project, Place("default", "copy"))
    with schema_context("acme"):
        equal(store.get_items("renamed"), [{"of": "acme"}], "the original has")


@scenario(own=True)
def triggers(project: Any) -> None:
    """Migrations of a schema leave the triggers of others, and each calls functions of its own."""
    with project.connect() as server:
        found = server.execute(
            "SELECT relnamespace::regnamespace::text, pronamespace::regnamespace::text, count(*)"
            " FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
            " JOIN pg_proc ON pg_proc.oid = tgfoid WHERE starts_with(tgname, 'parlant_store_')"
            " AND relnamespace::regnamespace::text IN ('public', 'acme', 'globex') GROUP BY 1, 2"
        ).fetchall()
    schemas = ["acme", "globex", "public"]
    equal(sorted(row[:2] for row in found), [(schema, schema) for schema in schemas])
    equal(len({row[2] for row in found}), 1, "numbers of triggers")


def works_or_says(project: Project, place: Place) -> None:
    from parlant_store import store
    from parlant_store.exceptions import StoreError

    before = project.texts()
    calls = {
        "add_items": lambda: store.add_items("renamed", [QUESTION]),
        "get_items": lambda: store.get_items("renamed")[-1:],
        "adapter": lambda: project.runs()[-1](lambda: add("renamed")),
        "insert_one": lambda: store.insert_one("renamed", {"id": "a"}),
        "find_one": lambda: store.find_one("renamed"),
    }
    answers: dict[str, Any] = {}
    for name, call in calls.items():
        try:
            answers[name] = call()
        except StoreError as exc:
            answers[name] = None
            assert "schema" in str(exc) or "migrat" in str(exc), f"{name}: {exc!r}"
        else:
            answers.setdefault("worked", []).append(name)
    worked = answers.get("worked", [])
    if "add_items" in worked and "get_items" in worked:
        equal(answers["get_items"], [QUESTION])
    if "insert_one" in worked and "find_one" in worked:
        equal(answers["find_one"], {"id": "a"})
    after = project.texts()
    elsewhere = {p: (before[p], after[p]) for p in after if p != place and before[p] != after[p]}
    equal(elsewhere, {}, "written elsewhere:")
    if len(worked) < len(calls):
        said = checks(project)
        assert "parlant_store." in said, f"only {worked} worked, and no check says so"


@scenario(own=True)
def prepare_load(project: Project) -> None:
    """What the processes of tests.matrix.load read."""
    from tests.matrix.load import prepare

    prepare()
