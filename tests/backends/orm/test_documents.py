"""Documents in a Django database: the contract, and what only tables can show."""

from datetime import timedelta

import pytest
from django.utils import timezone

from parlant_store.models import Document
from parlant_store.types import PROMOTED
from tests.backends.orm.test_sessions import make_store as make_store
from tests.contract.document_values import made
from tests.contract.documents import DocumentContract

pytestmark = pytest.mark.usefixtures("own_indexes")


class TestOrmDocuments(DocumentContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    def test_columns_repeat_fields_that_are_text(self, store):
        store.insert_one("c", made(1, session_id="s", agent_id=5, version=None))
        row = Document.objects.get()
        assert row.document_id == "d1"
        assert row.creation_utc == "2030-01-01T00:00:01"
        assert (row.session_id, row.customer_id, row.agent_id, row.version) == (
            "s",
            None,
            None,
            None,
        )
        store.update_one("c", {}, {"session_id": None, "agent_id": "a", "version": "2"})
        row.refresh_from_db()
        assert (row.session_id, row.agent_id, row.version) == (None, "a", "2")
        assert set(PROMOTED) <= {field.column for field in Document._meta.fields}

    def test_the_orm_reads_what_the_store_wrote(self, store):
        document = {"id": "d", "content": "a\0 \ud800 \x01 1e23", "number": 1e23}
        store.insert_one("c", document)
        assert Document.objects.get().data == document
        Document.objects.create(collection="c", document_id="e", data=document | {"id": "e"})
        assert store.find_one("c", {"id": {"$eq": "e"}}) == document | {"id": "e"}

    def test_expired_documents_are_invisible_and_make_room(self, store):
        past = timezone.now() - timedelta(seconds=1)
        store.insert_one("c", made(1, a=1))
        store.insert_one("c", made(2))
        Document.objects.filter(document_id="d1").update(expires_at=past)
        where = {"id": {"$eq": "d1"}}
        assert store.find_one("c", where) is None
        assert [d["id"] for d in store.find("c", count=True).documents] == ["d2"]
        assert store.find("c", count=True).total_count == 1
        assert not store.update_one("c", where, {"a": 2}).matched
        assert store.delete_one("c", where) is None
        store.insert_one("c", made(1, b=1))
        assert store.find_one("c", where) == made(1, b=1)
        Document.objects.filter(document_id="d1").update(expires_at=past)
        assert store.update_one("c", where, made(1, c=1), upsert=True).document == made(1, c=1)
        Document.objects.update(expires_at=past)
        assert store.list_collections() == []
        assert store.expire().documents == 2
        assert not Document.objects.exists()
