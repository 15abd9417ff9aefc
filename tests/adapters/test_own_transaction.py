"""An adapter within a transaction of its caller, which holds what the adapter waits for."""

import asyncio
import time

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from parlant_store import stores
from parlant_store.adapters.openai_agents import Session
from parlant_store.exceptions import StoreUnavailable
from tests.backends.locks import PATIENCE, eventually, interrupt_until_done, waiting
from tests.conftest import VENDOR
from tests.contract.values import numbered

pytestmark = pytest.mark.orm

SECONDS = 1
BOUND = 120
"""Seconds that surely are no waiting for ever, on a busy machine."""

WAYS = {
    "async_to_sync": lambda make: async_to_sync(make)(),
    "asyncio.run": lambda make: asyncio.run(make()),
}


async def add():
    await Session("s").add_items(numbered(2))


def both(run=WAYS["async_to_sync"]):
    stores["default"].add_items("s", numbered(1))
    run(add)


@pytest.fixture
def short(store, settings, monkeypatch):
    interrupt_until_done(monkeypatch)
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"timeout": SECONDS}}}
    yield stores["default"]
    eventually(lambda: waiting() == 0)
    stores.close_all()


def refuses(work):
    """``work`` fails within the time, on SQLite at once, and says why.

    Calls may take long afterwards.
    """
    before = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"transaction\.atomic.*threads: 0") as failed:
        work()
    took = time.monotonic() - before
    stores["default"].call_timeout = PATIENCE
    assert took < BOUND
    if VENDOR == "postgresql":
        assert took >= SECONDS
        assert "'default'" in str(failed.value)
        assert f"{SECONDS} s" in str(failed.value)


@pytest.mark.parametrize("way", WAYS)
def test_in_a_block(short, way):
    def work():
        with transaction.atomic():
            both(WAYS[way])

    refuses(work)
    assert short.get_items("s") == []
    both(WAYS[way])
    assert short.get_items("s") == numbered(1, 2)


@pytest.mark.parametrize("way", WAYS)
def test_the_block_goes_on_when_the_error_is_caught(short, way):
    with transaction.atomic():
        refuses(lambda: both(WAYS[way]))
        short.add_items("s", numbered(3))
    assert short.get_items("s") == numbered(1, 3)


@pytest.mark.parametrize("way", WAYS)
def test_wait_for_in_a_block(short, way, settings):
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"timeout": PATIENCE}}}

    async def add_soon():
        await asyncio.wait_for(add(), SECONDS)

    before = time.monotonic()
    with pytest.raises((TimeoutError, StoreUnavailable)), transaction.atomic():
        stores["default"].add_items("s", numbered(1))
        WAYS[way](add_soon)
    assert time.monotonic() - before < BOUND


@pytest.mark.parametrize("way", WAYS)
def test_without_threads_it_joins_the_block(short, way, settings):
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"threads": 0}}}
    with transaction.atomic():
        both(WAYS[way])
    assert stores["default"].get_items("s") == numbered(1, 2)


def view(request):
    both()
    return HttpResponse("done")


async def async_view(request):
    await sync_to_async(stores["default"].add_items)("s", numbered(1))
    await add()
    return HttpResponse("done")


urlpatterns = [path("sync/", view), path("async/", async_view)]


@pytest.fixture
def client(settings):
    settings.ROOT_URLCONF = __name__
    return Client()


def test_a_view_with_atomic_requests(short, client, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    refuses(lambda: client.get("/sync/"))
    assert short.get_items("s") == []


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_view_without(short, client, kind):
    short.call_timeout = PATIENCE
    assert client.get(f"/{kind}/").content == b"done"
    assert short.get_items("s") == numbered(1, 2)


def test_a_view_with_atomic_requests_and_without_threads(short, client, monkeypatch, settings):
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"threads": 0}}}
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert client.get("/sync/").content == b"done"
    assert stores["default"].get_items("s") == numbered(1, 2)


def test_sqlites_own_way_of_beginning(short, monkeypatch):
    """A transaction that locks with its first write, and not when it begins."""
    if VENDOR == "sqlite3":
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "transaction_mode", None)
        monkeypatch.setattr(connection, "transaction_mode", None)

    def work():
        with transaction.atomic():
            both()

    refuses(work)
    assert short.get_items("s") == []
