"""Where the calls of the long-term store run, and how many there are."""

import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from langgraph.store.base import GetOp, PutOp

from parlant_store import stores
from parlant_store.adapters.langgraph import Store
from parlant_store.exceptions import NotSupported
from parlant_store.test import on_test_connection
from tests.conftest import VENDOR

CALLS: dict[str, Any] = {
    "get": lambda memory: memory.get(("n",), "k"),
    "put": lambda memory: memory.put(("n",), "k", {"text": "words"}),
    "delete": lambda memory: memory.delete(("n",), "k"),
    "search": lambda memory: memory.search(("n",), query="words", filter={"n": {"$gt": 1}}),
    "list": lambda memory: memory.list_namespaces(prefix=("n",)),
    "gets": lambda memory: memory.batch([GetOp(("n",), key) for key in "kl"]),
    "puts": lambda memory: memory.batch(
        [PutOp(("n",), key, value) for key, value in (("k", {}), ("l", None), ("m", {}))]
    ),
}


def statements(call: Any) -> int:
    with CaptureQueriesContext(connection) as queries:
        call()
    marks = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")
    return len([query for query in queries if not query["sql"].startswith(marks)])


@pytest.mark.orm
@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_one_statement_where_that_is_a_round_trip(store, name):
    memory = Store()
    memory.put(("n",), "k", {"text": "words", "n": 2}, ttl=1)
    assert statements(lambda: CALLS[name](memory)) <= (1 if VENDOR == "postgresql" else 5)


@pytest.mark.orm
def test_sync_methods_run_in_the_callers_transaction(store):
    memory = Store()
    memory.put(("n",), "before", {})
    with transaction.atomic():
        memory.put(("n",), "k", {})
        assert memory.get(("n",), "k") is not None
        transaction.set_rollback(True)
    assert [item.key for item in memory.search(())] == ["before"]


@pytest.mark.orm
def test_a_thread_without_a_connection_opens_none(store):
    memory = Store()
    memory.put(("n",), "k", {"n": 1})
    found = []

    def read() -> None:
        found.append(memory.get(("n",), "k").value)
        found.append(connection.connection)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert found == [{"n": 1}, None]


@pytest.mark.orm
def test_calls_on_the_connection_of_a_test(db):
    with on_test_connection():
        memory = Store()
        memory.put(("n",), "k", {"n": 1})
        assert memory.get(("n",), "k").value == {"n": 1}


def test_a_store_without_documents(tmp_path, settings):
    backend = "parlant_store.backends.jsonfile.JsonFileBackend"
    files = {"BACKEND": backend, "OPTIONS": {"directory": tmp_path / "sessions"}}
    settings.PARLANT_STORES = {**settings.PARLANT_STORES, "files": files}
    memory = Store("files")
    for name in CALLS:
        with pytest.raises(NotSupported, match="no documents"):
            CALLS[name](memory)
    stores["files"].close()
