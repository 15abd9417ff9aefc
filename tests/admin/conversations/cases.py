"""Conversations of all frameworks, and what the list shows of them."""

import re
from datetime import timedelta

from django.utils import timezone

from parlant_store.models import Document, Session
from tests.admin.pages import column, get, listing

PREFIX = "parlant_"
CREATED = "2026-01-02T03:04:05.000006+00:00"


def parlant(store, id_, *messages, prefix=PREFIX, **fields):
    """A Parlant session whose events are ``messages``: pairs of a source and a text, or data."""
    document = {"id": id_, "creation_utc": CREATED, "customer_id": "cust", "agent_id": "agent"}
    store.insert_one(f"{prefix}sessions", document | fields)
    for offset, (source, said) in enumerate(messages):
        data = said if isinstance(said, dict) else {"message": said}
        event = {
            "id": f"{id_}-{offset}",
            "session_id": id_,
            "offset": offset,
            "source": source,
            "kind": "tool" if "tool_calls" in data else "message",
            "creation_utc": CREATED,
            "data": data,
        }
        store.insert_one(f"{prefix}events", event)


def failed_call():
    result = {"data": "Tool call error", "metadata": {"error_details": "no route"}}
    return {"tool_calls": [{"tool_id": "t:find", "arguments": {}, "result": result}]}


def person(store, id_, name, kind="customers", prefix=PREFIX):
    store.insert_one(f"{prefix}{kind}", {"id": id_, "name": name, "creation_utc": CREATED})


def names(client, **params):
    """The ids in the list, in its order."""
    return names_in(get(client, listing("session", **params)))


def names_in(html):
    cells = re.findall(r'<th class="field-conversation">(.*?)</th>', html, re.DOTALL)
    return [re.findall(r"<bdi[^>]*>(.*?)</bdi>", cell)[-1] for cell in cells]


def titles(html):
    cells = re.findall(r'<th class="field-conversation">(.*?)</th>', html, re.DOTALL)
    return [re.findall(r"<bdi[^>]*>(.*?)</bdi>", cell)[0] for cell in cells]


def texts(html, name):
    return [" ".join(text.replace("\xa0", " ").split()) for text in column(html, name)]


def notes(html):
    return re.findall(r'<p class="parlant-note">(.*?)</p>', html)


def active(days, **fields):
    """Have a session or a Parlant session been active so many days ago."""
    time = timezone.now() - timedelta(days=days)
    if "document_id" in fields:
        minute = int(time.timestamp() // 60)
        # A trigger keeps the later of the two.
        Document.objects.filter(**fields).update(updated_at=time, active_minute=minute)
    else:
        Session.objects.filter(**fields).update(updated_at=time)


def created(days, **fields):
    """Have a session or a Parlant session begun so many days ago."""
    time = timezone.now() - timedelta(days=days)
    if "document_id" in fields:
        Document.objects.filter(**fields).update(creation_utc=time.isoformat())
    else:
        Session.objects.filter(**fields).update(created_at=time)
