"""Scenarios of pages: the admin, however it is called, and views with agents in them."""

import json
from typing import Any
from urllib.parse import quote

from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.test import AsyncClient, Client
from django.urls import reverse

from tests.matrix.projects import Project
from tests.matrix.scenarios import equal, scenario
from tests.matrix.stores import QUESTION
from tests.matrix.views import ANSWER
from tests.matrix.views import QUESTION as ASKED

ODD = (
    *("", "q=lighthouse", "q=%00", "q=%F0%9F%98%80", "q=%27%22%5C%25_", f"q={'x' * 3_000}"),
    *("q=%ED%A0%80", "q=id:", "key=x", f"key__exact={10**30}", "session_id__exact=%00"),
    *("collection=%00", "collection=no+such", "user_id__isnull=x", "expires_at__gte=x"),
    *("updated_at__year=x", "namespace="),
)
"""What stands after the question mark."""

PARSED = (
    *("p=0", "p=99999", "p=x", "p=-1", f"p={10**30}", "o=99", "o=x.-y"),
    *("all=1", "e=1", "bad=1", "_to_field=x", "_popup=1", "_facets=True"),
)
"""What the admin reads of it alike in all projects, whatever their databases are."""


def superuser() -> Any:
    """The one user of the project's admin."""
    users = get_user_model()
    if (found := users._default_manager.filter(is_superuser=True).first()) is not None:
        return found
    name = {"email": "root@example.com"}
    if users.USERNAME_FIELD == "username":
        name["username"] = "root"
    return users._default_manager.create_superuser(**name)


def client() -> Client:
    made = Client(raise_request_exception=False)
    made.force_login(superuser())
    return made


def urls(project: Project) -> list[str]:
    from parlant_store.models import Document, Session

    lists = [
        reverse(f"admin:parlant_store_{model}_changelist") for model in ("session", "document")
    ]
    keys = [
        rows.using(project.alias).values_list("key", flat=True)[0]
        for rows in (
            Session.objects.filter(session_id="admin"),
            Document.objects.filter(collection="admin"),
        )
    ]
    pages = [f"{url}{key}/change/" for url, key in zip(lists, keys, strict=True)]
    return [reverse("admin:index"), "/admin/parlant_store/", *lists, *pages]


@scenario()
def admin(project: Project) -> None:
    """No page is a server error, whatever it is asked for; those of what there is are whole."""
    from parlant_store import store

    store.add_items("admin", [QUESTION])
    store.insert_one("admin", {"id": "a", "creation_utc": "2030"})
    browser, found = client(), urls(project)
    for url in found if project.is_in_admin else found[:4]:
        equal(browser.get(url).status_code, 200, url)
    assert not project.is_in_admin or b"lighthouse" in browser.get(found[4]).content
    odd = [f"{url}?{query}" for url in found[2:4] for query in ODD]
    if project.is_plain:
        odd += [f"{url}?{query}" for url in found[2:4] for query in PARSED]
        odd += [f"{url}?{query}" for url in (found[1], *found[4:]) for query in ODD[1:6]]
    odd += [
        f"{url}{quote(key)}/{page}/"
        for url in found[2:4]
        for key in ("999999", "x", "\0", str(10**30))
        for page in ("change", "delete")
    ]
    failed = []
    for url in odd:
        response = browser.get(url)
        if response.status_code >= 500:
            failed.append((url[:90], repr(getattr(response, "exc_info", ["", ""])[1])[:200]))
    equal(failed, [])


def answer(path: str, **query: str) -> tuple[int, Any]:
    response = Client().get(path, query)
    return response.status_code, json.loads(response.content)


@scenario(needs="agents")
def view(project: Project) -> None:
    """A sync view, in a transaction of its own where the project says so, runs an agent."""
    status, body = answer("/turn/", session="view", store=project.view_store)
    if not project.view_can_write:
        equal((status, body["error"]), (503, "StoreUnavailable"))
        assert "transaction" in body["message"].lower(), body["message"]
    else:
        equal((status, body), (200, {"items": [ASKED, ANSWER]}))
    if project.is_atomic:
        in_own_transaction(project)


def in_own_transaction(project: Project) -> None:
    status, body = answer("/turn/", session="view-both", opening="1", store="hasty")
    equal((status, body["error"]), (503, "StoreUnavailable"))
    assert "transaction" in body["message"].lower(), body["message"]
    status, body = answer("/turn/", session="view-none", opening="1", store="caller")
    equal(
        (status, [item["role"] for item in body["items"]]), (200, ["system", "user", "assistant"])
    )


@scenario(needs="agents")
def async_view(project: Project) -> None:
    """An async view runs an agent."""
    equal(answer_async("/async-turn/", session="async-view"), {"items": [ASKED, ANSWER]})


@scenario(shared=True)
def async_store_view(project: Project) -> None:
    """An async view calls the store itself."""
    equal(
        answer_async("/async-store/", session="async-store-view"),
        {"items": [ASKED, ANSWER], "listed": ["async-store-view"]},
    )


def answer_async(path: str, **query: str) -> Any:
    async def get() -> Any:
        return await AsyncClient().get(path, query)

    response = async_to_sync(get)()
    equal(response.status_code, 200, response.content[:1_000].decode())
    return json.loads(response.content)
