"""The option ttl_refresh: reads that prolong a session."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from parlant_store.exceptions import InvalidLimit
from parlant_store.personal_data import PersonalData
from tests.contract.clock import Clock
from tests.contract.snapshot_values import said
from tests.contract.stores import Timed
from tests.contract.turn_values import turn
from tests.contract.values import numbered

READS: dict[str, Callable[..., Any]] = {
    "get_items": lambda store, **options: store.get_items("s", **options),
    "get_items(1)": lambda store, **options: store.get_items("s", limit=1, **options),
    "whole turns": lambda store, **options: store.get_items(
        "s", limit=1, whole_turns=True, **options
    ),
    "max_tokens": lambda store, **options: store.get_items("s", max_tokens=9, **options),
    "load_snapshot": lambda store, **options: store.load_snapshot("s", **options),
    "list_turns": lambda store, **options: store.list_turns("s", **options),
    "list_turns, newest first": lambda store, **options: store.list_turns(
        "s", limit=1, newest_first=True, with_items=True, **options
    ),
    "list_user_messages": lambda store, **options: store.list_user_messages("s", **options),
    "aget_items": lambda store, **options: asyncio.run(store.aget_items("s", **options)),
    "aget_items(1)": lambda store, **options: asyncio.run(
        store.aget_items("s", limit=1, **options)
    ),
    "aload_snapshot": lambda store, **options: asyncio.run(store.aload_snapshot("s", **options)),
}

OTHER_READS: dict[str, Callable[[Any], Any]] = {
    "get_session": lambda store: store.get_session("s"),
    "get_metadata": lambda store: store.get_metadata("s"),
    "get_usage": lambda store: store.get_usage("s", by="turn"),
    "get_timed_items": lambda store: store.get_timed_items("s"),
    "read_sessions": lambda store: store.read_sessions([("", "s")]),
    "list_branches": lambda store: store.list_branches("s"),
    "list_sessions": lambda store: store.list_sessions(),
    "list_summaries": lambda store: [*store.list_summaries()],
    "search": lambda store: store.search("hello"),
    "an export": lambda store: [*PersonalData(store, "ada").exported()],
    "none of its items": lambda store: store.get_items("s", limit=0),
}

TTL = 600


class RefreshContract(Timed):
    """Tests of the option; a subclass gives the fixture ``make_store``."""

    @pytest.fixture
    def store(self, make_store, clock):
        return make_store(clock=clock, ttl_seconds=TTL, ttl_refresh="read")

    def left(self, store: Any, clock: Clock, session_id: str = "s") -> float | None:
        """The seconds until the session expires."""
        expires_at = store.get_session(session_id).expires_at
        return None if expires_at is None else (expires_at - clock()).total_seconds()

    @pytest.mark.parametrize("read", READS)
    def test_a_read_prolongs_the_session(self, store, clock, read):
        store.add_items("s", turn("hello"))
        before = store.get_session("s")
        for _ in range(3):
            clock.pass_(TTL - 1)
            assert READS[read](store)
            assert self.left(store, clock) == TTL
        assert store.get_session("s").updated_at == before.updated_at
        clock.pass_(TTL)
        assert not READS[read](store)
        assert not store.exists("s")

    def test_a_session_is_prolonged_once_a_minute(self, store, clock):
        store.add_items("s", turn("hello"))
        clock.pass_(59)
        store.get_items("s")
        assert self.left(store, clock) == TTL - 59
        clock.pass_(1)
        store.get_items("s")
        assert self.left(store, clock) == TTL

    def test_a_short_time_to_live_is_prolonged_by_half_of_it(self, make_store, clock):
        store = make_store(clock=clock, ttl_seconds=10, ttl_refresh="read")
        store.add_items("s", turn("hello"))
        clock.pass_(4)
        store.get_items("s")
        assert self.left(store, clock) == 6
        clock.pass_(1)
        store.get_items("s")
        assert self.left(store, clock) == 10

    @pytest.mark.parametrize("read", OTHER_READS)
    def test_other_reads_prolong_nothing(self, store, clock, read):
        store.add_items("s", said("hello"), user_id="ada")
        clock.pass_(TTL - 1)
        OTHER_READS[read](store)
        assert self.left(store, clock) == 1

    @pytest.mark.parametrize("read", READS)
    def test_by_default_reads_prolong_nothing(self, make_store, clock, read):
        store = make_store(clock=clock, ttl_seconds=TTL)
        store.add_items("s", turn("hello"))
        clock.pass_(TTL - 1)
        assert READS[read](store)
        assert READS[read](store, ttl_seconds=TTL)
        assert self.left(store, clock) == 1

    @pytest.mark.parametrize("read", READS)
    def test_an_expired_session_does_not_come_back(self, store, clock, read):
        store.add_items("s", turn("hello"))
        clock.pass_(TTL)
        assert not READS[read](store)
        assert not store.exists("s")
        store.add_items("s", turn("again"))
        assert store.get_session("s").item_count == 2

    @pytest.mark.parametrize("read", READS)
    def test_a_session_without_an_expiry_gets_none(self, store, clock, read):
        store.add_items("s", turn("hello"))
        store.set_expiry("s", None)
        clock.pass_(TTL + 1)
        assert READS[read](store)
        assert self.left(store, clock) is None

    @pytest.mark.parametrize("read", READS)
    def test_an_expiry_is_never_shortened(self, store, clock, read):
        store.add_items("s", turn("hello"))
        until = clock() + timedelta(days=1)
        store.set_expiry("s", until)
        clock.pass_(TTL + 1)
        assert READS[read](store)
        assert store.get_session("s").expires_at == until

    @pytest.mark.parametrize("read", READS)
    def test_a_time_to_live_of_the_call(self, store, clock, read):
        store.add_items("s", turn("hello"), ttl_seconds=100)
        clock.pass_(99)
        assert READS[read](store, ttl_seconds=100)
        assert self.left(store, clock) == 100
        assert READS[read](store)
        assert self.left(store, clock) == TTL

    @pytest.mark.values
    @pytest.mark.parametrize("read", READS)
    @pytest.mark.parametrize("ttl_seconds", [0, -1, "1", True])
    def test_a_bad_time_to_live_is_refused(self, store, read, ttl_seconds):
        with pytest.raises(InvalidLimit, match="ttl_seconds"):
            READS[read](store, ttl_seconds=ttl_seconds)

    def test_without_a_time_to_live_nothing_is_prolonged(self, make_store, clock):
        store = make_store(clock=clock, ttl_refresh="read")
        store.add_items("s", turn("hello"), ttl_seconds=10)
        clock.pass_(9)
        assert store.get_items("s")
        assert self.left(store, clock) == 1

    def test_a_session_without_items(self, store, clock):
        store.set_metadata("s", {"a": 1})
        clock.pass_(TTL - 1)
        assert store.get_items("s") == []
        assert self.left(store, clock) == TTL

    def test_sessions_are_apart(self, store, clock):
        for namespace, session_id in (("", "s"), ("n", "s"), ("", "t")):
            store.add_items(session_id, numbered(1), namespace=namespace)
        clock.pass_(TTL - 1)
        store.get_items("s")
        clock.pass_(1)
        assert [each.session_id for each in store.list_sessions().sessions] == ["s"]
        assert store.get_items("s") == numbered(1)

    @pytest.mark.parametrize("read", READS)
    def test_lists_by_activity_stay_as_they_are(self, store, clock, read):
        for name in ("r", "s", "t"):
            store.add_items(name, turn("hello"))
            clock.pass_(1)
        clock.pass_(TTL / 2)
        before = store.list_sessions(order="activity").sessions
        assert [session.session_id for session in before] == ["t", "s", "r"]
        READS[read](store)
        after = store.list_sessions(order="activity").sessions
        assert [session.session_id for session in after] == ["t", "s", "r"]
        assert [session.updated_at for session in after] == [
            session.updated_at for session in before
        ]

    def test_a_prolonged_session_is_written_and_expires_as_before(self, store, clock):
        store.add_items("s", turn("hello"), user_id="ada")
        revision = store.load_snapshot("s").revision
        clock.pass_(TTL - 1)
        assert store.load_snapshot("s").revision == revision
        assert store.save_snapshot("s", numbered(1), state={}, since=revision, keep=2)
        clock.pass_(TTL - 1)
        store.get_items("s")
        assert store.expire().sessions == 0
        clock.pass_(TTL)
        assert store.expire().sessions == 1

    def test_many_reads_at_once_prolong_each_session(self, store, clock):
        names = [f"s{number}" for number in range(30)]
        for name in names:
            store.add_items(name, numbered(1, 2))
        store.set_expiry("s7", None)
        clock.pass_(TTL - 1)
        store.add_items("short", numbered(1), ttl_seconds=1)
        store.add_items("gone", numbered(1), ttl_seconds=0.5)
        clock.pass_(0.5)

        async def read() -> list[Any]:
            calls = [store.aget_items(name, limit=1) for name in [*names, *names, "gone", "none"]]
            calls += [store.aget_items("short", limit=1, ttl_seconds=3_000)]
            return await asyncio.gather(*calls)

        assert asyncio.run(read()) == [*[numbered(2)] * 60, [], [], numbered(1)]
        found = {name: self.left(store, clock, name) for name in [*names, "short"]}
        assert found == dict.fromkeys(names, TTL) | {"s7": None, "short": 3_000}
        assert not store.exists("gone")

    @pytest.mark.parametrize("option", ["Read", "", None, True, ["read"]])
    def test_a_wrong_option_is_refused(self, make_store, option):
        with pytest.raises(ImproperlyConfigured, match="ttl_refresh .* 'write' or 'read'"):
            make_store(ttl_refresh=option)
