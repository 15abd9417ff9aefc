"""Answers of writes to threads that get lost after the server has done them."""

import asyncio
from typing import Any

import pytest
from django.db import transaction

from parlant_store.adapters.langgraph import Checkpointer
from parlant_store.exceptions import OutcomeUnknown
from tests.adapters.langgraph.graphs import chain, thread
from tests.backends.orm.postgresql.test_lost_answers import proxy as proxy
from tests.contract.checkpoints import changed, checkpoint, write

WRITES = {
    "put_checkpoint": lambda store: store.put_checkpoint("t", checkpoint(9), changed(c=9)),
    "put_writes": lambda store: store.put_writes("t", "0001", [write("a", 0), write("a", -1)]),
    "delete_thread": lambda store: store.delete_thread("t"),
    "delete_runs": lambda store: store.delete_runs(["r"]),
    "copy_thread": lambda store: store.copy_thread("t", "u"),
    "prune_thread": lambda store: store.prune_thread("t"),
    "expire": lambda store: store.expire().threads,
}


def everything(store: Any) -> list[Any]:
    return [
        (each.thread_id, each.checkpoint, each.values, each.writes)
        for each in store.list_checkpoints()
    ]


@pytest.fixture
def filled(store, proxy):
    for number in range(3):
        metadata = {"run_id": "r"} if number == 1 else {}
        made = checkpoint(number, {"c": number}, metadata=metadata)
        store.put_checkpoint("t", made, changed(c=number))
    return store


@pytest.mark.parametrize("name", WRITES)
def test_a_write_whose_answer_is_lost_is_done_once(filled, proxy, name):
    with transaction.atomic():
        expected, after = WRITES[name](filled), everything(filled)
        transaction.set_rollback(True)
    proxy.lose(holding=b"SELECT 1\0")
    assert WRITES[name](filled) == expected
    assert proxy.lost == 1
    assert sorted(everything(filled), key=str) == sorted(after, key=str)


@pytest.mark.parametrize("name", ["put_checkpoint", "put_writes"])
def test_when_sending_it_again_fails_too_the_outcome_is_unknown(filled, proxy, name):
    proxy.lose(holding=b"SELECT 1\0", stays_down=True)
    with pytest.raises(OutcomeUnknown, match="may have been done"):
        WRITES[name](filled)


def test_a_graph_goes_on_when_answers_are_lost(filled, proxy):
    graph = chain("a", "b", "c").compile(checkpointer=Checkpointer())
    proxy.lose(holding=b"parlant_store_put_checkpoint")
    state = asyncio.run(graph.ainvoke({"steps": []}, thread("graph")))
    assert state["steps"] == ["a", "b", "c"]
    assert proxy.lost == 1
    assert len(filled.list_checkpoints("graph")) == 5
