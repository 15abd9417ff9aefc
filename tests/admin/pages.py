"""What the tests of the admin ask it for, and read from its pages."""

import base64
import html as markup
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from parlant_store.admin.views import base, stores
from parlant_store.models import Session

CALL = {"type": "function_call", "name": "weather", "arguments": '{"city":"Köln"}', "call_id": "1"}
OUTPUT = {"type": "function_call_output", "call_id": "1", "output": "rain <b>all</b> day"}
UNPRINTABLE = {"role": "tool", "content": "a\0 \ud800", "extra": {"\udfff": "b\0"}}
SCRIPT = "<script>alert(1)</script>"
IMAGE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 600).decode()  # 150 KB
IMAGE_URL = f"data:image/png;base64,{IMAGE}"
LONG = "long-" + "ü" * 1_000


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Pages wait for an answer of a store, however busy the machine is."""
    monkeypatch.setattr(stores, "TIMEOUT_SECONDS", 120)
    monkeypatch.setattr(base, "TIMEOUT_SECONDS", 120)


def message(content, role="user", **fields):
    return {"role": role, "content": content, **fields}


def listing(model, **params):
    return reverse(f"admin:parlant_store_{model}_changelist", query=params)


def page(row, **params):
    return reverse(
        f"admin:parlant_store_{row._meta.model_name}_change", args=[row.pk], query=params
    )


def get(client, url):
    """The page; names in it are whole, which may be broken on the screen."""
    return sent(client, url).replace("<wbr>", "")


def sent(client, url):
    response = client.get(url)
    assert response.status_code == 200, (url, response.status_code)
    return response.content.decode()


def rows(html):
    return re.findall(r'<th class="field-.*?</th>|<td class="field-.*?</td>', html)


def column(html, name):
    cells = re.findall(rf'<t[hd] class="field-{name}[^"]*">(.*?)</t[hd]>', html, re.DOTALL)
    return [re.sub("<.*?>", "", cell) for cell in cells]


def entries(html):
    """The entries of a transcript; an output is inside the entry of its call."""
    return re.findall(r'<li id="item-\d+"><article.*?</article>\s*</li>', html, re.DOTALL)


def text_of(html):
    return " ".join(markup.unescape(re.sub("<.*?>", " ", html)).split())


def positions(html):
    return [int(position) for position in re.findall(r' id="item-(\d+)"', html)]


def links(html):
    found = re.findall(r'<a(?: rel="\w+")? href="(\?[^"]*)#items">(\w+)</a>', html)
    return {name: url.replace("&amp;", "&").removeprefix("?") for url, name in found}


def found(client, model, term):
    html = get(client, listing(model, q=term))
    return re.findall(rf"/admin/parlant_store/{model}/(\d+)/change", html)


def viewer(*models):
    """A client of somebody who may view ``models`` and do nothing else."""
    user = User.objects.create_user("viewer", is_staff=True)
    names = [f"view_{model}" for model in models]
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def superuser():
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def client(store):
    """That of somebody who may do everything."""
    return superuser()


def bulk(count, expires_at=None, **fields):
    """So many sessions; ``expires_at`` may be a function of the number of each."""
    at = expires_at if callable(expires_at) else lambda number: expires_at
    sessions = (
        Session(session_id=f"s{n}", user_id=f"u{n}", expires_at=at(n), **fields)
        for n in range(count)
    )
    Session.objects.bulk_create(sessions, batch_size=1_000)


def expire(session_id, after):
    """Have a session expire in so many seconds; negative: have it expired so long ago."""
    expires_at = timezone.now() + timedelta(seconds=after)
    Session.objects.filter(session_id=session_id).update(expires_at=expires_at)


def messages_of(response):
    """The messages that a page shows after an action."""
    return [str(message) for message in response.context["messages"]]
