"""Failed migrations in the admin: in view, and retried by those who may."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from parlant_store.adapters.parlant import migration
from parlant_store.admin.actions import retry
from parlant_store.admin.documents import lookups
from parlant_store.backends.orm import OrmBackend
from parlant_store.exceptions import StoreUnavailable
from parlant_store.models import Document
from tests.adapters.parlant.test_migration import Loader, note, opened
from tests.admin.documents.lists import one, owned
from tests.admin.pages import client as client
from tests.admin.pages import column, get, listing, messages_of, page, viewer

FAILED = "p_notes_failed_migrations"


# Failed migrations


def fail(store, *numbers, text="refuse"):
    """Notes that the opening sets aside."""
    for number in numbers:
        store.insert_one("p_notes", note(number, text=text, session_id="s"))
    opened(Loader())
    return list(Document.objects.filter(collection=FAILED).order_by("key"))


async def mended(document: Any) -> Any:
    return (
        document if document["version"] == "2" else note(1, "2", "mended") | {"id": document["id"]}
    )


def ask(client, *chosen, **data):
    selected = [document.key for document in chosen]
    data = {"action": "retry", "_selected_action": selected} | data
    return client.post(listing("document"), data, follow=True)


def test_failed_migrations_are_in_view_with_their_reason(client, store):
    assert lookups.FAILED == migration.FAILED
    documents = fail(store, 1, 2)
    html = get(client, listing("document"))
    assert "could not be migrated" in html
    assert f'<a href="?collection={FAILED}">{FAILED} (2)</a>' in html
    assert f'<a href="?collection={FAILED}"><bdi>{FAILED}</bdi></a>' in html
    html = get(client, listing("document", collection=FAILED))
    assert column(html, "reason") == ["the loader refused it"] * 2
    html = get(client, page(documents[0]))
    assert "Failed migration" in html
    assert "the loader refused it" in html
    assert "Retry the migration" in html
    store.drop_collection(FAILED)
    assert "could not be migrated" not in get(client, listing("document"))


def test_failed_migrations_are_retried_and_then_migrated(client, store):
    first, second, third = fail(store, 1, 2, 3)
    response = ask(client, first, third)
    assert "<p>2 documents go back" in response.content.decode()
    assert Document.objects.filter(collection=FAILED).count() == 3
    assert LogEntry.objects.count() == 0
    response = ask(client, first, third, confirmed="yes")
    assert messages_of(response) == [
        "2 documents are back in their collections: they are migrated when these are opened."
    ]
    assert [document.key for document in Document.objects.filter(collection=FAILED)] == [second.key]
    back = one(document_id="n1")
    assert (back.key, back.collection, back.session_id) == (first.key, "p_notes", "s")
    assert back.data == note(1, text="refuse", session_id="s")
    assert LogEntry.objects.get(object_id=None).object_repr == "2 documents"
    entries = LogEntry.objects.exclude(object_id=None)
    assert [entry.object_id for entry in entries.order_by("object_id")] == sorted(
        [str(first.key), str(third.key)]
    )
    assert [found["text"] for found in opened(mended)] == ["mended", "mended"]
    assert len(store.find(FAILED).documents) == 1


def test_the_page_of_a_failed_migration_leads_to_the_question(client, store):
    (document,) = fail(store, 1)
    html = get(client, page(document))
    (form,) = re.findall(r'<form method="post" action.*?</form>', html, re.DOTALL)
    data = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    response = client.post(re.search(r'action="([^"]*)"', form)[1], data)
    assert "<p>1 document goes back" in response.content.decode()
    form = response.content.decode().split('<form method="post">')[1]
    data = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
    client.post(listing("document"), data)
    assert one().collection == "p_notes"


def test_a_taken_id_is_refused_and_the_others_are_put_back(client, store):
    documents = fail(store, 1, 2, 3)
    documents += fail(store, 3)
    store.insert_one("p_notes", note(1, "2", text="new"))
    store.insert_one("p_notes", note(2, "2", text="expired"))
    gone = timezone.now() - timedelta(seconds=1)
    Document.objects.filter(document_id="n2").update(expires_at=gone)
    response = ask(client, *documents, confirmed="yes")
    assert messages_of(response) == [
        "2 documents are back in their collections: they are migrated when these are opened.",
        "2 documents stay where they are: p_notes/n1 (another document has its id); "
        "p_notes/n3 (another document has its id)",
    ]
    assert {found["text"] for found in opened(mended)} == {"new", "mended"}
    assert len(opened(mended)) == 3


def test_a_unique_index_refuses_one_and_not_the_others(client, store, own_indexes):
    documents = fail(store, 1, 2)
    store.ensure_index("p_notes", [("session_id", "asc")], unique=True)
    response = ask(client, *documents, confirmed="yes")
    assert "p_notes/n2 (another document has its id)" in messages_of(response)[1]
    assert len(store.find("p_notes").documents) == 1


@pytest.mark.parametrize(
    "data",
    [
        {"id": "x", "reason": "r"},
        {"id": "x", "reason": "r", "collection": "p_notes", "document": [1]},
        {"id": "x", "reason": "r", "collection": "", "document": {}},
        {"id": "x", "reason": "r", "collection": "n" * 5_000, "document": {}},
        {"id": "x", "reason": "r", "collection": "p_notes", "document": {"id": 5}},
    ],
)
def test_what_is_no_failed_migration_stays(client, store, data):
    store.insert_one(FAILED, data)
    (document,) = Document.objects.all()
    get(client, page(document))
    response = ask(client, document, confirmed="yes")
    assert "1 document stays where it is" in messages_of(response)[0]
    assert one().collection == FAILED
    store.insert_one("p_notes", {"id": "y"})
    response = ask(client, one(document_id="y"))
    assert messages_of(response) == ["None of the selected documents is a failed migration."]


@pytest.mark.parametrize("said", ["p_agents", "p_notes_failed_migrations", "", "P_notes"])
def test_a_document_goes_nowhere_but_where_its_collection_says(client, store, said):
    """What it says itself may be what a user wrote."""
    original = {"id": "planted", "creation_utc": ""}
    data = {"id": "f", "reason": "r", "collection": said, "document": original}
    store.insert_one(FAILED, data)
    response = ask(client, one(), confirmed="yes")
    assert messages_of(response) == [
        "1 document stays where it is: p_notes/planted (it says that it is from another collection)"
    ]
    assert store.list_collections() == [FAILED]
    store.update_one(FAILED, {}, {"collection": "p_notes"})
    ask(client, one(), confirmed="yes")
    assert store.find("p_notes").documents == (original,)


def test_strange_originals_come_back_as_they_were(client, store):
    strange = [{}, {"version": 5}, {"id": "\ud800", "text": "\0", "n": 1.0}]
    for number, original in enumerate(strange):
        failed_one = {"id": f"f{number}", "collection": "p", "reason": "r", "document": original}
        store.insert_one(f"p{migration.FAILED}", failed_one)
    ask(client, *Document.objects.all(), confirmed="yes")
    found = list(store.find("p").documents)
    assert len(found) == 3
    assert all(original in found for original in strange)


def test_the_log_names_what_was_put_back_as_people_read_it(client, store):
    original = {"id": "\ud800", "text": "x"}
    store.insert_one(
        f"p{migration.FAILED}", {"id": "f", "collection": "p", "reason": "r", "document": original}
    )
    ask(client, *Document.objects.all(), confirmed="yes")
    (entry,) = LogEntry.objects.all()
    assert entry.object_repr == "p/\ufffd"
    assert entry.change_message == "Put back to be migrated again."


def test_all_that_a_list_shows_are_retried_in_batches(client, store, monkeypatch):
    monkeypatch.setattr(retry, "BATCH", 2)
    monkeypatch.setattr(retry, "MAX_ROWS", 3)
    documents = fail(store, *range(5))
    url = listing("document", collection=FAILED)
    data = {"action": "retry", "_selected_action": [documents[0].key], "select_across": "1"}
    html = client.post(url, data).content.decode()
    assert "<p>3 documents go back" in html
    assert "There are more." in html
    client.post(url, data | {"confirmed": "yes"})
    assert Document.objects.filter(collection="p_notes").count() == 3


def test_all_or_none_is_put_back(client, store, monkeypatch):
    monkeypatch.setattr(retry, "BATCH", 1)
    documents = fail(store, 1, 2)
    replace, calls = OrmBackend.replace, []

    def broken(self, replacements):
        calls.append(1)
        if len(calls) == 2:
            raise StoreUnavailable("gone")
        return replace(self, replacements)

    monkeypatch.setattr(OrmBackend, "replace", broken)
    with pytest.raises(StoreUnavailable):
        ask(client, *documents, confirmed="yes")
    assert Document.objects.filter(collection=FAILED).count() == 2
    assert LogEntry.objects.count() == 0


# Permissions


def test_retrying_needs_a_permission_of_its_own(store):
    (document,) = fail(store, 1)
    reader = viewer("document")
    assert "Retry" not in get(reader, page(document))
    assert "Retry" not in get(reader, listing("document", collection=FAILED))
    ask(reader, document, confirmed="yes")
    assert one().collection == FAILED
    User.objects.get().user_permissions.add(Permission.objects.get(codename="change_document"))
    assert "Retry" in get(reader, listing("document", collection=FAILED))
    assert 'name="_save"' not in get(reader, page(document))
    assert reader.post(page(document), {"collection": "x"}).status_code == 403
    ask(reader, document, confirmed="yes")
    assert one().collection == "p_notes"


def test_who_may_not_see_documents_sees_none_of_them(store):
    owned(store)
    (document,) = fail(store, 1)
    other = viewer("session", "sessionitem")
    for url in (page(document), listing("document"), listing("document", collection=FAILED)):
        assert other.get(url).status_code == 403
    assert ask(other, document, confirmed="yes").status_code == 403
    assert "document" not in get(other, "/admin/parlant_store/")
