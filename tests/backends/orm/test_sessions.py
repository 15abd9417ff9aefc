"""Sessions in a Django database: the contract, and what only tables can show."""

import logging
import tracemalloc
from collections.abc import Iterator

import pytest

from parlant_store.backends.orm import OrmBackend
from parlant_store.models import Session, SessionItem
from tests.contract.sessions import SessionContract
from tests.contract.stores import MakeStore
from tests.contract.values import numbered


@pytest.fixture
def make_store(transactional_db: None) -> Iterator[MakeStore]:
    stores: list[OrmBackend] = []

    def make(**options):
        stores.append(OrmBackend("test", using="default", **options))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


class TestOrmSessions(SessionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    def test_positions_are_never_given_twice(self, store):
        store.add_items("s", numbered(1, 2))
        store.pop_item("s")
        store.add_items("s", numbered(3))
        store.clear("s")
        store.add_items("s", numbered(4))
        assert list(SessionItem.objects.values_list("position", flat=True)) == [3]

    def test_role_and_text_are_taken_from_the_item(self, store):
        store.add_items(
            "s",
            [
                {"role": "user", "content": "plain \0 \ud800"},
                {"role": "assistant", "content": [{"text": "a"}, {"image": 1}, {"text": "b"}]},
                {"type": "function_call", "name": "f", "arguments": "{}"},
                {"x": 1},
            ],
        )
        rows = SessionItem.objects.order_by("position").values_list("role", "text")
        assert list(rows) == [
            ("user", "plain � �"),
            ("assistant", "a\nb"),
            ("function_call", None),
            (None, None),
        ]

    def test_damaged_items_are_skipped_and_do_not_count(self, store, caplog):
        store.add_items("s", numbered(*range(6)))
        broken = SessionItem.objects.filter(position__in=[2, 4, 5])
        broken.update(data='{"n": ')
        with caplog.at_level(logging.WARNING, "parlant_store"):
            assert store.get_items("s") == numbered(0, 1, 3)
            assert store.get_items("s", limit=2) == numbered(1, 3)
            assert store.get_items("s", limit=10) == numbered(0, 1, 3)
            assert store.pop_item("s") == {"n": 3}
        assert "damaged" in caplog.text
        assert store.get_items("s") == numbered(0, 1)

    def test_two_halves_of_an_item_are_no_item(self, store):
        store.add_items("s", numbered(1, 2))
        SessionItem.objects.filter(position=0).update(data='{"n": 1')
        SessionItem.objects.filter(position=1).update(data='"m": 2}')
        assert store.get_items("s") == []

    def test_deleting_a_session_in_the_orm_takes_its_items(self, store):
        store.add_items("s", numbered(1))
        Session.objects.all().delete()
        assert not SessionItem.objects.exists()

    def test_a_session_of_100_000_items(self, store):
        for start in range(0, 100_000, 20_000):
            store.add_items("s", numbered(*range(start, start + 20_000)))
        assert store.get_items("s") == numbered(*range(100_000))
        assert store.get_items("s", limit=2) == numbered(99_998, 99_999)
        assert peak_of(lambda: store.get_items("s", limit=20)) < 1_000_000
        assert store.pop_item("s") == {"n": 99_999}
        store.clear("s")
        assert store.get_items("s") == []

    def test_writes_belong_to_the_callers_transaction(self, store):
        from django.db import transaction

        with pytest.raises(ZeroDivisionError), transaction.atomic():
            store.add_items("s", numbered(1))
            assert store.get_items("s") == numbered(1)
            raise ZeroDivisionError
        assert store.get_items("s") == []
        assert not store.exists("s")


def peak_of(call) -> int:
    """Bytes that Python held at most during ``call``."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
