"""Memories of agents among the documents in the admin."""

from parlant_store.types import MemoryChange
from tests.admin.documents.lists import ids, one
from tests.admin.pages import SCRIPT, column, get, listing, page
from tests.admin.pages import client as client

COLLECTION = "langgraph_store"


def put(store, user: str, text: str) -> None:
    value = {"text": text, "tags": ["food"]}
    change = MemoryChange(namespace=("users", user), key="likes", value=value, user_id=user)
    store.write_memories([change])


def test_memories_are_listed_with_their_values(client, store):
    put(store, "ada", f"green apples {SCRIPT}")
    html = get(client, listing("document", collection=COLLECTION))
    assert column(html, "document_id") == ["users.ada..likes"]
    assert column(html, "customer_id") == ["ada"]
    assert "green apples &lt;script&gt;" in column(html, "text")[0]
    html = get(client, page(one()))
    assert "green apples" in html
    assert SCRIPT not in html


def test_memories_are_found_by_their_words_their_owner_and_their_id(client, store):
    put(store, "ada", "green apples")
    put(store, "eve", "pears")
    store.insert_one("notes", {"id": "n", "value": {"text": "apples"}})
    assert ids(client, q="apple") == ["users.ada..likes"]
    assert ids(client, q="food") == ["users.eve..likes", "users.ada..likes"]
    assert ids(client, q="eve") == ["users.eve..likes"]
    assert ids(client, q="users.ada..likes") == ["users.ada..likes"]
    assert ids(client, collection=COLLECTION, q="value.text:PEARS") == ["users.eve..likes"]
    html = get(client, listing("document", collection=COLLECTION, q="apple"))
    assert "green <mark>apples</mark>" in html


def test_a_search_of_conversations_finds_no_memories(client, store):
    put(store, "ada", "green apples")
    store.add_items("s", [{"role": "user", "content": "apples"}])
    html = get(client, listing("session", q="apples"))
    assert "1 conversation" in html
