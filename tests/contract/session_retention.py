"""Sessions that go when their time has come, and those that stay: the same from every backend."""

import threading
from datetime import timedelta
from typing import Any

import pytest

from parlant_store import signals
from parlant_store.types import ExpireResult, Retention
from tests.contract.expired_rows import DAY, days, removed, sessions_of, would_go
from tests.contract.stores import Timed
from tests.contract.threads import in_threads
from tests.contract.values import IDS, numbered


class SessionRetentionContract(Timed):
    """Tests of the expiry of sessions by rules; a subclass gives ``make_store`` and ``bulk``."""

    @pytest.mark.parametrize("batch_size", [1, 3, 100])
    def test_sessions_that_began_long_ago(self, store, clock, batch_size):
        for number in range(7):
            store.add_items(f"s{number}", numbered(1, 2), namespace="n" * (number % 2))
            clock.pass_(DAY)
        store.add_items("s0", numbered(3))
        rule = Retention(older_than=days(3))
        assert would_go(store, rule) == [
            ("", "s0", 3),
            ("", "s2", 2),
            ("", "s4", 2),
            ("n", "s1", 2),
            ("n", "s3", 2),
        ]
        assert removed(store, rule, batch_size=batch_size) == (5, 0)
        assert sessions_of(store) == ["s6", "s5"]
        assert store.get_items("s0") == []
        assert store.search("1") == []

    def test_a_time_counts_from_its_last_moment(self, store, clock):
        store.add_items("s", numbered(1))
        clock.pass_(10)
        for name in ("older_than", "idle"):
            almost = Retention(**{name: timedelta(seconds=10.000001)})
            assert would_go(store, almost) == []
            assert would_go(store, Retention(**{name: timedelta(seconds=10)})) == [("", "s", 1)]

    def test_sessions_that_nobody_wrote_to(self, store, clock):
        for name in ("old", "written", "popped", "described", "extended"):
            store.add_items(name, numbered(1, 2))
        clock.pass_(DAY)
        store.add_items("written", numbered(3))
        store.pop_item("popped")
        store.set_metadata("described", {"a": 1})
        store.set_expiry("extended", clock() + days(100))
        store.get_items("old")
        rule = Retention(idle=days(1))
        assert would_go(store, rule) == [("", "extended", 2), ("", "old", 2)]
        assert removed(store, rule) == (2, 0)
        assert sessions_of(store) == ["described", "popped", "written"]

    def test_both_times_must_be_true(self, store, clock):
        store.add_items("old and idle", numbered(1))
        store.add_items("old", numbered(1))
        clock.pass_(5 * DAY)
        store.add_items("old", numbered(1))
        store.add_items("idle", numbered(1))
        clock.pass_(3 * DAY)
        assert removed(store, Retention(older_than=days(7), idle=days(4))) == (1, 0)
        assert sessions_of(store) == ["idle", "old"]

    def test_what_has_expired_is_listed_and_no_rule_takes_it(self, store, clock):
        for number in range(5):
            store.add_items(f"s{number}", numbered(1), ttl_seconds=10 * number or None)
        assert would_go(store) == []
        clock.pass_(20)
        assert would_go(store) == [("", "s1", 1), ("", "s2", 1)]
        assert would_go(store, Retention(idle=timedelta(seconds=1))) == [
            ("", "s0", 1),
            ("", "s3", 1),
            ("", "s4", 1),
        ]
        assert removed(store, Retention(idle=timedelta(seconds=1))) == (3, 0)
        assert removed(store) == (2, 0)

    def test_a_step_looks_at_so_many_rows(self, store, clock, bulk):
        bulk(sessions=450, documents=0)
        batches = list(
            store.expire_batches(rule=Retention(idle=days(1), namespace=""), batch_size=10)
        )
        assert batches == [ExpireResult(sessions=0, documents=0)] * 3
        batches = store.expire_batches(rule=Retention(idle=days(1)), batch_size=10)
        clock.pass_(DAY)
        # The time is that of the call.
        assert sum(batch.sessions for batch in batches) == 0
        store.add_items("s0000", numbered(1))
        first, *_ = store.expire_batches(rule=Retention(idle=days(1)), batch_size=10)
        assert first.sessions == 10
        assert "s0000" in sessions_of(store)

    def test_stopping_keeps_what_was_done(self, store, clock, bulk):
        bulk(sessions=30, documents=0)
        clock.pass_(DAY)
        for _ in store.expire_batches(rule=Retention(idle=days(1)), batch_size=10):
            break
        assert len(sessions_of(store)) == 20
        assert removed(store, Retention(idle=days(1))) == (20, 0)

    def test_signals_tell_which_sessions_went(self, store, clock):
        received: list[Any] = []

        def receive(sender, namespace, session_id, message_count, **kwargs):
            received.append((sender, namespace, session_id, message_count))

        store.add_items("s", numbered(1, 2), namespace="n")
        clock.pass_(DAY)
        signals.session_expired.connect(receive)
        try:
            list(store.list_expired(rule=Retention(idle=days(1))))
            assert received == []
            list(store.expire_batches(rule=Retention(idle=days(1))))
        finally:
            signals.session_expired.disconnect(receive)
        assert received == [(store.alias, "n", "s", 2)]

    @pytest.mark.parametrize("batch_size", [1, 2, 100])
    def test_a_rule_for_the_sessions_of_a_namespace(self, store, clock, batch_size):
        for namespace in ("", "n", "other"):
            for number in range(3):
                store.add_items(f"s{number}", numbered(1), namespace=namespace)
        clock.pass_(DAY)
        rule = Retention(older_than=days(1), namespace="n")
        assert removed(store, rule, batch_size=batch_size) == (3, 0)
        assert removed(store, Retention(idle=days(1), namespace="")) == (3, 0)
        assert {session.namespace for session in store.list_sessions().sessions} == {"other"}

    def test_hundreds_of_sessions_go_in_batches(self, store, clock, bulk):
        bulk(sessions=400, documents=0)
        bulk_names = sessions_of(store)
        clock.pass_(DAY)
        assert len(would_go(store, Retention(idle=days(1)))) == 400
        assert [name for _, name, _ in would_go(store, Retention(idle=days(1)))] == bulk_names
        assert removed(store, Retention(idle=days(1)), batch_size=70) == (400, 0)

    def test_two_passes_at_once_remove_each_session_once(self, store, clock, bulk):
        bulk(sessions=200, documents=0)
        clock.pass_(DAY)
        counts: list[int] = []

        def sweep(_: int) -> None:
            found = store.expire_batches(rule=Retention(idle=days(1)), batch_size=20)
            counts.append(sum(batch.sessions for batch in found))

        in_threads(sweep, 3)
        assert sum(counts) + removed(store, Retention(idle=days(1)))[0] == 200
        assert sessions_of(store) == []

    def test_a_session_that_is_written_meanwhile_stays(self, store, clock):
        names = [f"s{number}" for number in range(60)]
        for name in names:
            store.add_items(name, numbered(1))
        clock.pass_(DAY)
        started = threading.Event()

        def write(_: int) -> None:
            for name in names:
                store.add_items(name, numbered(2))
                started.set()

        def sweep(_: int) -> None:
            started.wait(120)
            for _ in store.expire_batches(rule=Retention(idle=days(1)), batch_size=5):
                pass

        in_threads(lambda number: (write, sweep)[number](number), 2)
        for name in names:
            # It stayed as it was, or it was gone before the write.
            assert store.get_items(name) in (numbered(1, 2), numbered(2))

    @pytest.mark.values
    @pytest.mark.parametrize("name", IDS)
    def test_a_rule_for_sessions_of_any_name(self, store, clock, name):
        store.add_items(name, numbered(1), namespace=name)
        store.add_items("s", numbered(1), namespace="n")
        clock.pass_(DAY)
        rule = Retention(older_than=days(1), namespace=name)
        assert would_go(store, rule) == [(name, name, 1)]
        assert removed(store, rule) == (1, 0)
        assert sessions_of(store) == ["s"]
