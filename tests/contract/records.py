"""Whole sessions and documents, with their times: the same from every backend."""

from dataclasses import replace
from datetime import timedelta

import pytest

from parlant_store.exceptions import InvalidInput, InvalidItem, InvalidName
from parlant_store.types import DocumentRecord, SessionHistory, SessionRecord, Usage
from tests.contract.stores import Timed
from tests.contract.values import IDS, NASTY, numbered

USED = Usage(
    requests=3,
    input_tokens=2**52,
    total_tokens=2**53,
    input_tokens_details={"cached_tokens": 0, 'of "other" kinds': 1},
    output_tokens_details={"reasoning_tokens": 5},
)


class SessionRecordContract(Timed):
    """Tests of sessions as records; a subclass gives the fixture ``make_store``."""

    knows_item_times = False
    """Does get_timed_items return times?"""

    def record(self, store, clock, session_id="s", **fields):
        """A session with items of different ages."""
        now = clock()
        items = fields.pop("items", [*NASTY, {"role": "user", "content": "a rare word"}])
        times = [now - timedelta(minutes=n, microseconds=7 * n) for n in range(len(items))][::-1]
        record = SessionRecord(
            session_id=session_id,
            user_id="ada",
            items=items,
            item_times=times,
            state={"z": NASTY, "a": -0.0},
            metadata={"topic": NASTY[0]},
            created_at=now - timedelta(days=9),
            updated_at=now - timedelta(days=2, microseconds=1),
            expires_at=now + timedelta(days=1),
            history=SessionHistory(
                first_turn=3,
                usage=USED,
                turn_usage={0: Usage(requests=1)} if items else {},
                parent_id="parent",
                parent_position=7,
            ),
        )
        return replace(record, **fields)

    def stored(self, store, record):
        """What a store returns of a record that was written to it."""
        (found,) = store.read_sessions([(record.namespace, record.session_id)])
        names = [] if store.keeps_times else ["created_at", "updated_at"]
        names += [] if store.keeps_item_times else ["item_times"]
        names += [] if store.keeps_history else ["history"]
        return replace(record, **{name: getattr(found, name) for name in names})

    def read(self, store, *names):
        return store.read_sessions([("", name) for name in names])

    def test_a_session_comes_back_as_it_was_written(self, store, clock):
        record = self.record(store, clock, namespace="n")
        assert store.write_sessions([record]) == [True]
        (found,) = store.read_sessions([("n", "s")])
        assert found == self.stored(store, record)
        assert list(map(list, found.items)) == list(map(list, record.items))
        assert str(found.state["a"]) == "-0.0"
        assert store.get_items("s", namespace="n") == record.items
        info = store.get_session("s", namespace="n")
        assert (info.item_count, info.user_id) == (len(record.items), "ada")
        assert info.expires_at == record.expires_at
        assert [hit.session_id for hit in store.search("rare")] == ["s"]

    def test_what_was_written_by_others_is_read(self, store, clock):
        began = clock()
        store.add_items("s", numbered(1), user_id="ada")
        clock.pass_(5)
        store.add_items("s", numbered(2))
        store.set_metadata("s", {"a": 1})
        (found,) = self.read(store, "s")
        assert (found.items, found.metadata, found.user_id) == (numbered(1, 2), {"a": 1}, "ada")
        assert (found.state, found.expires_at, found.damaged_items) == ({}, None, 0)
        if store.keeps_times:
            assert found.created_at == began
            assert found.updated_at == clock()
        if store.keeps_item_times:
            assert found.item_times == [began, clock()]

    def test_items_keep_their_times_when_others_go(self, store, clock):
        def times():
            (found,) = self.read(store, "s")
            return [] if found.item_times is None else found.item_times

        began = clock()
        store.add_items("s", numbered(1, 2, 3))
        clock.pass_(5)
        store.add_items("s", numbered(4))
        since = store.load_snapshot("s").revision
        clock.pass_(5)
        store.save_snapshot("s", numbered(5, 6), state={}, since=since, drop=1, keep=2)
        now = clock()
        assert times() == ([began, began, now, now] if store.keeps_item_times else [])
        latest = store.get_timed_items("s", limit=2)
        assert [timed.item for timed in latest] == numbered(5, 6)
        if self.knows_item_times:
            assert store.get_timed_items("s") == [
                (item, at) for item, at in zip(numbered(2, 3, 5, 6), times(), strict=True)
            ]
            assert [timed.written_at for timed in latest] == [now, now]
        store.pop_item("s")
        clock.pass_(5)
        store.branch("s", "t")
        store.add_items("s", numbered(7))
        if store.keeps_item_times:
            assert times() == [began, began, now, clock()]
            assert self.read(store, "t")[0].item_times == [began, began, now]
        store.replace_items("s", numbered(8, 9))
        assert times() == ([clock()] * 2 if store.keeps_item_times else [])

    def test_a_session_goes_on_after_it_was_written(self, store, clock):
        store.write_sessions([self.record(store, clock, items=numbered(1, 2))])
        since = store.load_snapshot("s").revision
        store.add_items("s", numbered(3))
        assert store.pop_item("s") == {"n": 3}
        assert store.get_items("s") == numbered(1, 2)
        assert store.save_snapshot("s", [], state={}, since=since, keep=2) is None

    def test_the_names_that_are_missing_are_left_out(self, store, clock):
        assert store.read_sessions([]) == store.write_sessions([]) == []
        store.write_sessions([self.record(store, clock, name) for name in "ba"])
        found = self.read(store, "a", "nobody", "b", "a")
        assert sorted(record.session_id for record in found) == ["a", "b"]

    def test_a_session_that_exists_is_left_or_replaced(self, store, clock):
        store.add_items("s", numbered(1, 2, 3), user_id="bob")
        store.set_metadata("s", {"mine": 1})
        revision = store.load_snapshot("s").revision
        new = [self.record(store, clock, "s"), self.record(store, clock, "t", items=[])]
        assert store.write_sessions(new) == [False, True]
        assert store.get_items("s") == numbered(1, 2, 3)
        assert store.write_sessions(new, replace=True) == [True, True]
        found = sorted(self.read(store, "s", "t"), key=lambda record: record.session_id)
        assert found == [self.stored(store, record) for record in new]
        saved = store.save_snapshot("s", [], state={}, since=revision, keep=3)
        assert saved is None

    def test_an_expired_session_is_no_session(self, store, clock):
        store.add_items("s", numbered(1, 2))
        store.set_expiry("s", clock())
        assert self.read(store, "s") == []
        record = self.record(store, clock)
        assert store.write_sessions([record]) == [True]
        assert self.read(store, "s") == [self.stored(store, record)]
        clock.pass_(2 * 24 * 3600)
        assert self.read(store, "s") == []
        assert not store.exists("s")

    def test_the_ttl_of_the_store_is_not_applied(self, ttl_store, clock):
        ttl_store.write_sessions([self.record(ttl_store, clock, expires_at=None)])
        assert ttl_store.get_session("s").expires_at is None
        ttl_store.add_items("s", numbered(1))
        assert ttl_store.get_session("s").expires_at == clock() + timedelta(seconds=10)

    def test_times_may_be_unknown(self, store, clock):
        store.write_sessions([SessionRecord(session_id="s", items=numbered(1))])
        (found,) = self.read(store, "s")
        assert found.created_at == found.updated_at == clock()

    @pytest.mark.values
    @pytest.mark.parametrize("name", IDS)
    def test_names_of_any_script(self, store, clock, name):
        record = self.record(store, clock, name, namespace=name, user_id=name)
        assert store.write_sessions([record]) == [True]
        assert store.read_sessions([(name, name)]) == [self.stored(store, record)]
        listed = store.list_sessions(namespace=name, user_id=name).sessions
        assert [info.session_id for info in listed] == [name]

    @pytest.mark.values
    def test_an_invalid_record_writes_nothing(self, store, clock):
        good = self.record(store, clock, "good")
        for bad in (
            replace(good, session_id="a\0b"),
            replace(good, session_id="s", user_id=""),
            replace(good, session_id="s", items=[{"a": {1}}], item_times=None),
            replace(good, session_id="s", item_times=good.item_times[1:]),
            replace(good, session_id="s", state={"a": {1}}),
            good,
        ):
            with pytest.raises((InvalidName, InvalidItem)):
                store.write_sessions([good, bad])
        assert not store.exists("good")

    def test_many_sessions_in_one_call(self, store, clock):
        records = [
            self.record(store, clock, f"s{n:03}", items=numbered(*range(n % 4))) for n in range(200)
        ]
        assert all(store.write_sessions(records))
        found = self.read(store, *(record.session_id for record in records))
        found.sort(key=lambda record: record.session_id)
        assert found == [self.stored(store, record) for record in records]


class DocumentRecordContract(Timed):
    """Tests of documents as records; a subclass gives the fixture ``make_store``."""

    def record(self, clock, id_="a", **fields):
        document = {"creation_utc": "2026-01-01", "session_id": "s", "v": NASTY, "z": -0.0}
        if id_ is not None:
            document["id"] = id_
        return DocumentRecord(
            document=document | fields,
            updated_at=clock() - timedelta(days=3, microseconds=1),
            expires_at=clock() + timedelta(days=1),
        )

    def same(self, found):
        return [replace(record, key=0) for record in found]

    def test_a_document_comes_back_as_it_was_written(self, store, clock):
        record = self.record(clock)
        assert store.write_documents("c", [record]) == [True]
        (found,) = store.read_documents("c", ids=["a", "b"])
        assert self.same([found]) == [record]
        assert str(found.document["z"]) == "-0.0"
        assert store.get_document("c", "a").updated_at == record.updated_at
        assert store.find("c", {"session_id": {"$eq": "s"}}).documents == (record.document,)

    def test_documents_are_read_in_pages(self, store, clock):
        for number in range(5):
            store.insert_one("c", {"id": str(number)})
        store.insert_one("d", {"id": "other"})
        first = store.read_documents("c", limit=3)
        rest = store.read_documents("c", after=first[-1].key, limit=3)
        assert [record.document["id"] for record in first + rest] == list("01234")
        assert store.read_documents("c", after=rest[-1].key) == []
        with pytest.raises(InvalidName, match="ids must be a list of texts, not a text"):
            store.read_documents("c", ids="01")
        with pytest.raises(InvalidInput, match="after must be a whole number"):
            store.read_documents("c", after="0")
        assert {record.updated_at for record in first} == {clock()}

    def test_a_document_that_exists_is_left_or_replaced(self, store, clock):
        store.insert_one("c", {"id": "a", "customer_id": "x"})
        new = [self.record(clock), self.record(clock, "b")]
        assert store.write_documents("c", new) == [False, True]
        assert store.find_one("c", {"id": {"$eq": "a"}}) == {"id": "a", "customer_id": "x"}
        assert store.write_documents("c", new, replace=True) == [True, True]
        assert self.same(store.read_documents("c")) == new
        assert store.find("c", {"customer_id": {"$eq": "x"}}).documents == ()

    def test_an_expired_document_is_no_document(self, store, clock):
        store.write_documents("c", [self.record(clock)])
        clock.pass_(2 * 24 * 3600)
        assert store.read_documents("c") == store.read_documents("c", ids=["a"]) == []
        assert store.write_documents("c", [self.record(clock)]) == [True]
        assert len(store.read_documents("c")) == 1

    def test_documents_without_an_id(self, store, clock):
        records = [self.record(clock, None)] * 2
        assert store.write_documents("c", records, replace=True) == [True, True]
        assert self.same(store.read_documents("c")) == records

    @pytest.mark.values
    def test_an_invalid_record_writes_nothing(self, store, clock):
        for bad in (self.record(clock), self.record(clock, 5), self.record(clock, "b", v={1})):
            with pytest.raises((InvalidName, InvalidItem)):
                store.write_documents("c", [self.record(clock), bad])
        assert store.read_documents("c") == []
