"""store_import of what LangGraph's saver and store for SQLite have stored."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import ormsgpack
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.management import CommandError
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.store.sqlite import SqliteStore

from parlant_store.adapters.langgraph import Checkpointer, Store
from tests.adapters.langgraph.graphs import chain, thread
from tests.transfer.imports import as_json, contents, run
from tests.transfer.langgraph_threads import GRAPHS, all_of, found_in, go_on, remember, run_all

pytestmark = [pytest.mark.orm, pytest.mark.any_database]

KIND = "langgraph-sqlite"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "langgraph"
    folder.mkdir()
    return folder


@pytest.fixture
def path(folder):
    return folder / "checkpoints.db"


def saver_of(path, **options):
    """A saver in a file, which is closed."""
    return closing_saver(SqliteSaver(sqlite3.connect(path, check_same_thread=False), **options))


class closing_saver(closing):
    def __exit__(self, *error):
        self.thing.conn.close()


def test_graphs_read_the_same_and_go_on(target, folder, path):
    with saver_of(path) as saver:
        run_all(saver)
        expected = all_of(saver)
    before = contents(folder)
    found = as_json(KIND, path)
    assert (found["written"], found["notes"], found["difference_count"]) == (len(GRAPHS), [], 0)
    assert contents(folder) == before
    assert found["totals"]["threads"]["items"] == found["checkpoints"] > 30
    ours = Checkpointer("target")
    assert all_of(ours) == expected
    again = as_json(KIND, path)
    assert (again["written"], again["same"]) == (0, len(GRAPHS))
    owners = {each.thread_id: each.user_id for each in target.list_threads().threads}
    assert owners == {name: f"user of {name}" for name in GRAPHS}
    with saver_of(path) as saver:
        assert go_on(ours) == go_on(saver)


def test_an_interrupted_import_goes_on(target, path, monkeypatch):
    monkeypatch.setattr("parlant_store.transfer.readers.base.MAX_THREADS", 1)
    with saver_of(path) as saver:
        for name in "abc":
            chain("a").compile(checkpointer=saver).invoke({"steps": []}, thread(name))
    target.write_threads([])
    run(KIND, path)
    target.delete_thread("b")
    assert as_json(KIND, path)["written"] == 1
    target.prune_thread("a")
    with pytest.raises(CommandError, match="the thread 'a' with another content"):
        run(KIND, path)
    assert as_json(KIND, path, "--on-conflict", "skip")["skipped"] == 1
    assert as_json(KIND, path, "--on-conflict", "replace")["replaced"] == 1


def test_options(target, path):
    with saver_of(path) as saver:
        for name in ("a", "b"):
            chain("a").compile(checkpointer=saver).invoke({"steps": []}, thread(name, user_id=name))
        checkpoint = {**empty_checkpoint(), "ts": "2020-01-01T00:00:00+00:00"}
        saver.put(thread("old", checkpoint_ns=""), checkpoint, {}, {})
    assert "would write 2 sessions, threads" in run(KIND, path, "--since", "1d", "--dry-run")
    assert target.list_threads().threads == ()
    run(KIND, path, "--user", "b", "--namespace", "shop")
    (info,) = target.list_threads().threads
    assert (info.namespace, info.thread_id, info.user_id) == ("shop", "b", "b")
    assert info.created_at < info.updated_at < datetime.now(UTC)
    run(KIND, path)
    (old,) = target.read_threads([("", "old")])
    assert old.created_at == old.updated_at == datetime(2020, 1, 1, tzinfo=UTC)
    assert old.checkpoints[0].created_at == old.created_at
    with pytest.raises(CommandError, match="--user-label must be the place"):
        run(KIND, path, "--user-label", "name")
    with pytest.raises(CommandError, match="langgraph-sqlite has no --schema; it has --namespace"):
        run(KIND, path, "--schema", "s")


def test_any_id_and_writes_without_a_checkpoint(target, path):
    names = ["with \0 NUL", "'; --", "漢" * 1000]
    with saver_of(path) as saver:
        for name in names:
            config = thread(name, checkpoint_ns="", checkpoint_id="later")
            saver.put_writes(config, [("c", b"\0")], "task", "path \0")
    assert as_json(KIND, path)["notes"] == []
    for name in names:
        (record,) = target.read_threads([("", name)])
        ((ns, checkpoint_id, write),) = record.writes
        assert (ns, checkpoint_id, write.channel, write.value.data) == ("", "later", "c", b"\0")
        assert write.task_path == "path \0"


def test_values_of_json_and_values_without_versions(target, path):
    """As earlier versions of the saver have stored them."""
    constructor = {"lc": 2, "type": "constructor", "id": ["builtins", "set"], "args": [[1]]}
    state = {**empty_checkpoint(), "id": "1", "channel_values": {"a": [1], "b": {"x": None}}}
    state["channel_versions"] = {"a": 1}
    with saver_of(path) as saver:
        saver.setup()
        for name, type_, data in (
            ("json", "json", json.dumps(state | {"extra": constructor}).encode()),
            ("msgpack", "msgpack", ormsgpack.packb(state)),
        ):
            row = (name, "1", type_, data, b'{"step": 1, "nan": NaN}')
            saver.conn.execute(
                "INSERT INTO checkpoints (thread_id, checkpoint_id, type, checkpoint, metadata)"
                " VALUES (?, ?, ?, ?, ?)",
                row,
            )
        saver.conn.commit()
    assert as_json(KIND, path)["notes"] == []
    for name in ("json", "msgpack"):
        found = Checkpointer("target").get_tuple(thread(name))
        assert found.checkpoint["channel_values"] == {"a": [1], "b": {"x": None}}
        assert found.checkpoint["channel_versions"] == {"a": 1}
        assert found.metadata["step"] == 1
        assert found.metadata["nan"] != found.metadata["nan"]
    (record,) = target.read_threads([("", "json")])
    assert record.values[0].value.value == ("json", b"[1]")


class Aes:
    """A cipher for EncryptedSerializer."""

    def encrypt(self, plaintext):
        return "aes", AESGCM(b"k" * 16).encrypt(b"n" * 12, plaintext, None)

    def decrypt(self, name, ciphertext):
        return AESGCM(b"k" * 16).decrypt(b"n" * 12, ciphertext, None)


def test_what_cannot_be_read_is_named_and_left(target, path):
    with saver_of(path) as saver:
        chain("a").compile(checkpointer=saver).invoke({"steps": []}, thread("secret"))
    with saver_of(path, serde=EncryptedSerializer(Aes())) as saver:
        chain("a").compile(checkpointer=saver).invoke({"steps": []}, thread("secret"))
    with saver_of(path) as saver:
        chain("a").compile(checkpointer=saver).invoke({"steps": []}, thread("damaged"))
        checkpoint_id, *_ = [each.checkpoint["id"] for each in saver.list(thread("damaged"))]
        saver.conn.execute(
            "UPDATE checkpoints SET checkpoint = x'c1' WHERE checkpoint_id = ?", (checkpoint_id,)
        )
        saver.conn.execute(
            "UPDATE writes SET type = NULL WHERE thread_id = 'damaged' AND idx = 0"
            " AND channel = 'steps'"
        )
        for name, type_, data in (
            ("pickle", "pickle", b"."),
            ("list", "msgpack", b"\x90"),
            ("versions", "msgpack", ormsgpack.packb({"channel_versions": {"a": None}})),
            ("metadata", "msgpack", ormsgpack.packb({"channel_versions": {}})),
        ):
            saver.conn.execute(
                "INSERT INTO checkpoints (thread_id, checkpoint_id, type, checkpoint, metadata)"
                " VALUES (?, '1', ?, ?, ?)",
                (name, type_, data, b"[]" if name == "metadata" else None),
            )
        saver.conn.execute(
            "INSERT INTO writes (thread_id, checkpoint_id, task_id, idx, channel, type, value)"
            " VALUES ('long', '1', 't', 0, ?, 'null', '')",
            ("c" * 513,),
        )
        saver.conn.commit()
    said = run(KIND, path)
    for line in (
        "thread 'secret': its checkpoints are encrypted, each as a whole with its values",
        f"checkpoint '{checkpoint_id}' of thread 'damaged': it is no msgpack",
        "a write of thread 'damaged': it is NoneType",
        "checkpoint '1' of thread 'pickle': its serialization is 'pickle'",
        "checkpoint '1' of thread 'list': it is no object",
        "checkpoint '1' of thread 'versions': its channel_versions are not",
        "checkpoint '1' of thread 'metadata': its metadata is no JSON object",
        "thread 'long': the name of a channel has more than 512 bytes",
    ):
        assert f"not copied: {line}" in said
    assert said.count("encrypted") == 1
    (damaged,) = target.list_threads().threads
    assert damaged.thread_id == "damaged"
    assert len(target.list_checkpoints("damaged")) == 2


def test_a_file_without_the_tables(target, path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE store (id, name)")
        connection.execute("CREATE TABLE checkpoints (id)")
    with pytest.raises(CommandError, match="no table checkpoints of LangGraph, and no table store"):
        run(KIND, path)


def test_the_extra_is_named(target, path, monkeypatch):
    monkeypatch.setattr(
        "parlant_store.transfer.readers.langgraph.base.find_spec", lambda name: None
    )
    with pytest.raises(CommandError, match=r"pip install 'django-parlant-store\[langgraph\]'"):
        run(KIND, path)


def test_a_long_term_store(target, path):
    with SqliteStore.from_conn_string(str(path)) as store:
        store.setup()
        remember(store)
        expected = found_in(store)
        store.put(("ttl",), "ended", {"a": 1}, ttl=60)
        store.conn.execute(
            "UPDATE store SET expires_at = '2020-01-01 00:00:00' WHERE key = 'ended'"
        )
        store.conn.execute("INSERT INTO store (prefix, key, value) VALUES ('a', 'k', '{')")
    said = run(KIND, path, "--user-label", "1")
    assert "not copied: value 'k' of 'a': it is no JSON" in said
    assert "the same on both sides: 6 documents of langgraph_store" in said
    ours = Store("target")
    assert found_in(ours) == expected
    assert [item.key for item in ours.search((), query="apples")] == ["name"]
    assert [item.key for item in ours.search((), filter={"rank": {"$gt": 2}})] == ["x"]
    assert as_json(KIND, path, "--user-label", "1")["same"] == 6
    (document,) = target.find("langgraph_store", {"namespace": {"$eq": ["ttl"]}}).documents
    assert document["ttl"] == 3600
    owned = target.find("langgraph_store", {"customer_id": {"$eq": "ada"}}).documents
    assert len(owned) == 3
    before = document["id"]
    until = {r.document["id"]: r.expires_at for r in target.read_documents("langgraph_store")}
    assert until[before] < datetime.now(UTC) + timedelta(minutes=61)
    ours.get(("ttl",), "long")
    assert as_json(KIND, path, "--user", "bob", "--user-label", "1")["same"] == 2
