"""store_import of what LangGraph's saver and store for PostgreSQL have stored."""

import pytest
from django.core.management import CommandError
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.store.postgres import PostgresStore
from psycopg import connect
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from parlant_store.adapters.langgraph import Checkpointer, Store
from tests.adapters.langgraph.graphs import chain, step, thread
from tests.transfer.imports import as_json, run
from tests.transfer.langgraph_threads import GRAPHS, all_of, found_in, go_on, remember, run_all
from tests.transfer.test_import_langgraph import Aes
from tests.transfer.test_import_tables import url as url

pytestmark = pytest.mark.orm

SCHEMA = ("--schema", "kept")


@pytest.fixture
def connection(url):
    with connect(url, autocommit=True, prepare_threshold=0, row_factory=dict_row) as connection:
        connection.execute("set search_path to kept")
        yield connection


@pytest.fixture
def saver(connection):
    saver = PostgresSaver(connection)
    saver.setup()
    return saver


def test_graphs_read_the_same_and_go_on(target, url, saver):
    run_all(saver)
    expected = all_of(saver)
    found = as_json("langgraph-postgres", url, *SCHEMA)
    assert (found["written"], found["notes"], found["difference_count"]) == (len(GRAPHS), [], 0)
    ours = Checkpointer("target")
    assert all_of(ours) == expected
    assert as_json("langgraph-postgres", url, *SCHEMA)["same"] == len(GRAPHS)
    owners = {each.thread_id: each.user_id for each in target.list_threads().threads}
    assert owners == {name: f"user of {name}" for name in GRAPHS}
    assert go_on(ours) == go_on(saver)


def test_encrypted_values(target, url, connection, saver):
    serde = EncryptedSerializer(Aes())
    secret = PostgresSaver(connection, serde=serde)
    graph = chain("a", a=step("a secret")).compile(checkpointer=secret)
    graph.invoke({"steps": []}, thread())
    assert as_json("langgraph-postgres", url, *SCHEMA)["notes"] == []
    ours = Checkpointer("target", serde=serde)
    assert [*ours.list(thread())] == [*secret.list(thread())]
    (record,) = target.read_threads([("", "t")])
    assert {each.value.value.type for each in record.values} >= {"msgpack+aes"}
    graph = chain("a", a=step("a secret")).compile(checkpointer=ours)
    assert graph.invoke({"steps": []}, thread())["steps"] == ["a secret"] * 2


def test_tasks_of_an_old_checkpoint(target, url, connection, saver):
    """It reads them from the writes after its parent, as checkpoints before version 4 do."""
    for number, parent in ((1, None), (2, 1)):
        versions = {"a": number, "b": 1}
        checkpoint = {**empty_checkpoint(), "v": 2, "id": str(number), "channel_versions": versions}
        checkpoint["channel_values"] = {"a": 2**70}
        config = thread(checkpoint_ns="", checkpoint_id=parent and str(parent))
        saver.put(config, checkpoint, {"step": number}, versions)
    config = thread(checkpoint_ns="", checkpoint_id="1")
    saver.put_writes(config, [("__pregel_tasks", {2}), ("__pregel_tasks", "last")], "task", "b")
    saver.put_writes(config, [("__pregel_tasks", "first")], "task 2", "a")
    expected = [*saver.list(thread())]
    assert expected[0].checkpoint["channel_values"]["__pregel_tasks"] == ["first", {2}, "last"]
    run("langgraph-postgres", url, *SCHEMA)
    assert [*Checkpointer("target").list(thread())] == expected


def test_what_cannot_be_read_is_named_and_left(target, url, connection, saver):
    chain("a").compile(checkpointer=saver).invoke({"steps": []}, thread())
    for name, checkpoint, metadata in (("list", [], {}), ("metadata", {}, [])):
        connection.execute(
            "insert into checkpoints (thread_id, checkpoint_id, checkpoint, metadata)"
            " values (%s, '1', %s, %s)",
            (name, Jsonb(checkpoint), Jsonb(metadata)),
        )
    connection.execute("update checkpoint_writes set type = null where channel = 'last'")
    said = run("langgraph-postgres", url, *SCHEMA)
    for line in (
        "checkpoint '1' of thread 'list': it is no JSON object",
        "checkpoint '1' of thread 'metadata': its metadata is no JSON object",
        "a write of thread 't': it is NoneType, and no text",
    ):
        assert f"not copied: {line}" in said
    assert [each.thread_id for each in target.list_threads().threads] == ["t"]


def test_a_database_without_the_tables(target, url, connection):
    connection.execute("create table store (id bigint)")
    with pytest.raises(CommandError, match="the schema kept has no table checkpoints"):
        run("langgraph-postgres", url, *SCHEMA)
    with pytest.raises(CommandError, match="the database cannot be read"):
        run("langgraph-postgres", "postgresql://localhost:1/none")
    with pytest.raises(CommandError, match="SOURCE must be the URL of a database"):
        run("langgraph-postgres", "checkpoints.db")


def test_a_long_term_store(target, url, connection):
    store = PostgresStore(connection)
    store.setup()
    remember(store)
    expected = found_in(store)
    connection.execute(
        "insert into store (prefix, key, value, expires_at, ttl_minutes)"
        " values ('ttl', 'ended', '{}', '2020-01-01', 1), ('ttl', 'short', '{}', '2090-01-01', 0)"
    )
    said = run("langgraph-postgres", url, *SCHEMA, "--user-label", "1")
    assert "the same on both sides: 7 documents of langgraph_store" in said
    ours = Store("target")
    ours.delete(("ttl",), "short")
    assert found_in(ours) == expected
    ordered = [item.key for item in store.search(("users",))]
    assert [item.key for item in ours.search(("users",))] == ordered
