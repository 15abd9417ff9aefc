"""Indexes that a framework asks for, on PostgreSQL."""

import pytest
from django.db import connection
from parlant.core.persistence.common import SortDirection
from parlant.core.persistence.document_database import CollectionIndex, identity_loader

from parlant_store.adapters.parlant import DocumentDatabase
from parlant_store.backends.threads.async_calls import run
from parlant_store.exceptions import BackendError
from tests.adapters.parlant.test_database import Note

pytestmark = pytest.mark.usefixtures("own_indexes")


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def guest(store):
    """A user of the tables who may not make indexes."""
    execute(
        "CREATE ROLE guest; GRANT SELECT, INSERT, UPDATE, DELETE"
        " ON ALL TABLES IN SCHEMA public TO guest; GRANT USAGE ON SCHEMA public TO guest"
    )
    yield "guest"
    execute("DROP OWNED BY guest; DROP ROLE guest")


async def test_who_may_not_make_indexes_works_without_them(store_of_one_thread, guest, caplog):
    notes = await DocumentDatabase().get_or_create_collection("notes", Note, identity_loader)
    fields = [("text", SortDirection.ASC)]
    await run(store_of_one_thread, execute, f"SET ROLE {guest}")
    try:
        await notes.ensure_indexes([CollectionIndex(fields)])
        assert "No index on text of notes: must be owner of table" in caplog.text
        with pytest.raises(BackendError, match="must be owner"):
            await notes.ensure_indexes([CollectionIndex(fields, unique=True)])
    finally:
        await run(store_of_one_thread, execute, "RESET ROLE")


def test_the_index_is_what_finds(store):
    assert store.ensure_index("c", [("name", "asc"), ("flag", "asc")])
    for number in range(2_000):
        store.insert_one("c", {"id": f"d{number}", "name": f"n{number}", "flag": False})
    execute("ANALYZE parlant_store_document")
    from tests.backends.orm.postgresql.test_costs import plan_of

    plan = plan_of(store, lambda: store.find("c", {"name": {"$eq": "n7"}}))
    assert "parlant_store_doc_x_" in plan
