"""Answers of writes to threads that get lost after the server has done them."""

import asyncio

import pytest
from django.db import transaction

from parlant_store.adapters.langgraph import Checkpointer
from parlant_store.exceptions import OutcomeUnknown
from tests.adapters.langgraph.graphs import chain, thread
from tests.backends.orm.postgresql.test_lost_answers import proxy as proxy
from tests.contract.checkpoint_requests import THREAD_WRITES, all_checkpoints, fill

WRITES = THREAD_WRITES | {"expire": lambda store: store.expire().threads}


@pytest.fixture
def filled(store, proxy):
    fill(store)
    return store


@pytest.mark.parametrize("name", WRITES)
def test_a_write_whose_answer_is_lost_is_done_once(filled, proxy, name):
    with transaction.atomic():
        expected, after = WRITES[name](filled), all_checkpoints(filled)
        transaction.set_rollback(True)
    proxy.lose(holding=b"SELECT 1\0")
    assert WRITES[name](filled) == expected
    assert proxy.lost == 1
    assert all_checkpoints(filled) == after


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
