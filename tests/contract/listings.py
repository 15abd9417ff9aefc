"""Listings of sessions: the same from every backend."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from parlant_store.exceptions import (
    InvalidFilter,
    InvalidInput,
    InvalidLimit,
    InvalidName,
)
from parlant_store.types import SessionInfo, SessionRecord
from tests.contract.clock import Clock
from tests.contract.stores import Timed
from tests.contract.values import (
    numbered,
)


def activity(session: SessionInfo) -> tuple[datetime, str, str]:
    return session.updated_at, session.namespace, session.session_id


def by_activity(store: Any, *, limit: int = 2, **filters: Any) -> list[SessionInfo]:
    """Return the sessions of all pages."""
    page = store.list_sessions(order="activity", limit=limit, **filters)
    sessions = [*page.sessions]
    while (cursor := page.next_cursor) is not None:
        page = store.list_sessions(order="activity", limit=limit, cursor=cursor, **filters)
        sessions += page.sessions
    return sessions


def fill(store: Any, clock: Clock) -> None:
    """Write sessions of many times, some at the same time, and some of very early and late ones."""
    for number in range(24):
        clock.pass_(1.000001 if number % 3 == 0 else 0)
        name = f"s{number * 7 % 24}{chr(0xD800) if number % 5 == 0 else ''}"
        namespace = ("", "n", "n\ud800", "m")[number % 4]
        owner = ("ada", None, "ada\ud800", "ad")[number // 4 % 4]
        store.add_items(name, numbered(1), namespace=namespace, user_id=owner)
        store.set_metadata(name, {"n": number}, namespace=namespace)
    times = [datetime(year, 7, 1, 12, 30, 0, 123_457, UTC) for year in (1925, 1969, 2024, 2500)]
    store.write_sessions(
        [
            SessionRecord(
                session_id=f"r{number}", items=[], user_id="ada", created_at=time, updated_at=time
            )
            for time in times
            for number in (time.year, time.year + 1)
        ]
    )


class ListingContract(Timed):
    """Tests of listings; a subclass gives the fixture ``make_store``."""

    def test_listing_by_what_the_id_begins_with(self, store):
        for name in ("a:1", "a:2", "a", "b", "a\ud800", "ab" * 600):
            store.add_items(name, numbered(1), namespace="n")
            store.add_items(name, numbered(1))
        for prefix in ("a:", "a", "a\ud800", "abab", "", "c"):
            page = store.list_sessions(prefix=prefix, namespace="n")
            names = [session.session_id for session in page.sessions]
            assert sorted(names) == sorted(
                name
                for name in ("a:1", "a:2", "a", "b", "a\ud800", "ab" * 600)
                if name.startswith(prefix)
            )

    def test_summaries_say_the_least_of_listings(self, store, clock):
        for number, name in enumerate(["a", "b\ud800", "c" * 4_000, "\x01"]):
            clock.pass_(0.123457)
            store.add_items(name, numbered(*range(number)) or numbered(1), namespace="n")
            clock.pass_(1.1)
            store.add_items(name, numbered(1), namespace="n")
        sessions = sorted(store.list_sessions().sessions, key=lambda session: session.created_at)
        assert [summary[1:] for summary in store.list_summaries()] == [
            (
                session.namespace,
                session.session_id,
                session.item_count,
                session.created_at.timestamp(),
                session.updated_at.timestamp(),
            )
            for session in sessions
        ]
        first = list(store.list_summaries(limit=2, prefix=""))
        rest = list(store.list_summaries(after=first[-1].key))
        assert first + rest == list(store.list_summaries())
        assert first == list(store.list_summaries(limit=2, namespace="n"))
        assert [*store.list_summaries(namespace="none"), *store.list_summaries(limit=0)] == []

    def test_summaries_say_times_to_the_microsecond(self, store, clock):
        first = clock.time.replace(month=12, day=31, hour=23, minute=59, second=59)
        edges = (0, 1, 499, 500, 999_499, 999_500, 999_501, 999_999, *range(7, 10**6, 20_011))
        times = [first + timedelta(microseconds=microseconds) for microseconds in edges]
        for number, clock.time in enumerate(times):
            store.add_items(f"session-{number}", numbered(1))
        said = [summary.created_at for summary in store.list_summaries()]
        assert said == [time.timestamp() for time in times]

    def test_long_prefixes_are_exact(self, store):
        names = ["x" * 100, "x" * 100 + "a", "x" * 600 + "b", "x" * 80 + "c", "é" * 300]
        for name in names:
            store.add_items(name, numbered(1))
        for prefix in ("x" * 99, "x" * 101, "x" * 440, "x" * 80 + "c", "é" * 220):
            found = [session.session_id for session in store.list_sessions(prefix=prefix).sessions]
            assert found == [name for name in sorted(names) if name.startswith(prefix)]
        with pytest.raises(InvalidName, match="prefix has more than 440 bytes"):
            store.list_sessions(prefix="x" * 441)

    def test_listing_what_was_written_since(self, store, clock):
        store.add_items("a", numbered(1))
        clock.pass_(5)
        store.add_items("b", numbered(1))
        page = store.list_sessions(updated_since=clock())
        assert [session.session_id for session in page.sessions] == ["b"]
        with pytest.raises(InvalidInput, match="timezone"):
            store.list_sessions(updated_since=clock().replace(tzinfo=None))

    def test_listing_by_activity(self, store, clock):
        for number, name in enumerate(["b", "a", "c\ud800", "d", "e" * 600]):
            clock.pass_(25.5)
            store.add_items(name, numbered(1), user_id="ada" if number % 2 else None)
        store.add_items("z", numbered(1), namespace="n")
        store.save_snapshot("y", numbered(1), state={"selectools": "memory"}, user_id="ada")
        clock.pass_(1)
        store.add_items("a", numbered(1))

        def listed(**options):
            return [session.session_id for session in by_activity(store, **options)]

        assert listed() == ["a", "z", "y", "e" * 600, "d", "c\ud800", "b"]
        assert listed(namespace="") == ["a", "y", "e" * 600, "d", "c\ud800", "b"]
        assert listed(user_id="ada") == ["a", "y", "d"]
        assert listed(user_id="ada", namespace="n") == []
        assert listed(prefix="e") == ["e" * 600]

    def test_pages_by_activity_have_each_session_once(self, store, clock):
        fill(store, clock)
        for filters in (
            *({}, {"namespace": ""}, {"namespace": "n"}, {"namespace": "none"}),
            *({"user_id": "ada"}, {"user_id": "ada", "namespace": "n"}, {"user_id": "nobody"}),
            *({"prefix": "s1"}, {"where": {"n": {"$lt": 7}}}),
            *({"updated_since": clock(), **one} for one in ({}, {"user_id": "ada"})),
            {"updated_since": clock() - timedelta(seconds=3), "namespace": "n"},
        ):
            sessions = store.list_sessions(limit=1_000, **filters).sessions
            expected = sorted(sessions, key=activity, reverse=True)
            for limit in (1, 3, 7, 1_000):
                assert by_activity(store, limit=limit, **filters) == expected, filters

    def test_sessions_that_change_between_pages_by_activity(self, store, clock):
        for number in range(8):
            clock.pass_(5)
            store.add_items(f"s{number}", numbered(1), user_id="ada")
        for filters in ({}, {"user_id": "ada"}, {"namespace": ""}):
            first = store.list_sessions(order="activity", limit=3, **filters)
            clock.pass_(5)
            # The session of the cursor, one of the next page and a new one.
            store.add_items(first.sessions[-1].session_id, numbered(2))
            oldest = by_activity(store, **filters)[-1].session_id
            store.delete_session(oldest)
            store.add_items(oldest, numbered(3), user_id="ada")
            rest = store.list_sessions(order="activity", cursor=first.next_cursor, **filters)
            seen = {session.session_id for session in (*first.sessions, *rest.sessions)}
            assert seen == {f"s{number}" for number in range(8)} - {oldest}
            assert len(first.sessions) + len(rest.sessions) == 7
            newest = by_activity(store, **filters)[:2]
            assert [session.session_id for session in newest] == sorted(
                [first.sessions[-1].session_id, oldest], reverse=True
            )

    def test_what_a_listing_by_activity_leaves_out(self, store, clock):
        for number in range(6):
            store.add_items(f"s{number}", numbered(1), user_id="ada", ttl_seconds=10 + number)
        store.delete_session("s5")
        clock.pass_(12)
        for filters in ({}, {"user_id": "ada"}, {"namespace": ""}):
            listed = by_activity(store, **filters)
            assert [session.session_id for session in listed] == ["s4", "s3"]
        # Another session with the name of an expired one, and one whose owner is found later.
        store.add_items("s0", numbered(1), user_id="bob")
        store.add_items("s6", numbered(1))
        assert [each.session_id for each in by_activity(store, user_id="ada")] == ["s4", "s3"]
        store.add_items("s6", numbered(1), user_id="ada")
        assert [each.session_id for each in by_activity(store, user_id="ada")] == ["s6", "s4", "s3"]
        assert [each.session_id for each in by_activity(store, user_id="bob")] == ["s0"]
        assert [each.session_id for each in by_activity(store)] == ["s6", "s0", "s4", "s3"]

    def test_a_cursor_of_another_order_is_refused(self, store):
        for name in "abc":
            store.add_items(name, numbered(1))
        by_name = store.list_sessions(limit=1).next_cursor
        by_activity = store.list_sessions(limit=1, order="activity").next_cursor
        with pytest.raises(InvalidLimit, match="order"):
            store.list_sessions(cursor=by_activity)
        with pytest.raises(InvalidLimit, match="order"):
            store.list_sessions(cursor=by_name, order="activity")
        with pytest.raises(InvalidInput, match="order"):
            store.list_sessions(order="size")
        with pytest.raises(InvalidInput, match="cursor must be a SessionCursor of the page before"):
            store.list_sessions(cursor="a")
        with pytest.raises(InvalidInput, match="after must be a whole number"):
            store.list_summaries(after="a")

    def test_a_title_is_in_the_metadata(self, store):
        store.set_metadata("s", {"a": 1})
        assert store.set_title("s", "On cats") == {"a": 1, "title": "On cats"}
        assert store.get_metadata("s") == {"a": 1, "title": "On cats"}
        assert store.set_title("new", "\ud800") == {"title": "\ud800"}
        with pytest.raises(InvalidInput, match="title"):
            store.set_title("s", 5)

    def test_listing_by_metadata(self, store):
        store.set_metadata("a", {"topic": "x", "n": 1, "agent_id": "y"})
        store.set_metadata("b", {"topic": "y", "n": 2.5})
        store.set_metadata("c", {"n": 10**400})
        for where, names in (
            ({"topic": {"$eq": "x"}}, ["a"]),
            ({"topic": {"$in": ["x", "y"]}}, ["a", "b"]),
            ({"n": {"$gt": 1}}, ["b", "c"]),
            ({"n": {"$gt": 10**300}}, ["c"]),
            ({"topic": {"$eq": None}}, ["c"]),
            ({"agent_id": {"$eq": "y"}}, ["a"]),
            ({"a.b": {"$ne": 1}}, ["a", "b", "c"]),
        ):
            page = store.list_sessions(where=where)
            assert [session.session_id for session in page.sessions] == names, where
        with pytest.raises(InvalidFilter):
            store.list_sessions(where={"n": {"$like": 1}})

    # Search
