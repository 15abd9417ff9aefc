"""The page of a document in the admin, folded and unfolded."""

import asyncio
import re

import pytest
from django.urls import reverse
from parlant.core.customers import CustomerDocumentStore
from parlant.core.sessions import SessionDocumentStore

from parlant_store.adapters.parlant import DocumentDatabase, migration
from parlant_store.admin.documents import lookups
from parlant_store.admin.documents import page as document_page
from parlant_store.content import codec
from parlant_store.models import Document, Session
from tests.admin.documents.lists import one, owned, shown
from tests.admin.pages import SCRIPT, get, listing, page
from tests.admin.pages import client as client
from tests.contract.parlant_stores import LIVES, Tale, open_store


def test_a_page_leads_to_pages_of_its_own_admin(client, store, settings):
    settings.ROOT_URLCONF = "tests.admin.two_sites"
    owned(store)
    store.insert_one("p_failed_migrations", {"id": "f"})
    store.add_items("s", [{"role": "user", "content": "hello"}])
    addresses = [page(document) for document in Document.objects.all()]
    addresses += [page(Session.objects.get()), listing("session"), listing("document")]
    addresses += [reverse(f"admin:parlant_store_session_{name}") for name in ("overview", "stores")]
    for address in addresses:
        html = get(client, address.replace("/admin/", "/second/", 1))
        content = html[html.index('id="content"') : html.index('id="footer"')]
        assert re.findall(r'href="/(?!second|static)[^"]*"', content) == [], address


def folded(client, document, **params):
    html = get(client, page(document, **params))
    (section,) = re.findall(r'<section class="module parlant-document".*?</section>', html, re.S)
    return section


@pytest.mark.any_database
def test_json_is_folded_and_unfolded_without_a_script(client, store):
    value = {"id": "d", "deep": {"a": {"b": {"c": [1.0, None, True]}}}, "many": list(range(50))}
    store.insert_one("x", value | {"text": "é" * 1_000, "none": {}})
    document = one()
    section = folded(client, document)
    assert "<script" not in section
    assert '&quot;deep&quot;</span>: <span class="parlant-size">{…} 1 field</span>' in section
    assert "[…] 50 values" in section
    assert "1000 characters" in section
    assert "é" * 1_000 in section
    assert 0 < section.count("<details open>") < section.count("<details")
    section = folded(client, document, json="open")
    assert section.count("<details open>") == section.count("<details") == 7
    assert "&quot;none&quot;: {}" in shown(section)
    section = folded(client, document, json="text")
    assert "<details" not in section
    assert "&quot;c&quot;: [\n          1.0,\n" in section


@pytest.mark.any_database
@pytest.mark.parametrize("shape", ["folded", "open", "text", "x"])
def test_nothing_of_a_document_is_html(client, store, shape):
    value = {SCRIPT: SCRIPT, "list": [SCRIPT, {SCRIPT: [SCRIPT + "x" * 600]}]}
    store.insert_one(SCRIPT, {"id": SCRIPT, "session_id": SCRIPT, "customer_id": SCRIPT} | value)
    store.insert_one(
        f"{SCRIPT}{migration.FAILED}",
        {"id": SCRIPT, "reason": SCRIPT, "collection": SCRIPT, "document": value},
    )
    for document in Document.objects.all():
        html = get(client, page(document, json=shape))
        assert SCRIPT not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    for params in ({"collection": SCRIPT}, {"session_id": SCRIPT}, {"q": SCRIPT}):
        assert SCRIPT not in get(client, listing("document", **params))
    assert SCRIPT not in get(client, listing("document", collection=SCRIPT + migration.FAILED))


@pytest.mark.any_database
def test_a_large_document_makes_no_larger_page(client, store):
    store.insert_one("x", {"id": "text", "text": "ab\n" * 3_000_000})
    store.insert_one("x", {"id": "many", "list": [{"n": number} for number in range(200_000)]})
    sizes = {"text": 12_000_000, "many": 15_000_000}
    for id_, size in sizes.items():
        document = one(document_id=id_)
        assert len(get(client, page(document))) < size
    assert "<details" not in folded(client, document)


@pytest.mark.any_database
def test_deep_json_is_text_from_some_depth_on(client, store):
    deep = "bottom"
    for _ in range(codec.MAX_DEPTH - 2):
        deep = [deep]
    store.insert_one("x", {"id": "d", "deep": deep})
    section = folded(client, one(), json="open")
    assert section.count("<details") == document_page.MAX_DEPTH + 1
    assert "bottom" in section


def test_a_field_of_the_name_of_a_column_is_no_column(client, store):
    store.insert_one("x", {"id": "d", "collection": "another"})
    html = get(client, page(one()))
    assert '<a href="/admin/parlant_store/document/?collection=x">x</a>' in html


@pytest.mark.any_database
@pytest.mark.parametrize("kind", [SessionDocumentStore, CustomerDocumentStore])
def test_the_documents_of_parlants_own_stores_are_shown(client, store, kind):
    async def live():
        made = await open_store(kind, DocumentDatabase(table_prefix="p_"))
        await LIVES[kind][0](made, Tale())

    asyncio.run(live())
    assert Document.objects.count() > 5
    for document in Document.objects.all():
        get(client, page(document))
    for collection in lookups.collection_names():
        get(client, listing("document", collection=collection))
