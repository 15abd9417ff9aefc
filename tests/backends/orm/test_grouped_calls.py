"""Calls that wait for a thread are made together, as if each were made by itself."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import ClassVar

import pytest
from django.db import connection

from parlant_store.adapters.openai_agents import Session
from parlant_store.backends.orm import OrmBackend
from parlant_store.exceptions import InvalidItem, InvalidName
from parlant_store.models import SessionItem
from parlant_store.types import Checkpoint, TypedBytes
from tests.backends.threads.busy_threads import TIMEOUT_SECONDS, Held, results, writes_of
from tests.contract.clock import Clock
from tests.contract.values import numbered

pytestmark = pytest.mark.orm


def test_names_and_texts_of_every_kind(store):
    names = ['a"b', "c\\d", "{}", "NULL", "ü\ud800", "x" * 4_000, "\x01", "a,b", " "]
    item = {"role": "user", "content": 'say "hi", \\ {a,b} NULL \x00 \udfff'}
    with Held(store):
        futures = [
            store.submit(partial(store.add_items, name, [item, {"n": 1}], namespace=name))
            for name in names
        ]
    results(futures)
    for name in names:
        assert store.get_items(name, namespace=name) == [item, {"n": 1}]
    with Held(store):
        futures = [
            store.submit(partial(store.get_items, name, namespace=name, limit=2)) for name in names
        ]
    assert results(futures) == [[item, {"n": 1}]] * len(names)


def test_reads_that_wait_get_what_each_asked_for(store):
    store.add_items("s", numbered(*range(30)))
    store.add_items("t", numbered(*range(100, 130)))
    limits = [1, 5, 30, 1_000, 0, None]
    with Held(store) as held:
        futures = [held.get(name, limit) for limit in limits for name in ("s", "t", "none")]
    found = iter(results(futures))
    for limit in limits:
        count = 30 if limit is None else min(limit, 30)
        assert next(found) == numbered(*range(30 - count, 30))
        assert next(found) == numbered(*range(130 - count, 130))
        assert next(found) == []


def test_a_damaged_item_is_skipped_and_the_others_do_not_notice(store):
    for name in ("s", "t"):
        store.add_items(name, numbered(*range(5)))
    SessionItem.objects.filter(session__session_id="s", position=4).update(data="{")
    with Held(store) as held:
        futures = [held.get("s", 2), held.get("t", 2)]
    assert results(futures) == [numbered(2, 3), numbered(3, 4)]


def test_one_that_is_refused_fails_alone(store):
    with Held(store) as held:
        good = [held.add("s", number) for number in range(3)]
        bad = store.submit(partial(store.add_items, "s", [{"n": float("nan")}]))
        empty = held.add("s")
    assert results([*good, empty]) == [None] * 4
    with pytest.raises(InvalidItem):
        bad.result(TIMEOUT_SECONDS)
    assert sorted(item["n"] for item in store.get_items("s")) == [0, 1, 2]


def test_adding_nothing_begins_no_session(store):
    with Held(store) as held:
        futures = [held.add("none"), held.add("s", 1), held.add("none")]
    assert results(futures) == [None] * 3
    with Held(store) as held:
        futures = [held.add("none"), held.add("none")]
    assert results(futures) == [None] * 2
    assert [session.session_id for session in store.list_sessions().sessions] == ["s"]


def saved(checkpoint_id):
    return Checkpoint(checkpoint_id=checkpoint_id, value=TypedBytes("bytes", b"state"))


def test_writes_after_a_checkpoint_are_those_of_each_task(store):
    calls = [
        ("1", writes_of("a", {0: b"first", -1: b"first"})),
        ("1", writes_of("b", {0: b"other"})),
        ("1", writes_of("a", {0: b"second", 1: b"new", -1: b"second"})),
        ("2", writes_of("a", {0: b"later"})),
    ]

    async def write() -> None:
        named = {"thread_id": "t", "user_id": "ada"}
        await asyncio.gather(
            *(
                store.aput_writes(checkpoint_id=checkpoint_id, writes=writes, **named)
                for checkpoint_id, writes in calls
            )
        )

    store.put_checkpoint("t", saved("1"))
    asyncio.run(write())
    stored = store.get_checkpoint("t", "1")
    assert [(each.task_id, each.idx, each.value.data) for each in stored.writes] == [
        ("a", -1, b"second"),
        ("a", 0, b"first"),
        ("a", 1, b"new"),
        ("b", 0, b"other"),
    ]
    store.put_checkpoint("t", saved("2"))
    assert [each.value.data for each in store.get_checkpoint("t").writes] == [b"later"]
    assert store.list_threads().threads[0].user_id == "ada"


def test_writes_that_are_refused_fail_alone(store):
    store.put_checkpoint("t", saved("1"))
    with Held(store) as held:
        good = [held.put_writes("t", "1", task) for task in ("a", "b")]
        bad = held.put_writes("t", "1", "a" * 600)
    assert results(good) == [None] * 2
    with pytest.raises(InvalidName):
        bad.result(TIMEOUT_SECONDS)
    assert [each.task_id for each in store.get_checkpoint("t").writes] == ["a", "b"]


def test_tasks_that_end_at_once_write_in_one_transaction(store):
    store.put_checkpoint("t", saved("1"))
    with Held(store) as held:
        futures = [held.put_writes("t", "1", str(number)) for number in range(20)]
    results(futures)
    assert len(store.get_checkpoint("t").writes) == 20
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(DISTINCT xmin::text) FROM parlant_store_checkpoint_write")
            assert cursor.fetchone()[0] < 20


def test_what_has_expired_begins_anew(transactional_db):
    clock = Clock()
    store = OrmBackend("test", using="default", ttl_seconds=10, clock=clock)
    try:
        for name in ("s", "t"):
            store.add_items(name, numbered(0))
        clock.pass_(10)
        store.add_items("u", numbered(0))
        with Held(store) as held:
            futures = [held.get(name, 5) for name in ("s", "t", "u")]
        assert results(futures) == [[], [], numbered(0)]
        with Held(store) as held:
            futures = [held.add(name, 1) for name in ("s", "u", "t", "s")]
        results(futures)
        assert store.get_items("s") == numbered(1, 1)
        assert store.get_items("t") == numbered(1)
        assert store.get_items("u") == numbered(0, 1)
        assert store.get_session("s").expires_at == clock() + timedelta(seconds=10)
    finally:
        store.close()


class Watching(OrmBackend):
    """A store that keeps which calls may run as a group."""

    grouped: ClassVar[list[bool]] = []

    def group_of(self, call):
        group = super().group_of(call)
        self.grouped.append(group is not None)
        return group


def test_turns_of_the_adapters_are_groups(transactional_db, settings):
    path = f"{__name__}.{Watching.__name__}"
    options = {"threads": 1, "using": "default"}
    settings.PARLANT_STORES = {"default": {"BACKEND": path, "OPTIONS": options}}
    Watching.grouped.clear()

    async def turns() -> None:
        sessions = [Session(f"s{number}", session_settings={"limit": 20}) for number in range(5)]
        await asyncio.gather(*(session.add_items(numbered(1, 2)) for session in sessions))
        await asyncio.gather(*(session.get_items() for session in sessions))

    asyncio.run(turns())
    assert Watching.grouped == [True] * 10
