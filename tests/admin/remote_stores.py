"""A store that is elsewhere, in a database beside that of the admin, and its pages."""

import html as markup
import json
import re
import threading
from datetime import timedelta
from urllib.parse import urljoin

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from parlant_store import stores
from parlant_store.backends.orm import OrmBackend
from tests.admin.pages import SCRIPT, message, superuser

NASTY = ["a b", SCRIPT, "\ud800", "a/b?c=d&e#f", '"]', "%s{}", "ü" * 3_000]
DAY = timedelta(days=1)
PERMISSIONS = (
    "view_session",
    "view_sessionitem",
    "view_document",
    "expire_session",
    "extend_session",
    "delete_session",
    "expire_document",
    "extend_document",
    "delete_document",
)


MARKS = [
    pytest.mark.django_db(transaction=True, databases=["default", "other"]),
    # The stores' own database is an SQLite file in either run.
    pytest.mark.any_database,
]


class Sessions(OrmBackend):
    """Keeps no documents and no threads."""

    supports_documents = supports_checkpoints = False


@pytest.fixture
def remote(settings, transactional_db):
    settings.PARLANT_STORES = {
        "default": {},
        "remote": {"OPTIONS": {"using": "other"}},
        "sessions": {
            "BACKEND": "tests.admin.remote_stores.Sessions",
            "OPTIONS": {"using": "other"},
        },
    }
    return stores["remote"]


@pytest.fixture
def client(remote):
    return superuser()


def url(name, store="remote", **params):
    query = {"store": store} if name != "stores" else {}
    for param, value in params.items():
        query[param] = value if isinstance(value, str) else json.dumps(value)
    return reverse(f"admin:parlant_store_session_{name}", query=query or None)


def allowed(*names):
    """A client of somebody with these permissions and no other."""
    user = User.objects.create_user(f"user{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client


def without(*names):
    return allowed(*(name for name in PERMISSIONS if name not in names))


def listed(html):
    found = re.findall(r'<th scope="row"><a href="[^"]*">(<bdi.*?)</a>', html)
    return [markup.unescape(re.sub("<.*?>", "", name)) for name in found]


def next_page(html):
    """The address of the next page; that of sessions has parameters only."""
    found = re.findall(r'<a rel="next" href="([^"]*)"', html)
    return urljoin(url("stores_sessions"), found[0].replace("&amp;", "&")) if found else None


def act(client, action, *names, store="remote", on="session", of=None, **data):
    """Act on rows of the list ``on``; ``of`` names the checkboxes, if their rows are others."""
    rows = [*map(json.dumps, names)]
    data = {"action": action, of or on: rows, "days": "", "confirmed": "yes"} | data
    return client.post(url(f"stores_{on}s_change", store), data, follow=True)


def log():
    return list(LogEntry.objects.values_list("action_flag", "object_repr", "change_message"))


class Slow(OrmBackend):
    """Does not answer until the test ends."""

    end = threading.Event()

    def _list_sessions(self, *args):
        self.end.wait(120)
        return []


PAGES = {
    "stores_sessions": ("view_session", {}),
    "stores_session": ("view_session", {"session": ["", "s"]}),
    "stores_documents": ("view_document", {}),
    "stores_document": ("view_document", {"document": ["c", "d"]}),
}


@pytest.fixture
def filled(remote):
    remote.add_items("s", [message("what was said")], ttl_seconds=3_600)
    remote.insert_one("c", {"id": "d"})
    return remote
