"""Every page answers in the theme, with all that can be done there."""

from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import reverse

from parlant_store.models import Document, Session
from tests.admin.pages import get, listing, superuser
from tests.admin.pages import page as address
from tests.browser.screens import TWO_STORES, addresses, fill

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

MODELS = (Session, Document)
LISTS = {Session: {}, Document: {"collection": "p_customers"}}
"""What narrows the list of a model to rows."""


@pytest.fixture
def client(store: Any, settings: Any) -> Any:
    settings.PARLANT_STORES = TWO_STORES
    fill()
    return superuser()


def test_every_page_answers_in_the_theme(client, theme):
    for name, url in addresses():
        response = client.get(url)
        assert response.status_code == 200, name
        assert (theme or "admin/css/base.css") in response.content.decode(), name


def test_pages_that_ask_are_the_themes(client, theme):
    session = Session.objects.get(session_id="session-1")
    data = {"action": "remove", "_selected_action": session.pk}
    response = client.post(listing("session"), data)
    assert response.status_code == 200
    assert (theme or "admin/css/base.css") in response.content.decode()


class Forms(HTMLParser):
    """The forms of a page as a browser sees them: one inside another does not count."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []
        self._is_open = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = dict(attrs)
        if tag == "form" and not self._is_open:
            self._is_open = True
            self.forms.append({"action": given.get("action"), "buttons": [], "options": []})
        elif self._is_open and tag == "button" and given.get("name") == "action":
            self.forms[-1]["buttons"].append(given["value"])
        elif self._is_open and tag == "option":
            self.forms[-1]["options"].append(given.get("value"))

    def handle_endtag(self, tag: str) -> None:
        self._is_open = self._is_open and tag != "form"


def actions_of(model: type[Any]) -> list[str]:
    request = RequestFactory().get("/")
    request.user = User.objects.get(is_superuser=True)
    return list(admin.site._registry[model].get_actions(request))


@pytest.mark.parametrize("model", MODELS)
def test_every_action_can_be_chosen_in_a_list(client, model):
    (form,) = [
        form
        for form in Forms(get(client, listing(model._meta.model_name, **LISTS[model]))).forms
        if "expire" in form["options"]
    ]
    assert [value for value in form["options"] if value] == actions_of(model)


@pytest.mark.parametrize("model", MODELS)
def test_every_action_has_a_button_on_a_page(client, model):
    ending = model.objects.order_by("key")[0]
    model.objects.filter(pk=ending.pk).update(expires_at="2100-01-01T00:00Z")
    forms = Forms(get(client, address(ending))).forms
    (form,) = [form for form in forms if form["buttons"]]
    assert form["action"] == reverse(f"admin:parlant_store_{model._meta.model_name}_changelist")
    assert form["buttons"] == [name for name in actions_of(model) if name != "retry"]


BREADCRUMBS = {
    "": 'class="breadcrumbs"',
    "jazzmin": 'class="breadcrumb"',
    "unfold": 'id="header-inner"',
}


@pytest.mark.parametrize("model", MODELS)
def test_breadcrumbs_are_the_themes(client, theme, model):
    row = model.objects.order_by("key")[0]
    for url in (listing(model._meta.model_name), address(row)):
        crumbs = get(client, url).partition(BREADCRUMBS[theme])[2][:4_000]
        assert reverse("admin:app_list", args=["parlant_store"]) in crumbs, url
    assert listing(model._meta.model_name) in crumbs
    # One theme begins it with a capital letter.
    assert str(row).lower() in crumbs.lower()
