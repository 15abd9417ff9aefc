"""Every kind of page that the package adds to the admin, on data that fill it."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from django.urls import reverse
from playwright.sync_api import Page

from parlant_store import stores
from parlant_store.backends.base import BaseBackend
from parlant_store.models import Document, Session, SessionItem, Thread
from parlant_store.types import ChannelValue, Checkpoint, TaskWrite, TypedBytes
from tests.admin.documents.lists import event, owned
from tests.admin.pages import expire, listing, message, page
from tests.browser.test_session import SAID

TWO_STORES = {
    name: {"BACKEND": "parlant_store.backends.orm.OrmBackend", "OPTIONS": {"using": using}}
    for name, using in (("default", "default"), ("elsewhere", "other"))
}
"""PARLANT_STORES with a store beside the default one, in another database."""

FAILED = "p_notes_failed_migrations"
CUSTOMERS = '["p_customers"]'
"""A collection, as the addresses of pages about other stores say it."""


PERSON = "/admin/parlant_store/session/person/?user=c"


class Screen(NamedTuple):
    """A page, and what is to be done on it before it is looked at."""

    address: str
    then: Callable[[Page], None] = lambda page: None

    def open(self, page: Page) -> None:
        response = page.goto(self.address)
        assert response is not None
        assert response.ok, self.address
        self.then(page)


def fill() -> None:
    for store in (stores["default"], stores["elsewhere"]):
        store.add_items("session-1", SAID, namespace="shop", user_id="ada")
        store.set_metadata("session-1", {"topic": {"order": 7}}, namespace="shop")
        store.add_items("session-2", [message("long " * 5_000, "assistant") for _ in range(12)])
        owned(store)
        thread(store)
    store = stores["default"]
    store.add_items("session-3", [message("This is over.")])
    expire("session-3", after=-60)
    for offset, kind in enumerate(["message", "tool", "status", "custom"]):
        event(store, offset + 2, _data(kind), kind)
    failed = {
        "document": {"id": "n", "text": "x"},
        "reason": "No version.",
        "collection": "p_notes",
    }
    store.insert_one(FAILED, failed | {"id": "f"})


def thread(store: BaseBackend) -> None:
    """Store a thread of LangGraph that waits for an answer, and has a state that is not read."""
    said = [
        {"type": "human", "content": "Please pay the order 7."},
        {"type": "ai", "tool_calls": [{"name": "pay", "args": {"order": 7}, "id": "c"}]},
        {"type": "tool", "content": "No cover.", "tool_call_id": "c", "status": "error"},
    ]
    values = {"messages": TypedBytes("json", json.dumps(said).encode())}
    values["plan"] = TypedBytes("pickle", b"")
    for step in (1, 2):
        made = Checkpoint(
            checkpoint_id=str(step),
            parent_id=str(step - 1),
            value=TypedBytes("null", b""),
            versions=dict.fromkeys(values, step),
            metadata={"step": step, "source": "loop"},
        )
        changed = [
            ChannelValue(channel=name, version=step, value=value) for name, value in values.items()
        ]
        store.put_checkpoint("thread-1", made, changed, namespace="shop", user_id="ada")
    question = TypedBytes("json", b'[{"value": "Pay anyway?"}]')
    interrupt = TaskWrite(
        task_id="t", idx=-3, channel="__interrupt__", value=question, task_path="pull, pay"
    )
    store.put_writes("thread-1", "2", [interrupt], namespace="shop")


def _data(kind: str) -> dict[str, Any]:
    call = {"tool_id": "local:weather", "arguments": {"city": "Oslo"}, "result": {"data": "snow"}}
    forms: dict[str, dict[str, Any]] = {
        "message": {"message": "Hello.", "participant": {"display_name": "Ada"}},
        "tool": {"tool_calls": [call]},
        "status": {"status": "ready", "data": {}},
    }
    return forms.get(kind, {"anything": [1, None, "text"]})


def screens() -> dict[str, Screen]:
    """Those of what ``fill`` has put there, by a name for each."""
    return {name: Screen(address) for name, address in addresses()} | dict(_confirmations())


def addresses() -> Iterator[tuple[str, str]]:
    """The pages that an address alone leads to."""
    yield "app", reverse("admin:app_list", args=["parlant_store"])
    for model in ("session", "sessionitem", "document"):
        yield f"list of {model}", listing(model)
    yield "sessions found", listing("session", q="refund")
    yield "no session found", listing("session", q="no such words")
    yield "expired sessions", listing("session", state="expired")
    for session in Session.objects.all():
        yield str(session.session_id), page(session)
        yield f"history of {session.session_id}", _history(session)
    yield "thread", page(Thread.objects.get())
    yield "item", page(SessionItem.objects.order_by("key")[1])
    yield "failed migrations", listing("document", collection=FAILED)
    for collection in ("p_sessions", "p_customers", "p_events", "q_notes", FAILED):
        yield f"document of {collection}", page(Document.objects.filter(collection=collection)[0])
    for collection in ("p_sessions", "p_customers", "p_events", "q_notes"):
        yield f"documents of {collection}", listing("document", collection=collection)
    yield "documents found", listing("document", q="s")
    yield "people", reverse("admin:parlant_store_session_people")
    yield "people found", reverse("admin:parlant_store_session_people", query={"q": "a"})
    yield "person", PERSON
    yield "overview", reverse("admin:parlant_store_session_overview")
    yield "stores", reverse("admin:parlant_store_session_stores")
    yield from _elsewhere()


def _history(session: Session) -> str:
    return reverse("admin:parlant_store_session_history", args=[session.pk])


def _elsewhere() -> Iterator[tuple[str, str]]:
    yield "sessions elsewhere", elsewhere("sessions")
    yield "found elsewhere", elsewhere("sessions", q="refund")
    yield "session elsewhere", elsewhere("session", session='["shop","session-1"]')
    yield "thread elsewhere", elsewhere("thread", thread='["shop","thread-1"]')
    yield "collections elsewhere", elsewhere("documents")
    yield "documents elsewhere", elsewhere("documents", collection=CUSTOMERS)
    yield "document elsewhere", elsewhere("document", document='["p_customers","c"]')
    yield "an error", elsewhere("session", session='["shop",""]')
    yield "sweep elsewhere", elsewhere("sweep")


def elsewhere(name: str, **query: str) -> str:
    """The address of a page about the other store."""
    url = f"admin:parlant_store_session_stores_{name}"
    return reverse(url, query={"store": "elsewhere"} | query)


def _confirmations() -> Iterator[tuple[str, Screen]]:
    session = page(Session.objects.get(session_id="session-1"))
    for button in ("Expire now", "Branch", "Delete"):
        yield f"{button} a session", Screen(session, partial(press, button))
    failed = page(Document.objects.get(collection=FAILED))
    yield "retry a migration", Screen(failed, partial(press, "Retry the migration"))
    failed_list = listing("document", collection=FAILED)
    yield "retry what is chosen", Screen(failed_list, partial(choose, "Retry", "Go"))
    for button in ("Export all data", "Erase all data"):
        yield button, Screen(PERSON, partial(press, button))
    # Of a person without data, which the other screens need.
    yield "receipts", Screen("/admin/parlant_store/session/person/?user=nobody", erase)
    deletion = partial(choose, "Delete", "Go on")
    yield "delete elsewhere", Screen(elsewhere("sessions"), deletion)
    documents = elsewhere("documents", collection=CUSTOMERS)
    yield "delete a document elsewhere", Screen(documents, deletion)


def press(button: str, page: Page) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=button, exact=True).click()


def erase(page: Page) -> None:
    press("Erase all data", page)
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    page.get_by_role("checkbox", name="elsewhere").check()
    press("Erase", page)


def choose(action: str, button: str, page: Page) -> None:
    """Choose an action for the first row of a list."""
    page.locator("tbody").get_by_role("checkbox").first.check()
    actions = page.get_by_role("combobox", name="Action")
    actions.select_option(actions.locator("option", has_text=action).text_content())
    press(button, page)
