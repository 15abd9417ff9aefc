"""How the tests of the admin's actions choose, answer and look."""

import re
from datetime import timedelta

from django.contrib.auth.models import Permission
from django.utils import timezone

from parlant_store.models import Document, Session
from tests.admin.pages import listing, message, messages_of

DAY = timedelta(days=1)


def ask(client, action, *chosen, **data):
    """Choose rows in their list."""
    keys = [row.pk for row in chosen]
    data = {"action": action, "_selected_action": keys} | data
    return client.post(listing(model_of(chosen[0])), data, follow=True)


def do(client, action, *chosen, **data):
    """Answer the question, too."""
    answer = {"by": "7"} if action == "extend" and "by" not in data else {}
    return client.post(
        listing(model_of(chosen[0])), hidden(ask(client, action, *chosen)) | answer | data
    )


def model_of(row):
    return row._meta.model_name


def hidden(response):
    form = response.content.decode().partition('<form method="post">')[2]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))


def messages_after(client, response):
    """The messages of the page to which an action redirects."""
    return messages_of(client.get(response.url))


def sentences(response):
    return re.findall("<p>(.*?)</p>", response.content.decode())


def names(response):
    return re.findall("<li><bdi>(.*?)</bdi></li>", response.content.decode())


def session(session_id="s", **fields):
    return Session.objects.get(session_id=session_id, **fields)


def sessions(store, *ids, items=2):
    for id_ in ids:
        store.add_items(id_, [message(str(n)) for n in range(items)])
    return [session(id_) for id_ in ids]


def ends(row, after):
    """Have it end so long from now; None: never."""
    time = None if after is None else timezone.now() + after
    type(row).objects.filter(pk=row.pk).update(expires_at=time)


def document(id_="d", collection="notes"):
    return Document.objects.get(document_id=id_, collection=collection)


def parlant(store, prefix="p_", session_id="s", events=3):
    """A session of Parlant's with its events, and an event of another one."""
    store.insert_one(f"{prefix}sessions", {"id": session_id, "customer_id": "c"})
    for number in range(events):
        fields = {"id": f"{session_id}{number}", "session_id": session_id, "offset": number}
        store.insert_one(f"{prefix}events", fields)
    store.insert_one(f"{prefix}events", {"id": f"o{session_id}", "session_id": "other"})
    return document(session_id, f"{prefix}sessions")


def live(store, collection="p_events"):
    return sorted(found["id"] for found in store.find(collection).documents)


def end_of(row):
    return type(row).objects.values_list("expires_at", flat=True).get(pk=row.pk)


def allow(user, *codenames):
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def made(store, model):
    """A row of the model, that ends tomorrow."""
    if model == "session":
        (row,) = sessions(store, "s")
    else:
        store.insert_one("notes", {"id": "d"})
        row = document()
    ends(row, DAY)
    return type(row).objects.get(pk=row.pk)
