"""Reads that prolong sessions over REST: one request, with the rights of the caller."""

from collections.abc import Iterator

import pytest

from tests.contract.clock import Clock
from tests.contract.refresh import READS, TTL
from tests.contract.stores import MakeStore
from tests.contract.turn_values import turn
from tests.servers.supabase import Stack


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gateway(project: Stack) -> Iterator[object]:
    yield project.gateway
    project.gateway.clear()


@pytest.mark.parametrize("read", ["get_items", "get_items(1)", "load_snapshot", "list_turns"])
def test_a_read_is_one_request(make_store: MakeStore, clock: Clock, gateway, read: str) -> None:
    options = {"clock": clock, "ttl_seconds": TTL}
    plain, store = make_store(**options), make_store(**options, ttl_refresh="read")
    store.add_items("s", turn("hello"))
    sent = []
    for each, seconds in ((plain, 1), (store, 1), (store, TTL - 3)):
        clock.pass_(seconds)
        gateway.clear()
        assert READS[read](each)
        ((_, path),) = gateway.requests
        sent.append(path.rpartition("/parlant_store_")[2])
    assert sent[1:] == [f"{sent[0]}_and_refresh"] * 2
    assert (store.get_session("s").expires_at - clock()).total_seconds() == TTL
