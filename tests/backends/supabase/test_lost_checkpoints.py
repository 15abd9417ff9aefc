"""Writes to threads whose answers get lost on the way, after the server has done them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langgraph.checkpoint.base import empty_checkpoint

from parlant_store import stores
from parlant_store.adapters.langgraph import Checkpointer
from parlant_store.backends.base import BaseBackend
from parlant_store.exceptions import OutcomeUnknown
from parlant_store.models import Request, Thread
from tests.adapters.langgraph.concurrent_runs import check_runs, run_at_once, stored_runs
from tests.adapters.langgraph.graphs import chain, thread
from tests.contract.checkpoint_requests import THREAD_WRITES, all_checkpoints, fill
from tests.contract.clock import Clock
from tests.contract.thread_records import in_order, thread_record
from tests.servers.supabase import Stack, wait_for
from tests.servers.supabase_gateway import Gateway

CHECKPOINT = empty_checkpoint() | {
    "id": "1",
    "channel_values": {"c": 7},
    "channel_versions": {"c": "1"},
}
SAVER_WRITES: dict[str, Callable[[Checkpointer], Any]] = {
    "put": lambda saver: saver.put(
        thread(checkpoint_id="1"), {**CHECKPOINT, "id": "2"}, {"step": 1}, {"c": "1"}
    ),
    "put_writes": lambda saver: saver.put_writes(
        thread(checkpoint_id="1"), [("c", 7), ("__interrupt__", 8)], "task"
    ),
}


@pytest.fixture
def gateway(project: Stack) -> Iterator[Gateway]:
    yield project.gateway
    project.gateway.heal()
    project.gateway.clear()


@pytest.fixture
def saver(transactional_db, project, settings, gateway):
    """The checkpointer of a store over HTTP; "hasty" is the same one with less time."""
    options = {"url": project.url, "key": project.service_key}
    backend = {"BACKEND": "parlant_store.backends.supabase.SupabaseBackend"}
    settings.PARLANT_STORES = {
        "default": {**backend, "OPTIONS": options},
        "hasty": {**backend, "OPTIONS": options | {"timeout": 6}},
    }
    yield Checkpointer()
    stores.close_all()


def heal(gateway: Gateway) -> None:
    """Take the faults back, after all that has arrived is done."""
    assert wait_for(lambda: gateway.answers == len(gateway.requests))
    gateway.heal()


def begin_anew(store: BaseBackend) -> None:
    for each in store.list_threads().threads:
        store.delete_thread(each.thread_id)
    fill(store)


@pytest.mark.parametrize("name", THREAD_WRITES)
def test_a_write_whose_answer_is_lost_is_done_once(make_store, gateway, name):
    store, outcomes = make_store(), []
    for drops in (False, True):
        begin_anew(store)
        gateway.clear()
        requests = Request.objects.count()
        if drops:
            gateway.drop_next_answer()
        answer = THREAD_WRITES[name](store)
        assert len(gateway.requests) == 1 + drops
        assert Request.objects.count() == requests + 1
        outcomes.append((answer, all_checkpoints(store)))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("name", THREAD_WRITES)
def test_a_write_whose_answers_are_all_lost_can_be_repeated(make_store, gateway, name):
    store, hasty = make_store(), make_store(timeout=0.9)
    write = THREAD_WRITES[name]
    begin_anew(store)
    expected = write(store), all_checkpoints(store)
    begin_anew(store)
    gateway.drop_answers(1)
    with pytest.raises(OutcomeUnknown):
        write(hasty, request_id="an id")
    heal(gateway)
    for _ in range(2):
        assert (write(store, request_id="an id"), all_checkpoints(store)) == expected


def test_a_whole_thread_whose_answer_is_lost_is_written_once(make_store, gateway):
    store, record = make_store(), thread_record(Clock()())
    gateway.drop_next_answer()
    assert store.write_threads([record]) == [True]
    (found,) = store.read_threads([("", "t")])
    assert in_order(found) == in_order(record)
    assert Thread.objects.count() == 1


@pytest.mark.parametrize("name", SAVER_WRITES)
def test_a_saver_stores_once_what_is_repeated(saver, gateway, name):
    write = SAVER_WRITES[name]
    saver.put(thread(), CHECKPOINT, {"step": 0}, {"c": "1"})
    saver.copy_thread("t", "other")
    write(saver)
    expected = [*saver.list(thread())]
    saver.copy_thread("other", "t")
    gateway.drop_answers(1)
    with pytest.raises(OutcomeUnknown):
        write(Checkpointer("hasty"))
    heal(gateway)
    assert [*saver.list(thread())] == expected
    write(saver)
    assert [*saver.list(thread())] == expected


async def test_runs_of_one_thread_whose_answers_get_lost(saver, gateway):
    gateway.drop_answers(0.2)
    states = await run_at_once(saver, dict.fromkeys(range(20), "t"))
    heal(gateway)
    check_runs(await stored_runs(saver), states)


async def test_a_graph_goes_on_after_a_step_whose_outcome_is_unknown(saver, gateway):
    ran = []

    def work(state):
        ran.append("b")
        gateway.drop_answers(1)
        return {"steps": ["b"]}

    hasty = chain("a", "b", "c", b=work).compile(checkpointer=Checkpointer("hasty"))
    with pytest.raises(OutcomeUnknown):
        await hasty.ainvoke({"steps": ["in"]}, thread(), durability="sync")
    heal(gateway)
    graph = chain("a", "b", "c", b=work).compile(checkpointer=saver)
    state = await graph.ainvoke(None, thread())
    assert state["steps"] == ["in", "a", "b", "c"]
    assert ran == ["b"]
    history = [each.metadata["step"] async for each in saver.alist(thread())]
    assert history == [3, 2, 1, 0, -1]
