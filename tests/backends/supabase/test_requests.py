"""Writes with a request id over HTTP, and writes whose answer is lost on the way."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from parlant_store.exceptions import OutcomeUnknown
from parlant_store.models import Document, Request, Session, SessionItem
from tests.contract.document_values import made
from tests.contract.requests import WRITES, RequestContract, everything
from tests.contract.stores import Timed
from tests.contract.values import numbered
from tests.servers.supabase import Stack


class TestSupabaseRequests(RequestContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


@pytest.mark.usefixtures("own_indexes")
class TestLostAnswers(Timed):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    @pytest.fixture
    def gateway(self, project: Stack) -> Iterator[Any]:
        yield project.gateway
        project.gateway.heal()
        project.gateway.clear()

    @pytest.mark.parametrize("name", WRITES)
    def test_a_write_whose_answer_is_lost_is_done_once(self, store, gateway, name):
        outcomes = []
        for drops in (False, True):
            begin_anew()
            given = filled(store, name)
            gateway.clear()
            if drops:
                gateway.drop_next_answer()
            answer = WRITES[name](store, **given)
            assert len(gateway.requests) == 1 + drops
            outcomes.append((comparable(answer), comparable(everything(store))))
        assert outcomes[0] == outcomes[1]

    @pytest.mark.parametrize("name", ["add_items", "pop_item", "branch", "insert_numbered"])
    def test_a_write_whose_answers_are_all_lost_can_be_repeated(
        self, make_store, clock, gateway, name
    ):
        store, hasty = make_store(clock=clock), make_store(clock=clock, timeout=0.9)
        given = filled(store, name)
        gateway.drop_answers(1)
        with pytest.raises(OutcomeUnknown):
            WRITES[name](hasty, **given, request_id="an id")
        gateway.heal()
        WRITES[name](store, **given, request_id="an id")
        after = everything(store)
        WRITES[name](store, **given, request_id="an id")
        assert everything(store) == after
        items = [item["n"] for item in store.get_items("s")]
        assert len(items) == len(set(items))


def begin_anew() -> None:
    for model in (SessionItem, Session, Document, Request):
        model.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "select indexname from pg_indexes where indexname like 'parlant_store_doc_%'"
            " and indexname ~ '_[ux]_[0-9a-f]{16}$'"
        )
        for (index,) in cursor.fetchall():
            cursor.execute(f"drop index {index}")


def filled(store: Any, name: str) -> dict[str, Any]:
    """What the write needs to know of what is there before."""
    store.add_items("s", numbered(1, 2, 3), user_id="ada")
    store.set_metadata("s", {"k": 1})
    for number in (1, 2):
        store.insert_one("c", made(number))
    if name == "save_snapshot of a part":
        return {"since": store.load_snapshot("s").revision}
    if name == "replace":
        return {"stored": store.read_version("c", None)}
    return {}


def comparable(value: Any) -> str:
    """Without ids that were made at random and numbers of rows."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "an id", repr(value))
    return re.sub(r"key=\d+", "key", text)
