"""A replica that lags behind, as ``other``: which reads may see it, and which may not."""

import asyncio
import inspect
import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings
from parlant.core.persistence.document_database import identity_loader

from parlant_store import stores
from parlant_store.adapters.openai_agents import Session as AgentSession
from parlant_store.adapters.parlant import DocumentDatabase
from parlant_store.backends.orm import OrmBackend
from parlant_store.backends.reads import primary_reads
from parlant_store.models import Document, Session
from parlant_store.signals import session_loaded
from parlant_store.types import Retention
from tests.adapters.parlant.test_database import Note, note
from tests.admin.actions.action_forms import ask, do, hidden, sentences
from tests.admin.pages import client as client
from tests.contract.async_methods import receiving
from tests.contract.personal_data import fill
from tests.contract.snapshot_values import said
from tests.contract.values import numbered

pytestmark = [
    pytest.mark.orm,
    pytest.mark.django_db(databases=["default", "other"], transaction=True),
]


class Replicated:
    """Reads from the replica, writes to the primary."""

    def db_for_read(self, model, **hints):
        return "other" if model._meta.app_label == "parlant_store" else None

    def db_for_write(self, model, **hints):
        return "default"

    def allow_relation(self, first, second, **hints):
        return True


@pytest.fixture(autouse=True)
def replicated(settings, request):
    settings.DATABASE_ROUTERS = [Replicated()]
    reads = getattr(request, "param", "router")
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"reads": reads}}}
    yield
    stores.close_all()


@pytest.fixture
def primary():
    """The store as its users have it."""
    return stores["default"]


@pytest.fixture
def replica():
    """Writes what the replica got to know before it lagged."""
    return OrmBackend("replica", using="other")


READS = {
    "get_items": lambda store: store.get_items("s"),
    "get_session": lambda store: store.get_session("s"),
    "exists": lambda store: store.exists("s"),
    "get_metadata": lambda store: store.get_metadata("s"),
    "list_sessions": lambda store: store.list_sessions().sessions,
    "list_summaries": lambda store: [*store.list_summaries()],
    "search": lambda store: store.search("words"),
    "find": lambda store: store.find("c").documents,
    "find_one": lambda store: store.find_one("c", {"id": {"$eq": "d"}}),
    "get_document": lambda store: store.get_document("c", "d"),
    "list_collections": lambda store: store.list_collections(),
}


class Awaited:
    """The asynchronous variants of a store, each in an event loop of its own."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        variant = getattr(self._store, f"a{name}")

        async def call(*args, **kwargs):
            if inspect.isasyncgenfunction(variant):
                return [one async for one in variant(*args, **kwargs)]
            return await variant(*args, **kwargs)

        return lambda *args, **kwargs: asyncio.run(call(*args, **kwargs))


def written(store):
    store.add_items("s", [{"role": "user", "content": "words"}])
    store.set_metadata("s", {"a": 1})
    store.insert_one("c", {"id": "d"})


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("replicated", ["primary"], indirect=True)
def test_reads_go_where_writes_go_by_default(primary, read):
    written(primary)
    assert READS[read](primary)


@pytest.mark.parametrize("read", READS)
def test_plain_reads_may_follow_the_router(primary, read):
    written(primary)
    assert not READS[read](primary)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("replicated", ["primary", "router"], indirect=True)
def test_asynchronous_reads_go_where_the_others_go(primary, settings, read):
    written(primary)
    is_primary = settings.PARLANT_STORES["default"]["OPTIONS"]["reads"] == "primary"
    assert bool(READS[read](Awaited(primary))) == is_primary
    with transaction.atomic():
        assert bool(READS[read](Awaited(primary)))
    with primary_reads():
        assert READS[read](Awaited(primary))


def test_a_receiver_of_an_asynchronous_read_writes_to_the_primary(primary, replica):
    def note(sender, session_id, **kwargs):
        primary.set_metadata(session_id, {"read": True})

    replica.add_items("s", numbered(1))
    with receiving(note, session_loaded):
        assert Awaited(primary).get_items("s") == numbered(1)
    assert primary.load_snapshot("s") is not None
    assert replica.get_metadata("s") == {}


@pytest.mark.parametrize("read", READS)
def test_reads_in_the_callers_transaction_see_it(primary, read):
    with transaction.atomic():
        written(primary)
        assert READS[read](primary)


def test_a_read_of_the_replica_prolongs_nothing(settings, replica):
    options = {"reads": "router", "ttl_seconds": 600, "ttl_refresh": "read"}
    settings.PARLANT_STORES = {"default": {"OPTIONS": options}}
    primary = stores["default"]
    soon = datetime.now(UTC) + timedelta(seconds=60)

    def expiry(database):
        return Session.objects.using(database).get().expires_at

    for store in (primary, replica):
        store.add_items("s", said("hello"))
        store.set_expiry("s", soon)
    for reader in (primary, Awaited(primary)):
        assert reader.get_items("s")
        assert reader.get_items("s", limit=1)
        assert reader.list_turns("s")
    assert expiry("default") == expiry("other") == soon
    with primary_reads():
        assert Awaited(primary).get_items("s")
    assert expiry("default") > soon
    assert expiry("other") == soon


def test_what_is_saved_over_is_loaded_where_it_is_written(primary, replica):
    replica.add_items("s", numbered(1))
    primary.add_items("s", numbered(3))
    assert primary.load_snapshot("s").items == numbered(3)


def test_versions_that_a_migration_relies_on_are_the_primarys(primary):
    primary.insert_one("c", {"id": "d", "version": "1"})
    assert [each.document["id"] for each in primary.list_versions("c")] == ["d"]
    assert [each.document["id"] for each in primary.read_version("c", "1")] == ["d"]


async def test_an_agent_reads_what_it_wrote():
    session = AgentSession("s")
    for number in range(1, 4):
        await session.add_items([{"n": number}])
        assert await session.get_items() == [{"n": n} for n in range(1, number + 1)]
        assert await session.get_items(limit=1) == [{"n": number}]
    assert await session.pop_item() == {"n": 3}


async def test_parlant_reads_what_it_wrote():
    database = DocumentDatabase(table_prefix="p_")
    notes = await database.get_or_create_collection("notes", Note, identity_loader)
    await notes.insert_one(note(1))
    assert (await notes.find_one({"id": {"$eq": "n01"}}))["id"] == "n01"
    assert [one["id"] for one in (await notes.find({})).items] == ["n01"]
    again = DocumentDatabase(table_prefix="p_")
    assert await again.get_collection("notes", Note, identity_loader)


def command(*words):
    out = StringIO()
    call_command(*words, stdout=out, stderr=StringIO())
    return out.getvalue()


def receipt(*words):
    return json.loads(command("store_erase", "--user", "ada", "--noinput", *words))["stores"][0]


def test_an_export_is_of_what_was_written(primary):
    fill(primary, "ada", "ada")
    *lines, last = map(json.loads, command("store_export", "--user", "ada").splitlines())
    assert {line["kind"] for line in lines} == {"session", "document"}
    assert last["stores"][0]["sessions"] + last["stores"][0]["documents"] == len(lines)


def test_a_receipt_relies_on_no_replica(primary, replica):
    fill(primary, "ada", "ada")
    found = receipt("--dry-run")
    assert found["sessions"] > 0
    assert found["documents"] > 0
    done = receipt()
    assert (done["sessions"], done["items"]) == (found["sessions"], found["items"])
    assert done["documents"] >= found["documents"]
    assert done["left"] == 0
    assert not Session.objects.using("default").filter(user_id="ada").exists()
    # Nor does it erase or count what the replica has still.
    fill(replica, "ada", "ada")
    for again in (receipt(), receipt("--dry-run")):
        assert (again["sessions"], again["documents"], again.get("left", 0)) == (0, 0, 0)


@pytest.mark.parametrize("rule", [None, Retention(older_than=timedelta(days=1))])
def test_what_expires_is_listed_where_it_is_removed(primary, rule):
    primary.add_items("s", numbered(1))
    past = datetime.now(UTC) - timedelta(days=2)
    changed = {"expires_at": past} if rule is None else {"created_at": past}
    Session.objects.using("default").update(**changed)
    assert [one.session_id for one in primary.list_expired(rule=rule)] == ["s"]
    words = ["--older-than", "1d"] if rule else []
    assert "would remove 1 sessions" in command("store_expire", "--dry-run", *words)
    assert "removed 1 sessions" in command("store_expire", *words)


def test_the_admins_actions_are_done_to_what_was_written(client, primary, replica):
    for store in (primary, replica):
        store.add_items("s", numbered(1))
        store.insert_one("p_sessions", {"id": "p"})
    primary.add_items("s", numbered(2))
    primary.insert_one("p_events", {"id": "e", "session_id": "p"})
    session = Session.objects.using("default").get()
    question = ask(client, "remove", session)
    assert any("2 items" in sentence for sentence in sentences(question))
    document = Document.objects.using("default").get(document_id="p")
    question = ask(client, "remove", document)
    assert any("1 document" in sentence for sentence in sentences(question)[1:])
    assert "keys" in hidden(question)
    download = b"".join(do(client, "export", session).streaming_content)
    assert len(json.loads(download)["items"]) == 2
    for row in (session, document):
        do(client, "remove", row)
    assert not Session.objects.using("default").exists()
    assert not Document.objects.using("default").exists()


def test_the_admin_lists_no_store_of_its_own_database_as_another(client, primary):
    with override_settings(PARLANT_STORES={"a": {"OPTIONS": {"using": "default"}}, "b": {}}):
        html = client.get("/admin/parlant_store/session/stores/").content.decode()
    assert "stores/sessions" not in html
