"""Calls of adapters that wait: for a lock, a thread, a connection, as long as they may."""

import asyncio
import threading
import time
from functools import partial

import pytest

from parlant_store import stores
from parlant_store.adapters.openai_agents import Session
from parlant_store.backends.orm import OrmBackend
from parlant_store.exceptions import OutcomeUnknown, StoreUnavailable
from tests.backends.locks import (
    PATIENCE,
    TIMEOUT_SECONDS,
    eventually,
    interrupt_until_done,
    locked,
    waiting,
)
from tests.backends.threads.busy_threads import Held
from tests.conftest import VENDOR
from tests.contract.values import numbered

pytestmark = pytest.mark.orm

SECONDS = 0.7


@pytest.fixture
def hasty(store, settings, monkeypatch):
    """A store whose calls may take a short time, with a session of one item."""
    interrupt_until_done(monkeypatch)
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"timeout": SECONDS}}}
    stores["default"].add_items("s", numbered(0))
    yield stores["default"]
    stores.close_all()


@pytest.fixture
def patient(store, settings):
    """A store whose calls end when the test has them end, with a session of one item."""
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"timeout": PATIENCE}}}
    stores["default"].add_items("s", numbered(0))
    yield stores["default"]
    stores.close_all()


def check_late(failed, alias="default"):
    error = failed.value
    assert type(error) is StoreUnavailable
    assert f"'{alias}'" in str(error)
    assert f"{SECONDS} s" in str(error)
    assert "transaction.atomic" in str(error)


def settled(store):
    """What the session has when all that was to be done is done."""
    eventually(lambda: waiting() == 0)
    store.call_timeout = PATIENCE
    store.submit(int).result(TIMEOUT_SECONDS)
    return store.get_items("s")


def test_a_write_that_waits_for_a_lock(hasty):
    with locked(), pytest.raises(StoreUnavailable) as failed:
        asyncio.run(Session("s").add_items(numbered(1)))
    check_late(failed)
    assert settled(hasty) == numbered(0)
    asyncio.run(Session("s").add_items(numbered(2)))
    assert hasty.get_items("s") == numbered(0, 2)


@pytest.mark.parametrize("name", ["pop_item", "replace_items", "clear", "delete_session"])
def test_every_kind_of_write(hasty, name):
    arguments = ["s", numbered(9)] if name == "replace_items" else ["s"]
    with locked():
        call = hasty.submit(partial(getattr(hasty, name), *arguments))
        with pytest.raises(StoreUnavailable) as failed:
            call.result(TIMEOUT_SECONDS)
    check_late(failed)
    assert settled(hasty) == numbered(0)


def test_a_call_that_waits_in_the_queue(hasty):
    hasty.call_timeout = PATIENCE
    with Held(hasty) as held:
        hasty.call_timeout = SECONDS
        waiting_call = held.add("s", 1)
        with pytest.raises(StoreUnavailable) as failed:
            waiting_call.result(TIMEOUT_SECONDS)
    check_late(failed)
    assert settled(hasty) == numbered(0)


def test_many_that_wait_for_one_lock(hasty):
    async def add_all():
        calls = [Session("s").add_items(numbered(number)) for number in range(40)]
        return await asyncio.gather(*calls, return_exceptions=True)

    with locked():
        before = time.monotonic()
        errors = asyncio.run(add_all())
        assert time.monotonic() - before < TIMEOUT_SECONDS
    assert {type(error) for error in errors} == {StoreUnavailable}
    assert settled(hasty) == numbered(0)


def test_no_limit(store, settings):
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"timeout": None}}}
    store = stores["default"]
    store.add_items("s", numbered(0))
    with locked():
        call = store.submit(partial(store.add_items, "s", numbered(1)))
        eventually(lambda: waiting() or VENDOR == "sqlite3")
        assert not call.done()
    call.result(TIMEOUT_SECONDS)
    assert store.get_items("s") == numbered(0, 1)


def test_a_slow_receiver_does_not_keep_its_caller(patient):
    """What runs in Python cannot be interrupted; the caller is let go all the same."""
    from parlant_store.signals import session_saved

    go, began = threading.Event(), threading.Event()

    def wait(**kwargs):
        began.set()
        go.wait(TIMEOUT_SECONDS)

    session_saved.connect(wait)
    try:
        call = patient.submit(partial(patient.add_items, "s", numbered(1)))
        assert began.wait(TIMEOUT_SECONDS)
        call.expire()
        with pytest.raises(OutcomeUnknown, match=f"{PATIENCE} s"):
            call.result(TIMEOUT_SECONDS)
    finally:
        go.set()
        session_saved.disconnect(wait)
    assert settled(patient) == numbered(0, 1)


@pytest.fixture(params=["wait_for", "cancel", "cancel twice"])
def give_up(request):
    """A way in which a coroutine is given up while it waits."""

    async def wait_for(make):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(make(), SECONDS)

    async def cancel(make):
        task = asyncio.create_task(make())
        while not (waiting() or VENDOR == "sqlite3"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        for _ in request.param.split():
            task.cancel()
            await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await task

    return wait_for if request.param == "wait_for" else cancel


@pytest.mark.parametrize("threads", [8, 0])
def test_who_gives_up_is_let_go(patient, give_up, threads, settings):
    options = {"threads": threads, "timeout": PATIENCE}
    settings.PARLANT_STORES = {"default": {"OPTIONS": options}}

    async def add():
        before = time.monotonic()
        await give_up(lambda: Session("s").add_items(numbered(1)))
        assert time.monotonic() - before < TIMEOUT_SECONDS
        await asyncio.to_thread(eventually, lambda: waiting() == 0)

    with locked():
        asyncio.run(add())
    asyncio.run(Session("s").add_items(numbered(2)))
    assert patient.get_items("s") == numbered(0, 2)


def test_many_that_are_queued_are_given_up(patient):
    async def add_all():
        tasks = [asyncio.create_task(Session("s").add_items(numbered(n))) for n in range(1, 60)]
        await asyncio.sleep(0.2)
        before = time.monotonic()
        for task in tasks[:-1]:
            task.cancel()
        errors = await asyncio.gather(*tasks[:-1], return_exceptions=True)
        assert time.monotonic() - before < TIMEOUT_SECONDS
        assert {type(error) for error in errors} == {asyncio.CancelledError}
        return tasks[-1]

    async def main():
        with locked():
            last = await add_all()
        await last

    asyncio.run(main())
    assert settled(patient) == numbered(0, 59)


def test_one_of_a_group_is_given_up_and_the_others_are_done(patient, monkeypatch):
    interrupt_until_done(monkeypatch)
    with Held(patient) as held:
        calls = [held.add("s", number) for number in (1, 2, 3)]
        with locked():
            held.__exit__()
            eventually(lambda: calls[1].running())
            calls[1].stop()
            eventually(calls[1].done)
    for call in (calls[0], calls[2]):
        call.result(TIMEOUT_SECONDS)
    assert calls[1].exception() is not None
    assert sorted(item["n"] for item in settled(patient)) == [0, 1, 3]


def test_the_limit_of_one_of_a_group_is_not_that_of_the_others(patient, monkeypatch):
    interrupt_until_done(monkeypatch)
    with Held(patient) as held:
        calls = [held.add("s", number) for number in (1, 2, 3)]
        with locked():
            held.__exit__()
            eventually(lambda: calls[1].running())
            calls[1].expire("timeout")
            with pytest.raises(StoreUnavailable):
                calls[1].result(TIMEOUT_SECONDS)
            assert not calls[0].done()
    for call in (calls[0], calls[2]):
        call.result(TIMEOUT_SECONDS)
    assert sorted(item["n"] for item in settled(patient)) == [0, 1, 3]


def test_closing_interrupts_what_waits(patient):
    store = OrmBackend("test", using="default")
    with locked():
        calls = [store.submit(partial(store.add_items, "s", numbered(n))) for n in range(20)]
        store.close(finish_seconds=0.1)
        for call in calls:
            with pytest.raises(StoreUnavailable, match="closed"):
                call.result(TIMEOUT_SECONDS)
        eventually(lambda: waiting() == 0)
    assert settled(patient) == numbered(0)
