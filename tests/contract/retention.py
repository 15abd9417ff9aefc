"""What goes when its time has come, and what stays: the same from every backend."""

import threading
from datetime import UTC, timedelta, timezone

import pytest

from parlant_store.exceptions import InvalidInput, InvalidLimit, InvalidName
from parlant_store.types import (
    Retention,
)
from tests.contract.document_expiry import DocumentExpiryContract
from tests.contract.expired_rows import (
    DAY,
    EVENTS,
    days,
    ids_of,
    insert,
    parlant_event,
    parlant_session,
    removed,
    sessions_of,
    would_go,
)
from tests.contract.session_retention import SessionRetentionContract
from tests.contract.threads import in_threads
from tests.contract.values import IDS, numbered


class RetentionContract(SessionRetentionContract, DocumentExpiryContract):
    """Tests of expiry by rules; a subclass gives the fixture ``make_store``."""

    @pytest.mark.parametrize("batch_size", [1, 2, 100])
    def test_a_namespace_narrows_it_to_its_sessions(self, store, clock, batch_size):
        for namespace in ("", "n", "other"):
            for number in range(3):
                store.add_items(f"s{number}", numbered(1), namespace=namespace)
        insert(store, clock, "c", "d")
        clock.pass_(DAY)
        rule = Retention(older_than=days(1), namespace="n")
        assert removed(store, rule, batch_size=batch_size) == (3, 0)
        assert removed(store, Retention(idle=days(1), namespace="")) == (3, 0)
        (session, *_) = store.list_sessions().sessions
        assert session.namespace == "other"
        assert ids_of(store, "c") == ["d"]

    @pytest.mark.parametrize("batch_size", [1, 2, 100])
    def test_a_collection_narrows_it_to_its_documents(self, store, clock, batch_size):
        for collection in ("b", "c", "d"):
            for number in range(3):
                insert(store, clock, collection, f"{number}", version=("1", "2", None)[number])
            insert(store, clock, collection, None)
        store.insert_one("c", {"version": 5})
        store.add_items("s", numbered(1))
        clock.pass_(DAY)
        insert(store, clock, "c", "new")
        rule = Retention(older_than=days(1), collection="c")
        assert would_go(store, rule) == [("c", ""), ("c", ""), ("c", "0"), ("c", "1"), ("c", "2")]
        assert removed(store, rule, batch_size=batch_size) == (0, 5)
        assert (ids_of(store, "c"), len(ids_of(store, "b"))) == (["new"], 4)
        assert sessions_of(store) == ["s"]
        assert removed(store, Retention(idle=days(1), collection="d")) == (0, 4)

    def test_without_either_it_is_about_both(self, store, clock):
        store.add_items("s", numbered(1), namespace="n")
        insert(store, clock, "c", "d")
        clock.pass_(DAY)
        assert removed(store, Retention(older_than=days(1))) == (1, 1)

    @pytest.mark.values
    @pytest.mark.parametrize(
        ("created", "goes"),
        [
            ("2029-12-30T23:59:59.999999+00:00", True),
            ("2029-12-31T00:00:00+00:00", True),
            ("2029-12-31T00:00:00.000001+00:00", False),
            ("2029-12-31", True),
            ("2029", False),
            ("31/12/1999", False),
            ("yesterday", False),
            ("", False),
            (None, False),
            (0, False),
            ({"a": 1}, False),
        ],
    )
    def test_documents_say_when_they_began(self, store, clock, created, goes):
        store.insert_one("c", {"id": "d", "creation_utc": created})
        rule = Retention(older_than=days(1))
        assert removed(store, rule) == (0, int(goes))
        # What says no time began when it was last written to.
        clock.pass_(DAY)
        assert removed(store, rule) == (0, int(not goes))

    def test_documents_that_nobody_wrote_to(self, store, clock):
        for name in ("old", "written"):
            insert(store, clock, "c", name, creation_utc="1999-01-01")
        clock.pass_(DAY)
        store.update_one("c", {"id": {"$eq": "written"}}, {"a": 1})
        assert removed(store, Retention(idle=days(1))) == (0, 1)
        assert ids_of(store, "c") == ["written"]
        assert removed(store, Retention(older_than=days(1), idle=days(1))) == (0, 0)

    def test_a_session_of_parlant_is_idle_when_all_of_it_is(self, store, clock):
        for name in ("idle", "busy", "empty"):
            parlant_session(store, clock, name, events=0 if name == "empty" else 3)
        clock.pass_(DAY)
        parlant_event(store, clock, "busy", 3)
        store.update_one("p_events", {"id": {"$eq": "busy-0"}}, {"deleted": True})
        rule = Retention(idle=days(1))
        assert would_go(store, rule) == [
            ("p_events", "idle-0"),
            ("p_events", "idle-1"),
            ("p_events", "idle-2"),
            ("p_sessions", "empty"),
            ("p_sessions", "idle"),
        ]
        assert would_go(store, Retention(idle=days(1), collection="p_sessions")) == would_go(
            store, rule
        )
        assert removed(store, rule) == (0, 5)
        assert ids_of(store, "p_sessions") == ["busy"]
        assert len(ids_of(store, "p_events")) == 4

    @pytest.mark.parametrize("collection", [None, "p_sessions"])
    @pytest.mark.parametrize("batch_size", [1, 2, 100])
    def test_all_of_a_session_of_parlant_goes(self, store, clock, batch_size, collection):
        for name in ("a", "b", "c"):
            parlant_session(store, clock, name)
            parlant_session(store, clock, name, prefix="q_")
            insert(store, clock, "p_inspections", f"i-{name}", session_id=name)
            insert(store, clock, "p_events_failed_migrations", f"f-{name}", session_id=name)
        clock.pass_(DAY)
        parlant_session(store, clock, "new")
        parlant_event(store, clock, "b", 2)
        rule = Retention(older_than=days(1), collection=collection)
        assert removed(store, rule, batch_size=batch_size)[1] == (16 if collection else 16 + 9)
        assert ids_of(store, "p_sessions") == ["new"]
        assert ids_of(store, "p_events") == ["new-0", "new-1"]
        assert ids_of(store, "p_inspections") == ids_of(store, "p_events_failed_migrations") == []
        assert len(ids_of(store, "q_sessions")) == (3 if collection else 0)

    def test_what_is_of_a_session_never_goes_alone(self, store, clock):
        parlant_session(store, clock, "s", events=3)
        insert(store, clock, "p_events", "orphan", session_id="gone")
        insert(store, clock, "other_events", "stranger", session_id="s")
        clock.pass_(DAY)
        parlant_event(store, clock, "s", 3)
        assert would_go(store, Retention(idle=days(1))) == [
            ("other_events", "stranger"),
            ("p_events", "orphan"),
        ]
        assert removed(store, Retention(idle=days(1))) == (0, 2)
        # By its collection it does, as asked.
        assert removed(store, Retention(idle=days(1), collection="p_events")) == (0, 3)
        assert ids_of(store, "p_events") == ["s-3"]
        assert ids_of(store, "p_sessions") == ["s"]

    def test_a_session_of_parlant_may_have_any_prefix(self, store, clock):
        parlant_session(store, clock, "s", prefix="")
        parlant_session(store, clock, "s", prefix="\ud7ff%_\\")
        insert(store, clock, "sessions", "t", session_id="t")
        clock.pass_(DAY)
        assert removed(store, Retention(idle=days(1), collection="\ud7ff%_\\sessions")) == (0, 3)
        assert removed(store, Retention(idle=days(1))) == (0, 4)

    def test_a_session_holds_nothing_of_a_longer_prefix(self, store, clock):
        """What is in "sessions" and "parlant_sessions" may have the id of another's session."""
        for collection in ("sessions", "parlant_sessions"):
            insert(store, clock, collection, "s", customer_id="eve")
        parlant_session(store, clock, "s", prefix="parlant_sessions_")
        insert(store, clock, "parlant_sessions_notes_failed_migrations", "n", session_id="s")
        insert(store, clock, "parlant_notes", "own", session_id="s")
        for collection, count in (("sessions", 1), ("parlant_sessions", 2)):
            assert store.set_document_expiry(collection, "s", clock() + days(9)) == count
        assert store.get_document("parlant_notes", "own").expires_at == clock() + days(9)
        for collection, id_ in (("sessions", "s"), ("events", "s-0")):
            assert store.get_document(f"parlant_sessions_{collection}", id_).expires_at is None
        clock.pass_(DAY)
        parlant_event(store, clock, "s", 2, prefix="parlant_sessions_")
        rule = Retention(idle=days(1), collection="sessions")
        assert would_go(store, rule) == [("sessions", "s")]
        assert removed(store, rule) == (0, 1)
        # The session that somebody wrote to keeps its own documents, and no others.
        assert would_go(store, Retention(idle=days(1))) == [
            ("parlant_notes", "own"),
            ("parlant_sessions", "s"),
        ]
        assert removed(store, Retention(idle=days(1))) == (0, 2)
        assert removed(store, Retention(older_than=days(1), collection=EVENTS))[1] == 2
        assert ids_of(store, EVENTS) == ["s-2"]

    def test_versions_of_collections_stay(self, store, clock):
        for collection in ("p_metadata", "metadata", "p_metadata_notes"):
            insert(store, clock, collection, "m")
        clock.pass_(DAY)
        assert would_go(store, Retention(idle=days(1))) == [("p_metadata_notes", "m")]
        assert removed(store, Retention(idle=days(1), collection="p_metadata")) == (0, 1)

    def test_thousands_are_listed_in_pages(self, store, clock, bulk):
        bulk(sessions=2_500, documents=2_500)
        clock.pass_(DAY)
        rule = Retention(idle=days(1))
        assert len(would_go(store, rule)) == 5_000
        for narrowed in (
            Retention(idle=days(1), namespace=""),
            Retention(idle=days(1), collection="c"),
        ):
            assert len(would_go(store, narrowed)) == 2_500
        assert removed(store, rule, batch_size=700) == (2_500, 2_500)

    def test_thousands_that_expired_are_listed_in_pages(self, store, clock, bulk):
        bulk(sessions=2_500, documents=2_500, expires_at=clock())
        assert len(would_go(store)) == 5_000
        assert removed(store, batch_size=700) == (2_500, 2_500)

    def test_two_at_once_remove_each_once(self, store, clock, bulk):
        bulk(sessions=400, documents=0)
        for number in range(100):
            parlant_session(store, clock, f"s{number}", events=3)
        clock.pass_(DAY)
        counts: list[tuple[int, int]] = []

        def sweep(_: int) -> None:
            found = list(store.expire_batches(rule=Retention(idle=days(1)), batch_size=20))
            counts.append((sum(b.sessions for b in found), sum(b.documents for b in found)))

        in_threads(sweep, 3)
        left = removed(store, Retention(idle=days(1)))
        assert [sum(kind) for kind in zip(*counts, left, strict=True)] == [400, 400]
        assert sessions_of(store) == ids_of(store, "p_sessions") == ids_of(store, "p_events") == []

    def test_whoever_writes_meanwhile_keeps_a_session(self, store, clock):
        names = [f"s{number}" for number in range(60)]
        for name in names:
            store.add_items(name, numbered(1))
            parlant_session(store, clock, name, events=1)
        clock.pass_(DAY)
        started = threading.Event()

        def write(_: int) -> None:
            for name in names:
                store.add_items(name, numbered(2))
                parlant_event(store, clock, name, 1)
                started.set()

        def sweep(_: int) -> None:
            started.wait(120)
            for _ in store.expire_batches(rule=Retention(idle=days(1)), batch_size=5):
                pass

        in_threads(lambda number: (write, sweep)[number](number), 2)
        for name in names:
            # It stayed as it was, or it was gone before somebody wrote.
            assert store.get_items(name) in (numbered(1, 2), numbered(2))
            is_there = store.find_one("p_sessions", {"id": {"$eq": name}}) is not None
            events = store.find("p_events", {"session_id": {"$eq": name}}).documents
            assert len(events) == 1 + is_there

    @pytest.mark.values
    @pytest.mark.parametrize("name", IDS)
    def test_names_of_any_script(self, store, clock, name):
        store.add_items(name, numbered(1), namespace=name)
        store.add_items("s", numbered(1), namespace="n")
        insert(store, clock, "p_sessions", name)
        insert(store, clock, "p_events", "e", session_id=name)
        clock.pass_(DAY)
        rule = Retention(older_than=days(1), namespace=name)
        assert would_go(store, rule) == [(name, name, 1)]
        assert removed(store, rule) == (1, 0)
        assert would_go(store, Retention(idle=days(1), collection="p_sessions")) == [
            ("p_events", "e"),
            ("p_sessions", name),
        ]
        assert removed(store, Retention(idle=days(1))) == (1, 2)

    @pytest.mark.values
    def test_names_that_would_be_sql(self, store, clock):
        name = "'; drop table parlant_store_session; -- %s %L $1"
        insert(store, clock, name, name, version=name)
        clock.pass_(DAY)
        assert removed(store, Retention(idle=days(1), collection=name), batch_size=1) == (0, 1)
        store.add_items("s", numbered(1))

    @pytest.mark.values
    @pytest.mark.parametrize(
        ("rule", "error", "said"),
        [
            ({}, InvalidInput, "needs older_than or idle"),
            ({"namespace": "n"}, InvalidInput, "needs older_than or idle"),
            ({"idle": 5}, InvalidLimit, "idle must be a timedelta"),
            ({"idle": days(1), "namespace": "n", "collection": "c"}, InvalidInput, "two rules"),
            ({"idle": timedelta(0)}, InvalidLimit, "idle must be above 0"),
            ({"older_than": -days(1)}, InvalidLimit, "older_than must be above 0"),
            ({"older_than": days(40_000)}, InvalidLimit, "a hundred years"),
            ({"idle": days(1), "namespace": "a\0"}, InvalidName, "namespace must not hold a NUL"),
            ({"idle": days(1), "collection": ""}, InvalidName, "collection must not be empty"),
        ],
    )
    def test_a_bad_rule_is_refused_at_once(self, store, rule, error, said):
        for call in (store.expire_batches, store.list_expired):
            with pytest.raises(error, match=said):
                call(rule=Retention(**rule))
        with pytest.raises(InvalidInput, match="must be a Retention"):
            store.list_expired(rule=rule)
        with pytest.raises(InvalidLimit):
            store.expire_batches(batch_size=0)

    def test_the_time_is_utc_whatever_the_clock_says(self, make_store, clock):
        far = timezone(timedelta(hours=13))
        store = make_store(clock=lambda: clock().astimezone(far))
        store.insert_one("c", {"id": "a", "creation_utc": clock().astimezone(UTC).isoformat()})
        clock.pass_(10)
        assert removed(store, Retention(older_than=timedelta(seconds=11))) == (0, 0)
        assert removed(store, Retention(older_than=timedelta(seconds=10))) == (0, 1)
