"""The expiry of threads in every store of checkpoints, rules for them, and their owners' data."""

import json
from base64 import b64decode
from datetime import timedelta

import pytest

from parlant_store.exceptions import InvalidLimit
from parlant_store.personal_data import PersonalData
from parlant_store.types import ExpiredCheckpoints, ExpiredThread, Retention
from tests.contract.checkpoints import Threads, changed, checkpoint, ids, raw, write


class ThreadRetentionContract(Threads):
    def test_a_thread_expires_after_its_last_write(self, ttl_store, clock):
        self.put(ttl_store, 1)
        clock.pass_(9)
        ttl_store.put_writes("t", "0001", [write("a", 0)])
        clock.pass_(9)
        assert ttl_store.get_checkpoint("t") is not None
        clock.pass_(2)
        self.check_there_is_none(ttl_store)
        self.put(ttl_store, 2)
        assert ids(ttl_store.list_checkpoints("t")) == ["0002"]

    def test_a_call_has_its_own_time(self, store, clock):
        store.put_checkpoint("t", checkpoint(1), ttl_seconds=5)
        clock.pass_(6)
        self.check_there_is_none(store)

    def check_there_is_none(self, store):
        assert store.get_checkpoint("t") is None
        assert store.get_checkpoint("t", "0001") is None
        assert store.list_checkpoints("t") == store.list_checkpoints() == []
        assert store.get_channel_history("t", ["c"])["c"].writes == ()
        assert store.list_threads().threads == ()
        assert not store.copy_thread("t", "u")
        assert store.prune_thread("t") == 0

    @pytest.mark.parametrize("batch_size", [1, 2, 7, 1_000])
    def test_what_has_expired_is_deleted(self, ttl_store, clock, batch_size):
        for thread_id in ("a", "b", "c"):
            self.put(ttl_store, 1, 2, 3, thread_id=thread_id)
            ttl_store.put_writes(thread_id, "0001", [write("a", 0)])
        clock.pass_(6)
        self.put(ttl_store, 4, thread_id="c")
        assert [*ttl_store.list_expired()] == []
        clock.pass_(5)
        listed = [*ttl_store.list_expired()]
        assert listed == [ExpiredThread(namespace="", thread_id=each) for each in "ab"]
        assert ttl_store.expire(batch_size=batch_size).threads == 2
        assert [each.thread_id for each in ttl_store.list_threads().threads] == ["c"]
        assert len(ttl_store.list_checkpoints()) == 4
        assert ttl_store.expire().threads == 0

    def test_rules(self, store, clock):
        for thread_id in ("old", "idle", "used"):
            self.put(store, 1, thread_id=thread_id)
        self.put(store, 1, thread_id="other", checkpoint_ns="n")
        store.put_checkpoint("idle", checkpoint(1), namespace="n")
        clock.pass_(3_600)
        self.put(store, 2, thread_id="used")
        rules = [
            Retention(idle=timedelta(hours=1), namespace="n"),
            Retention(idle=timedelta(hours=1)),
            Retention(older_than=timedelta(hours=1), collection="c"),
            Retention(older_than=timedelta(hours=1), idle=timedelta(seconds=1)),
            Retention(older_than=timedelta(hours=1)),
        ]
        counts = []
        for rule in rules:
            listed = [*store.list_expired(rule=rule)]
            batches = [*store.expire_batches(rule=rule, batch_size=2)]
            counts.append(sum(batch.threads for batch in batches))
            assert len(listed) == counts[-1]
        assert counts == [1, 3, 0, 0, 1]

    def test_a_rule_that_keeps_checkpoints(self, store):
        for thread_id, namespace in (("a", ""), ("b", ""), ("a", "n")):
            for number in range(5):
                store.put_checkpoint(thread_id, checkpoint(number), namespace=namespace)
        rule = Retention(keep_checkpoints=2, namespace="")
        (first, second) = store.list_expired(rule=rule)
        expected = ExpiredCheckpoints(namespace="", thread_id="a", checkpoint_count=3)
        assert first == expected
        assert second.checkpoint_count == 3
        assert len(store.list_checkpoints("a")) == 5
        batches = [*store.expire_batches(rule=rule)]
        assert sum(batch.checkpoints for batch in batches) == 6
        assert len(store.list_checkpoints("a")) == 2
        assert len(store.list_checkpoints("a", namespace="n")) == 5
        with pytest.raises(InvalidLimit, match="keep_checkpoints must be 1 or more"):
            store.expire_batches(rule=Retention(keep_checkpoints=0))

    def test_a_thread_that_is_written_meanwhile_stays(self, store, clock):
        for number in range(3):
            self.put(store, 1, thread_id=f"t{number}")
        clock.pass_(3_600)
        batches = store.expire_batches(rule=Retention(idle=timedelta(hours=1)), batch_size=1)
        for batch in batches:
            if batch.threads:
                self.put(store, 2, thread_id="t2")
        assert [each.thread_id for each in store.list_threads().threads] == ["t2"]

    def test_the_data_of_a_person(self, store):
        for number in range(3):
            versions = {"a": 1, "b": number}
            made = checkpoint(number, versions, metadata={"step": number})
            store.put_checkpoint("t", made, changed(**versions), user_id="ada")
        store.put_writes("t", "0000", [write("a", 0)])
        self.put(store, 1, thread_id="other")
        person = PersonalData(store, "ada")
        head, *checkpoints = json.loads(json.dumps([*person.exported()]))
        assert (head["kind"], head["thread_id"], head["user_id"]) == ("thread", "t", "ada")
        assert [each["metadata"]["step"] for each in checkpoints] == [2, 1, 0]
        assert [sorted(each["values"]) for each in checkpoints] == [["a", "b"], ["b"], ["b"]]
        assert b64decode(checkpoints[0]["values"]["a"]["value"]) == raw("a 1").data
        assert len(checkpoints[2]["writes"]) == 1
        assert [each.thread_id for each in person.erase()] == ["t"]
        assert [*person.exported()] == []
        assert [each.thread_id for each in store.list_threads().threads] == ["other"]

    def test_deleting_an_expired_thread_is_nothing(self, ttl_store, clock):
        self.put(ttl_store, 1)
        clock.pass_(11)
        assert not ttl_store.delete_thread("t")
