"""Calls on the threads of LangGraph have the database and the context of the run's caller."""

import asyncio
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import pytest

from parlant_store import stores
from parlant_store.adapters.langgraph import Checkpointer, Store
from parlant_store.backends.orm import OrmBackend
from tests.adapters.langgraph.graphs import chain, fan_out, thread

pytestmark = pytest.mark.orm

DATABASES = ("default", "other")
local = threading.local()
variable: ContextVar[str] = ContextVar("variable")


class LocalRouter:
    """The database of a thread local, without which it fails."""

    def db_for_read(self, model, **hints):
        return local.database if model._meta.app_label == "parlant_store" else None

    db_for_write = db_for_read


class VariableRouter:
    """The database of a ContextVar, without which it fails."""

    def db_for_read(self, model, **hints):
        return variable.get() if model._meta.app_label == "parlant_store" else None

    db_for_write = db_for_read


def callers_database():
    return use_database(local.database)


@contextmanager
def use_database(alias):
    before = getattr(local, "database", None)
    local.database = alias
    try:
        yield
    finally:
        local.database = before


@pytest.fixture(params=["thread local", "ContextVar"])
def enter(request, settings):
    """Return what chooses the database of the calls that follow."""
    if request.param == "ContextVar":
        settings.DATABASE_ROUTERS = [VariableRouter()]
        settings.PARLANT_STORES = {"default": {}}
        yield variable.set
    else:
        settings.DATABASE_ROUTERS = [LocalRouter()]
        settings.PARLANT_STORES = {"default": {"OPTIONS": {"call_context": callers_database}}}
        yield partial(setattr, local, "database")
    local.__dict__.clear()
    stores.close_all()


def invoke(graph):
    graph.invoke({"steps": []}, thread(), durability="sync")


def ainvoke(graph):
    asyncio.run(graph.ainvoke({"steps": []}, thread()))


@pytest.mark.django_db(databases=DATABASES, transaction=True)
@pytest.mark.parametrize("run", [invoke, ainvoke])
def test_calls_use_the_database_of_the_caller(enter, run):
    inner = chain("inner").compile()

    def work(state, runtime):
        key = f"{alias} {state['last']}"
        runtime.store.put(("n",), key, {})
        inner.invoke({"steps": []})
        return {"steps": [runtime.store.get(("n",), key).key]}

    for alias in DATABASES:
        enter(alias)
        run(fan_out(work, 3).compile(checkpointer=Checkpointer(), store=Store()))
    for alias in DATABASES:
        store = OrmBackend("test", using=alias)
        found = store.list_checkpoints("t", checkpoint_ns="")
        assert len(found) == 4
        assert sum(len(each.writes) for each in found) >= 4
        assert len(store.list_checkpoints("t")) > 4
        assert {memory.key for memory in store.search_memories()} == {
            f"{alias} {number}" for number in range(3)
        }
        store.close()
