"""Adapters' calls on the connection of their caller, where another would not do."""

import asyncio
import threading
import unittest
from functools import partial

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from django.db import connection, connections, transaction
from django.test import TestCase, override_settings

from parlant_store import store as default_store
from parlant_store import stores
from parlant_store.adapters.openai_agents import Session
from parlant_store.models import SessionItem
from parlant_store.test import on_test_connection
from tests.contract.values import numbered

pytestmark = pytest.mark.orm


async def turn(number: int = 1) -> list[dict[str, int]]:
    await Session("s").add_items(numbered(number))
    return await Session("s").get_items()


@pytest.fixture(params=["async_to_sync", "asyncio.run", "asyncio.run in a worker of asgiref"])
def run(request):
    """A way in which sync code runs a coroutine."""
    if request.param == "async_to_sync":
        return lambda make: async_to_sync(make)()
    if request.param == "asyncio.run":
        return lambda make: asyncio.run(make())

    def run_in_worker(make):
        outer = connections["default"]
        work = partial(_with_connections_of, outer, lambda: asyncio.run(make()))

        async def main():
            async with ThreadSensitiveContext():
                return await sync_to_async(work, thread_sensitive=True)()

        outer.inc_thread_sharing()
        try:
            return asyncio.run(main())
        finally:
            outer.dec_thread_sharing()

    return run_in_worker


def _with_connections_of(outer, work):
    connections[outer.alias] = outer
    try:
        return work()
    finally:
        del connections[outer.alias]


@pytest.fixture
def no_threads():
    with override_settings(PARLANT_STORES={"default": {"OPTIONS": {"threads": 0}}}):
        yield


def test_without_threads_calls_are_in_the_callers_transaction(store, no_threads, run):
    with transaction.atomic():
        default_store.add_items("s", numbered(0))
        assert run(turn) == numbered(0, 1)
        assert default_store.get_items("s") == numbered(0, 1)
        transaction.set_rollback(True)
    assert default_store.get_items("s") == []


def test_tasks_at_once_without_threads(store, no_threads, run):
    async def turns():
        await asyncio.gather(*map(turn, range(20)))

    run(turns)
    assert sorted(item["n"] for item in default_store.get_items("s")) == list(range(20))
    assert not connection.in_atomic_block


def test_what_watches_the_callers_connection_sees_the_statements_of_adapters(store, run):
    statements = []

    def watch(execute, sql, params, many, context):
        statements.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        run(turn)
    assert sum("session_item" in sql or "add_items" in sql for sql in statements) >= 2


def test_what_replaces_the_cursor_of_the_callers_connection_is_used(store, run):
    used = []
    make = connection.cursor

    def cursor(*args, **kwargs):
        used.append(1)
        return make(*args, **kwargs)

    connection.cursor = cursor
    try:
        store.get_items("s")
        assert used
        used.clear()
        run(turn)
        assert used
    finally:
        del connection.cursor


def test_an_async_view_uses_the_connection_of_its_request(store):
    """What middleware does to the connection of a request is done to that of adapters there."""
    statements = []

    def watch(execute, sql, params, many, context):
        statements.append(sql)
        return execute(sql, params, many, context)

    async def request():
        async with ThreadSensitiveContext():
            await sync_to_async(lambda: connection.execute_wrappers.append(watch))()
            try:
                return await turn()
            finally:
                await sync_to_async(lambda: connection.execute_wrappers.clear())()
                await sync_to_async(lambda: connection.close())()

    assert asyncio.run(request()) == numbered(1)
    assert statements


def test_inside_of_on_test_connection_nothing_is_left_behind(store):
    class AgentTests(TestCase):
        def test_sync(self):
            with on_test_connection():
                assert async_to_sync(turn)() == numbered(1)
                assert SessionItem.objects.count() == 1

        async def test_async(self):
            with on_test_connection():
                assert await turn() == numbered(1)

        def test_run(self):
            with on_test_connection():
                assert asyncio.run(turn()) == numbered(1)

    tests = unittest.defaultTestLoader.loadTestsFromTestCase(AgentTests)
    result = tests.run(unittest.TestResult())
    assert result.testsRun == 3
    assert result.wasSuccessful(), result.errors + result.failures
    assert not SessionItem.objects.exists()


async def test_the_fixture_uses_the_tests_own_connection(parlant_stores, db):
    assert await turn() == numbered(1)
    ends = [thread.name for thread in threading.enumerate() if thread.name.startswith("store-d")]
    assert not [name for name in ends if name == "store-default-0"]


def test_the_fixture_left_nothing_behind(transactional_db):
    assert stores["default"].get_items("s") == []
