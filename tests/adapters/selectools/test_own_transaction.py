"""The sync adapter on a thread whose event loop runs, within a transaction of its caller."""

import asyncio
import time

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from selectools.memory import ConversationMemory
from selectools.types import Message, Role

from parlant_store import stores
from parlant_store.adapters.selectools import SessionStore
from parlant_store.exceptions import StoreUnavailable
from tests.backends.locks import PATIENCE, eventually, interrupt_until_done, locked, waiting

pytestmark = pytest.mark.orm

BOUND = 120


@pytest.fixture
def short(store, settings, monkeypatch):
    interrupt_until_done(monkeypatch)
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"timeout": 1}}}
    yield stores["default"]
    eventually(lambda: waiting() == 0)
    stores.close_all()


def memory(*texts):
    made = ConversationMemory()
    for text in texts:
        made.add(Message(role=Role.USER, content=text))
    return made


async def save():
    SessionStore().save("s", memory("one", "two"))


@pytest.mark.parametrize("run", [lambda: async_to_sync(save)(), lambda: asyncio.run(save())])
def test_it_fails_in_time_and_names_the_cause(short, run):
    SessionStore().save("s", memory("one"))
    before = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"transaction\.atomic"), transaction.atomic():
        short.add_items("s", [{"role": "user", "content": "x"}])
        run()
    assert time.monotonic() - before < BOUND
    assert len(short.get_items("s")) == 1
    short.call_timeout = PATIENCE
    run()
    assert len(short.get_items("s")) == 2


@pytest.mark.parametrize("run", [lambda: async_to_sync(save)(), lambda: asyncio.run(save())])
def test_a_lock_of_somebody_else(short, run):
    SessionStore().save("s", memory("one"))
    before = time.monotonic()
    with locked(), pytest.raises(StoreUnavailable, match="1 s"):
        run()
    assert time.monotonic() - before < BOUND
    assert len(short.get_items("s")) == 1
