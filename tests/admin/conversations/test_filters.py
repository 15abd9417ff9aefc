"""The filters of the list of conversations: what they find, and how many rows they read."""

from pathlib import Path

import pytest
from django.utils import timezone

import parlant_store
from parlant_store.admin.conversations.search import streams
from parlant_store.models import Session
from tests.admin.conversations.cases import (
    active,
    created,
    failed_call,
    names,
    notes,
    parlant,
    person,
)
from tests.admin.pages import CALL, OUTPUT, bulk, expire, get, listing, message
from tests.admin.pages import client as client

DAY = 24 * 60 * 60


def test_states(client, store):
    for name in ("never", "later", "soon", "sooner", "over", "long over"):
        store.add_items(name, [message("x")])
    for name, after in (("later", 2), ("soon", 0.5), ("sooner", 0.4), ("over", -1)):
        expire(name, after * DAY)
    expire("long over", -5 * DAY)
    parlant(store, "talk", ("customer", "x"))
    store.set_document_expiry("parlant_sessions", "talk", timezone.now() - timezone.timedelta(1))
    assert len(names(client)) == 7
    assert set(names(client, state="live")) == {"sooner", "soon", "later", "never"}
    assert set(names(client, state="expiring")) == {"sooner", "soon"}
    assert set(names(client, state="expired")) == {"over", "long over", "talk"}
    assert len(names(client, state="nonsense")) == 7
    html = get(client, listing("session", state="expired"))
    assert html.count("parlant-expired") == 3


def test_owners_are_found_by_a_part_of_the_id(client, store):
    store.add_items("hers", [message("x")], user_id="ann@shop.example")
    store.add_items("his", [message("x")], user_id="Bob")
    store.add_items("nobody", [message("x")])
    parlant(store, "talk", ("customer", "x"), customer_id="cust-ann")
    assert set(names(client, owner="ann")) == {"hers", "talk"}
    assert names(client, owner="SHOP.example") == ["hers"]
    assert names(client, owner="bob") == ["his"]
    assert names(client, owner="ann", state="expired") == []
    assert names(client, owner="ann", framework="parlant") == ["talk"]


def test_customers_are_found_by_a_part_of_the_name(client, store):
    parlant(store, "talk", ("customer", "x"), customer_id="c1")
    parlant(store, "other", ("customer", "x"), customer_id="c2")
    person(store, "c1", "Grace Brewster Hopper")
    person(store, "c2", "Änne Müller")
    assert names(client, owner="grace") == ["talk"]
    assert names(client, owner="brewster hop") == ["talk"]
    assert names(client, owner="änne") == ["other"]
    assert names(client, owner="nobody") == []


def test_agents_and_namespaces_are_found_by_a_part(client, store):
    store.add_items("s", [message("x")], namespace="shop/eu")
    store.add_items("t", [message("x")], namespace="support")
    parlant(store, "talk", ("customer", "x"), agent_id="a-17")
    person(store, "a-17", "Shop assistant", "agents")
    assert set(names(client, agent="shop")) == {"shop/eu/s", "talk"}
    assert names(client, agent="EU") == ["shop/eu/s"]
    assert names(client, agent="a-17") == ["talk"]
    assert names(client, agent="nothing") == []


def test_frameworks(client, store):
    store.add_items("agents", [message("x")])
    for name, state in (("memory", {"selectools": "memory"}), ("dict", {"selectools": "dict"})):
        store.add_items(name, [message("x")])
        Session.objects.filter(session_id=name).update(state=state)
    parlant(store, "talk", ("customer", "x"))
    assert set(names(client, framework="selectools")) == {"dict", "memory"}
    assert names(client, framework="openai") == ["agents"]
    assert names(client, framework="parlant") == ["talk"]


def test_the_field_of_selectools_is_that_of_the_adapter():
    adapter = Path(parlant_store.__file__).parent / "adapters" / "selectools" / "serialization.py"
    assert '\nFORM = "selectools"\n' in adapter.read_text()


def test_failures(client, store):
    error = "An error occurred while running the tool. Please try again. Error: x"
    store.add_items("failed", [CALL, OUTPUT | {"output": error}], namespace="n", user_id="ann")
    store.add_items("good", [CALL, OUTPUT], namespace="n", user_id="ann")
    parlant(store, "talk", ("ai_agent", failed_call()))
    parlant(store, "fine", ("ai_agent", "x"))
    assert set(names(client, failed="yes")) == {"n/failed", "talk"}
    assert names(client, failed="yes", agent="n", owner="ann") == ["n/failed"]
    assert len(names(client, failed="no")) == 4


def test_dates_are_those_of_any_activity(client, store):
    for name in ("today", "before", "long ago", "since long ago"):
        store.add_items(name, [message("x")])
        parlant(store, f"p {name}", ("customer", "x"))
    for kind, prefix in (("session_id", ""), ("document_id", "p ")):
        created(0, **{kind: f"{prefix}today"})
        created(2, **{kind: f"{prefix}before"})
        created(40, **{kind: f"{prefix}long ago"})
        created(40, **{kind: f"{prefix}since long ago"})
        active(1, **{kind: f"{prefix}before"})
        active(30, **{kind: f"{prefix}long ago"})

    def found(**params):
        return {name.removeprefix("p ") for name in names(client, **params)}

    def day(days):
        return (timezone.localtime() - timezone.timedelta(days=days)).date().isoformat()

    assert found(date="today") == {"today", "since long ago"}
    assert found(date="yesterday") == {"before", "since long ago"}
    assert found(date="7days") == {"today", "before", "since long ago"}
    assert found(**{"from": day(35), "to": day(25)}) == {"long ago", "since long ago"}
    assert found(to=day(35)) == {"long ago", "since long ago"}
    assert found(**{"from": day(5)}) == {"today", "before", "since long ago"}
    assert len(found(**{"from": "nonsense", "to": "2026-99-99"})) == 4
    assert len(names(client, date="today")) == 4


COMBINATIONS = [
    {"state": "live"},
    {"state": "expired", "owner": "u1"},
    {"owner": "u1"},
    {"owner": "u1", "order": "length"},
    {"agent": "never", "state": "live"},
    {"agent": "never", "failed": "yes"},
    {"failed": "yes", "date": "today"},
    {"framework": "selectools", "order": "creation"},
    {"framework": "openai", "date": "yesterday"},
    {"date": "7days", "order": "creation"},
    {"from": "2020-01-01", "to": "2020-02-01"},
    {"q": "s17", "state": "live", "owner": "u"},
]


@pytest.mark.parametrize("params", COMBINATIONS, ids=str)
def test_filters_combine(client, params, store):
    """Each combination finds what each of its filters finds."""
    for name in ("never", "other"):
        bulk(20, namespace=name)
    Session.objects.filter(session_id="s17").update(failed_calls=1)
    everything = set(names(client))
    expected = everything
    for name, value in params.items():
        if name not in ("order", "from", "to"):
            expected = expected & set(names(client, **{name: value}))
    if "from" in params:
        expected = set()
    assert set(names(client, **params)) == expected


@pytest.mark.parametrize(
    "params",
    [
        {"state": "live"},
        {"owner": "1"},
        {"agent": "e", "state": "live"},
        {"framework": "openai", "order": "creation"},
        {"order": "length"},
        {"to": "2026-01-01"},
    ],
    ids=str,
)
def test_filters_without_an_index_see_the_first_rows_alone(client, params, monkeypatch):
    for limit in ("MAX_ROWS", "MAX_SORTED", "MAX_FILTERED"):
        monkeypatch.setattr(streams, limit, 5)
    for name in ("one", "extra"):
        bulk(10, namespace=name)
    html = get(client, listing("session", **params))
    assert "5 conversations" in notes(html)[0]
    assert len(names(client, **params)) <= 10


@pytest.mark.parametrize(
    "params", [{}, {"framework": "openai"}, {"date": "today"}, {"agent": "one"}]
)
def test_filters_with_an_index_see_all_rows(client, params, monkeypatch):
    for limit in ("MAX_ROWS", "MAX_SORTED", "MAX_FILTERED"):
        monkeypatch.setattr(streams, limit, 5)
    bulk(10, namespace="one")
    assert notes(get(client, listing("session", **params))) == []
