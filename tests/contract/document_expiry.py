"""Documents whose time of expiry is set: the same from every backend."""

from datetime import datetime

import pytest

from parlant_store.exceptions import DuplicateDocument, InvalidInput, InvalidName
from parlant_store.types import (
    DocumentInfo,
)
from tests.contract.expired_rows import DAY, days, ids_of, insert, parlant_session, removed
from tests.contract.stores import Timed
from tests.contract.threads import in_threads
from tests.contract.values import IDS


class DocumentExpiryContract(Timed):
    """Tests of documents that expire; a subclass gives the fixture ``make_store``."""

    def test_the_end_of_a_document_can_be_set(self, store, clock):
        for collection, name in (("c", "a"), ("c", "b"), ("other", "a")):
            store.insert_one(collection, {"id": name, "session_id": "a"})
        began, until = clock(), clock() + days(1)
        clock.pass_(5)
        assert store.set_document_expiry("c", "a", until) == 1
        assert store.get_document("c", "a") == DocumentInfo(
            document={"id": "a", "session_id": "a"}, updated_at=began, expires_at=until
        )
        assert store.get_document("c", "b").expires_at is None
        clock.pass_(2 * DAY)
        assert store.get_document("c", "a") is store.find_one("c", {"id": {"$eq": "a"}}) is None
        assert store.set_document_expiry("c", "a", None) == 0
        assert (ids_of(store, "c"), ids_of(store, "other")) == (["b"], ["a"])
        assert removed(store) == (0, 1)

    def test_a_document_can_be_kept_for_ever_or_end_now(self, store, clock):
        store.insert_one("c", {"id": "a"})
        store.set_document_expiry("c", "a", clock() + days(1))
        assert store.set_document_expiry("c", "a", None) == 1
        assert store.get_document("c", "a").expires_at is None
        assert store.set_document_expiry("c", "a", clock()) == 1
        assert store.get_document("c", "a") is None
        store.insert_one("c", {"id": "a", "anew": True})
        assert store.get_document("c", "a").expires_at is None

    @pytest.mark.parametrize("upsert", [False, True])
    def test_what_has_expired_gives_its_id_away(self, store, clock, upsert):
        for name in ("a", "b", "c"):
            store.insert_one("c", {"id": name, "of": name})
        store.set_document_expiry("c", "a", clock())
        where = {"id": {"$eq": "b"}}
        assert store.update_one("c", where, {"id": "a"}, upsert=upsert).matched
        assert store.get_document("c", "a").document == {"id": "a", "of": "b"}
        with pytest.raises(DuplicateDocument):
            store.update_one("c", {"id": {"$eq": "a"}}, {"id": "c"}, upsert=upsert)
        assert ids_of(store, "c") == ["a", "c"]
        assert removed(store) == (0, 0)

    def test_documents_end_with_their_parlant_session(self, store, clock):
        for name in ("one", "two"):
            parlant_session(store, clock, name)
        parlant_session(store, clock, "one", prefix="q_")
        insert(store, clock, "p_notes", "of one", session_id="one")
        assert store.set_document_expiry("p_events", "one-0", clock()) == 1
        assert store.set_document_expiry("p_sessions", "one", clock() + days(1)) == 3
        ends = {
            name: store.get_document(collection, name).expires_at
            for collection, name in [
                ("p_sessions", "one"), ("p_events", "one-1"), ("p_notes", "of one"),
                ("p_sessions", "two"), ("p_events", "two-0"),
            ]
        }  # fmt: skip
        assert ends == dict.fromkeys(("one", "one-1", "of one"), clock() + days(1)) | {
            "two": None,
            "two-0": None,
        }
        assert store.get_document("q_events", "one-0").expires_at is None
        assert store.get_document("p_events", "one-0") is None

    @pytest.mark.values
    @pytest.mark.parametrize("name", IDS)
    def test_documents_of_any_name_can_end(self, store, clock, name):
        store.insert_one("c_sessions", {"id": name})
        store.insert_one("c_events", {"id": "e", "session_id": name})
        assert store.get_document("c_sessions", name).document == {"id": name}
        assert store.set_document_expiry("c_sessions", name, clock()) == 2
        assert store.get_document("c_events", "e") is None

    def test_who_ends_documents_at_once_ends_each_once(self, store, clock):
        for number in range(4):
            parlant_session(store, clock, f"s{number}", events=20)
        ended: list[int] = []

        def end(number: int) -> None:
            ended.append(store.set_document_expiry("p_sessions", f"s{number % 4}", clock()))

        in_threads(end, 16)
        assert sorted(ended) == [0] * 12 + [21] * 4
        assert ids_of(store, "p_events") == ids_of(store, "p_sessions") == []

    @pytest.mark.values
    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            (("", "a", None), InvalidName),
            (("c", "", None), InvalidName),
            (("c", None, None), InvalidName),
            (("c", 5, None), InvalidName),
            (("c", "a", "tomorrow"), InvalidInput),
            (("c", "a", datetime(2030, 1, 1)), InvalidInput),
        ],
    )
    def test_bad_ends_are_refused(self, store, arguments, error):
        store.insert_one("c", {"id": "a"})
        with pytest.raises(error):
            store.set_document_expiry(*arguments)
        if error is InvalidName:
            with pytest.raises(error):
                store.get_document(*arguments[:2])
        assert store.get_document("c", "a").expires_at is None
