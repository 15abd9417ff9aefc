"""Writes with a request id in a Django database: the contract, and the caller's transaction."""

import pytest
from django.db import transaction

from parlant_store.exceptions import DuplicateDocument
from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.document_values import made
from tests.contract.requests import RequestContract, everything
from tests.contract.values import numbered


class TestOrmRequests(RequestContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    def test_in_the_callers_transaction(self, filled, write):
        with transaction.atomic():
            answer, after = write("an id"), everything(filled)
            assert write("an id") == answer
            assert everything(filled) == after
        assert write("an id") == answer
        with transaction.atomic():
            assert write("an id") == answer
        assert everything(filled) == after

    def test_what_the_caller_undoes_can_be_done(self, filled, write):
        before = everything(filled)
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            write("an id")
            1 / 0  # noqa: B018
        assert everything(filled) == before
        write("an id")
        after = everything(filled)
        write("an id")
        assert everything(filled) == after

    def test_a_duplicate_leaves_the_callers_transaction(self, filled):
        with transaction.atomic():
            filled.add_items("s", numbered(4), request_id="one")
            with pytest.raises(DuplicateDocument):
                filled.insert_one("c", made(1), request_id="two")
            filled.add_items("s", numbered(5), request_id="three")
        assert filled.get_items("s") == numbered(1, 2, 3, 4, 5)

    def test_damaged_items_above_the_one_that_is_popped_are_removed_once(self, filled):
        from parlant_store.models import SessionItem

        SessionItem.objects.filter(position__in=[2]).update(data="{")
        assert filled.pop_item("s", request_id="an id") == {"n": 2}
        assert filled.pop_item("s", request_id="an id") == {"n": 2}
        assert filled.get_items("s") == numbered(1)
