"""What the tests of documents in the admin fill in, ask for and read."""

import re

from django.db import connection
from django.test.utils import CaptureQueriesContext

from parlant_store.models import Document
from tests.admin.pages import get, listing


def documents(client, **params):
    """The keys in the list."""
    html = get(client, listing("document", **params))
    found = re.findall(r'<th class="field-[^"]*"><a href="[^"]*/document/(\d+)/change', html)
    return [int(key) for key in dict.fromkeys(found)]


def ids(client, **params):
    names = dict(Document.objects.values_list("key", "document_id"))
    return [names[key] for key in documents(client, **params)]


def one(**fields):
    """The document of these fields; the adapters' own of collections are no matter."""
    return Document.objects.exclude(collection__endswith="metadata").get(**fields)


def links(html):
    """The section of links, as pairs of a text and an address."""
    (section,) = re.findall(r'<nav class="module parlant-links".*?</nav>', html, re.DOTALL)
    found = re.findall(r'<li>(.*?) <a href="([^"]*)"><bdi>(.*?)</bdi></a></li>', section)
    return {f"{title} {name}": url.replace("&amp;", "&") for title, url, name in found}


def shown(section):
    return re.sub(r"<[^>]*>", "", section)


def queries(client, url):
    get(client, url)  # Django keeps the content types
    with CaptureQueriesContext(connection) as context:
        get(client, url)
    return len(context)


def bulk(count, start=0, **fields):
    made = (
        Document(
            collection="big_events",
            document_id=f"d{number}",
            creation_utc=f"2030-{number:06}",
            session_id=f"s{number // 100}",
            customer_id="c" if number % 2 else f"c{number}",
            agent_id="agent",
            version="1",
            data={"id": f"d{number}", "session_id": f"s{number // 100}", "offset": number % 100},
            **fields,
        )
        for number in range(start, start + count)
    )
    Document.objects.bulk_create(made, batch_size=2_000)


def owned(store):
    store.insert_one("p_customers", {"id": "c", "name": "Ada"})
    store.insert_one("p_sessions", {"id": "s", "customer_id": "c", "agent_id": "a"})
    store.insert_one("p_events", {"id": "e", "session_id": "s", "offset": 0, "creation_utc": "1"})
    store.insert_one("p_events", {"id": "f", "session_id": "s", "offset": 1, "creation_utc": "2"})
    store.insert_one("p_events", {"id": "g", "session_id": "t", "offset": 0})
    store.insert_one("q_notes", {"id": "n", "session_id": "s", "customer_id": "c"})


def event(store, offset, data, kind="message", session_id="s", **more):
    number = Document.objects.count()
    fields = {"id": f"e{number}", "session_id": session_id, "source": "customer", "kind": kind}
    store.insert_one("p_events", fields | {"offset": offset, "data": data} | more)
