"""Calls on a store's threads run as their callers would: in their database, zone and context."""

import asyncio
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils import timezone, translation

from parlant_store import stores
from parlant_store.adapters.openai_agents import Session
from parlant_store.backends.orm import OrmBackend
from parlant_store.signals import session_loaded, session_saved
from tests.backends.locks import eventually
from tests.backends.threads.busy_threads import TIMEOUT_SECONDS, Held, results
from tests.contract.values import numbered
from tests.matrix.routers import ContextRouter, tenant

pytestmark = pytest.mark.orm

both = pytest.mark.django_db(databases=["default", "other"], transaction=True)
DATABASES = ("default", "other")


def items_in(alias, session_id):
    return OrmBackend("test", using=alias).get_items(session_id)


@contextmanager
def entered(alias):
    token = tenant.set(alias)
    try:
        yield
    finally:
        tenant.reset(token)


@pytest.fixture(params=[8, 1, 0])
def routed(request, settings):
    """A store whose database is that of a ContextVar."""
    settings.DATABASE_ROUTERS = [ContextRouter()]
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"threads": request.param}}}
    yield stores["default"]
    stores.close_all()


@both
def test_a_router_that_reads_a_context_variable(routed):
    async def turn(number):
        alias = DATABASES[number % 2]
        with entered(alias):
            await Session("s").add_items(numbered(number))
            found = await Session("s").get_items()
            assert {"n": number} in found
            assert {item["n"] % 2 for item in found} == {number % 2}

    async def main():
        await asyncio.gather(*map(turn, range(100)))

    asyncio.run(main())
    for place, alias in enumerate(DATABASES):
        found = sorted(item["n"] for item in items_in(alias, "s"))
        assert found == list(range(place, 100, 2))


@both
@pytest.mark.parametrize("limit", [5, None])
def test_only_calls_for_one_database_are_grouped(routed, limit):
    if routed.executor.count == 0:
        routed = OrmBackend("test")
    for place, alias in enumerate(DATABASES):
        with entered(alias):
            routed.add_items("s", numbered(place))
    with Held(routed) as held:
        reads, writes = [], []
        for number in range(40):
            with entered(DATABASES[number % 2]):
                reads.append(held.get("s", limit))
                writes.append(held.add(f"t{number}", number))
    assert results(reads) == [numbered(number % 2) for number in range(40)]
    results(writes)
    for number in range(40):
        here, there = DATABASES[number % 2], DATABASES[1 - number % 2]
        assert items_in(here, f"t{number}") == numbered(number)
        assert items_in(there, f"t{number}") == []
    routed.close()


class LocalRouter:
    """The database that middleware has left in a thread local."""

    local = threading.local()

    def db_for_read(self, model, **hints):
        return getattr(self.local, "alias", None)

    db_for_write = db_for_read


@both
@pytest.mark.parametrize("threads", [8, 0])
def test_a_router_that_reads_a_thread_local(settings, threads):
    settings.DATABASE_ROUTERS = [LocalRouter()]
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"threads": threads}}}

    async def turns(count):
        await asyncio.gather(*(Session("s").add_items(numbered(n)) for n in range(count)))
        return len(await Session("s").get_items())

    def request(alias, count):
        LocalRouter.local.alias = alias
        try:
            found.append(async_to_sync(turns)(count))
        finally:
            connections.close_all()

    found = []
    requests = [
        threading.Thread(target=request, args=each)
        for each in zip(DATABASES, (10, 20), strict=True)
    ]
    for each in requests:
        each.start()
    for each in requests:
        each.join()
    assert sorted(found) == [10, 20]
    assert [len(items_in(alias, "s")) for alias in DATABASES] == [10, 20]
    stores.close_all()


def test_the_zone_of_the_caller(store):
    """What receivers of signals format is in the caller's zone, also in a group."""
    seen = {}

    def note(session_id, **kwargs):
        seen[session_id] = str(timezone.get_current_timezone())

    zones = {"a": "Asia/Tokyo", "b": "Europe/Rome", "c": "America/Lima"}
    for signal in (session_saved, session_loaded):
        signal.connect(note)
    try:
        with Held(store) as held:
            calls = []
            for name, zone in zones.items():
                with timezone.override(ZoneInfo(zone)):
                    calls.append(held.add(name, 1))
        results(calls)
        assert seen == zones
        seen.clear()

        async def read(name):
            timezone.activate(ZoneInfo(zones[name]))
            await Session(name).get_items(1)

        async def main():
            await asyncio.gather(*map(read, zones))

        asyncio.run(main())
        assert seen == zones
    finally:
        for signal in (session_saved, session_loaded):
            signal.disconnect(note)
    assert str(store.submit(timezone.get_current_timezone).result()) == "UTC"


def test_the_language_of_the_caller(store):
    with translation.override("de"):
        assert store.submit(translation.get_language).result() == "de"
    assert store.submit(translation.get_language).result() == "en-us"


user: ContextVar[str] = ContextVar("user", default="nobody")
entries: list[tuple[str, str]] = []
work = threading.local()


def as_user():
    """Called in the caller's thread, where it reads what only that has."""
    caller = getattr(work, "user", "nobody")
    assert not threading.current_thread().name.startswith("store-")

    @contextmanager
    def enter():
        entries.append(("enter", caller))
        work.user = caller
        try:
            yield
        finally:
            del work.user
            entries.append(("exit", caller))

    return enter()


@pytest.fixture(params=["function", "path"])
def contextual(store, settings, request):
    option = as_user if request.param == "function" else f"{__name__}.as_user"
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"call_context": option}}}
    entries.clear()
    yield stores["default"]
    work.__dict__.clear()
    stores.close_all()


def test_the_context_of_the_option_is_entered_around_each_call(contextual):
    calls = []
    with Held(contextual) as held:
        entries.clear()
        for name in ("ada", "bob", "cleo"):
            work.user = name
            calls.append(contextual.submit(lambda: work.user))
            held.add("s", 1)
    assert results(calls) == ["ada", "bob", "cleo"]
    names = ("ada", "bob", "cleo")
    eventually(lambda: [caller in names for _, caller in list(entries)].count(True) == 12)
    for name in names:
        own = [kind for kind, caller in entries if caller == name]
        assert sorted(own) == ["enter", "enter", "exit", "exit"]
    assert contextual.get_items("s") == numbered(1, 1, 1)


def test_errors_of_a_call_pass_through_its_context(contextual):
    work.user = "ada"
    call = contextual.submit(partial(contextual.get_items, "s", limit=-1))
    with pytest.raises(ValueError, match="limit"):
        call.result(TIMEOUT_SECONDS)
    assert entries == [("enter", "ada"), ("exit", "ada")]


@pytest.mark.parametrize("place", ["function", "enter", "exit"])
def test_errors_of_the_context_are_those_of_the_call(store, place):
    def fail(at):
        if at == place:
            raise ZeroDivisionError

    def make():
        fail("function")

        @contextmanager
        def enter():
            fail("enter")
            yield
            fail("exit")

        return enter()

    other = OrmBackend("test", using="default", call_context=make)

    async def add():

        await other.aadd_items("s", numbered(1))

    with pytest.raises(ZeroDivisionError):
        asyncio.run(add())
    assert store.get_items("s") == (numbered(1) if place == "exit" else [])
    other._call_context = None
    assert other.submit(int).result(TIMEOUT_SECONDS) == 0
    other.close()


@pytest.mark.parametrize("option", ["tests.nowhere.at_all", "tests", 5])
def test_a_wrong_option(option):
    with pytest.raises(ImproperlyConfigured, match="call_context of the store 'test'"):
        OrmBackend("test", using="default", call_context=option)
