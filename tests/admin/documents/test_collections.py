"""The collections: the list of documents opens on them, and leads to the documents of each."""

import re

from django.db import connection

from parlant_store.adapters.parlant import migration
from parlant_store.admin.documents import lookups
from tests.admin.documents.lists import bulk, documents, ids
from tests.admin.pages import client as client
from tests.admin.pages import column, get, listing, sent
from tests.backends.rows_read import analyze


def sidebar(html):
    (_, section) = re.split('<(?:nav|search) id="changelist-filter"', html)
    found = re.findall(r'<a href="\?([^"]*)">([^<]*)</a></li>', section)
    return {text.strip(): query.replace("&amp;", "&") for query, text in found}


def listed(html):
    """The table of collections: number, size and address, by name."""
    (table,) = re.findall(
        r'<table id="result_list" class="parlant-collections">.*?</table>', html, re.S
    )
    cells = (
        r'<a href="\?([^"]*)"><bdi>(.*?)</bdi></a></th>\s*<td[^>]*>(.*?)</td>\s*<td[^>]*>(.*?)</td>'
    )
    return {name: (number, size, url) for url, name, number, size in re.findall(cells, table)}


def test_the_list_of_documents_opens_on_the_collections(client, store):
    for collection, count in (("a_x", 3), ("b/ y&z", 1), (f"a_x{migration.FAILED}", 2)):
        for number in range(count):
            store.insert_one(collection, {"id": f"{collection}{number}", "text": "x" * 1_000})
    html = get(client, listing("document"))
    found = listed(html)
    assert list(found) == ["a_x_failed_migrations", "a_x", "b/ y&amp;z"]
    assert [number for number, _size, _url in found.values()] == ["2", "3", "1"]
    assert re.fullmatch(r"about 3\.\d\sKB", found["a_x"][1])
    assert found["b/ y&amp;z"][2] == "collection=b%2F%20y%26z"
    assert "/document/" not in "".join(re.findall(r'href="([^"]*change/)"', html))
    assert "<bdi>a_<wbr>x_<wbr>failed_<wbr>migrations</bdi>" in sent(client, listing("document"))
    assert "By collection" not in html
    assert "By state" in html
    assert "<h1>Collections</h1>" in html
    assert "<h1>a_x</h1>" in get(client, listing("document", collection="a_x"))
    for address in ("?e=1", "?p=2", "?o=1", "?collection="):
        assert listed(get(client, listing("document") + address)) == found


def test_collections_lead_to_their_documents(client, store):
    for collection, count in (("a_x", 3), ("b/ y&z", 1)):
        for number in range(count):
            store.insert_one(collection, {"id": f"{collection}{number}"})
    choices = sidebar(get(client, listing("document", collection="b/ y&z")))
    assert list(choices)[:3] == ["All", "a_x (3)", "b/ y&amp;z (1)"]
    assert choices["a_x (3)"] == "collection=a_x"
    assert len(documents(client, collection="a_x")) == 3
    assert ids(client, collection="b/ y&z") == ["b/ y&z0"]
    assert documents(client, collection="none") == []
    assert documents(client, collection="\0") == []


def test_without_documents_the_list_says_how_they_come(client, store):
    html = get(client, listing("document"))
    assert "There are no documents." in html
    assert 'id="result_list"' not in html


def test_large_collections_are_not_counted_to_the_end(client, store, monkeypatch):
    bulk(lookups.MAX_COUNT + 1)
    number, size, _url = listed(get(client, listing("document")))["big_events"]
    assert number == "more than 1,000"
    assert size.startswith("more than ")
    analyze()
    estimated = "about 1,000" if connection.vendor == "postgresql" else "more than 1,000"
    assert listed(get(client, listing("document")))["big_events"][0] == estimated


def test_more_collections_than_the_list_names(client, store):
    for number in range(lookups.SHOWN + 10):
        store.insert_one(f"c{number:02}", {"id": "d"})
    store.insert_one(f"z{migration.FAILED}", {"id": "d"})
    html = get(client, listing("document"))
    assert len(listed(html)) == lookups.SHOWN
    assert "Only the first 50 collections are listed." in html
    assert '<label for="parlant-collection">' in html
    html = get(client, listing("document", q="d"))
    assert next(iter(list(sidebar(html))[1:])) == "z_failed_migrations (1)"
    assert "c48 (1)" in html
    assert "c49 (1)" not in html
    assert '<input form="parlant-filter" type="hidden" name="q" value="d">' in html
    assert '<label for="parlant-collection">' in html
    html = get(client, listing("document", collection="c59"))
    assert column(html, "document_id") == ["d"]
    assert '<li class="selected">\n    <a href="?collection=c59">c59</a>' in html


def test_a_collection_is_listed_newest_first(client, store):
    for created, id_ in (("2", "b"), ("3", "a"), (None, "c"), ("2", "d")):
        store.insert_one("x", {"id": id_, "creation_utc": created})
    assert ids(client, collection="x") == ["a", "d", "b", "c"]
    assert ids(client, collection="x", o="2") == ["a", "d", "b", "c"]
    assert ids(client, state="live") == ["d", "c", "a", "b"]
    assert ids(client, state="live", o="2") == ["d", "c", "a", "b"]


def test_only_what_indexes_serve_may_be_asked_for(client, store):
    for lookup in ("version", "data__x", "collection__contains", "document_id__gt"):
        assert client.get(listing("document", **{lookup: "x"})).status_code == 400
