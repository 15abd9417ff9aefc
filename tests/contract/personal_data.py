"""Everything of one person: the same from every backend that the commands reach as "default"."""

import json
from dataclasses import asdict
from hashlib import sha256
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from parlant_store import personal_data, personal_documents, stores
from parlant_store.personal_data import PersonalData
from tests.contract.values import IDS, NASTY, numbered

NOW = "2030-01-01T00:00:00+00:00"


def document(id_: str | None, **fields: Any) -> dict[str, Any]:
    named = {} if id_ is None else {"id": id_}
    return {**named, "version": "0.9.0", "creation_utc": NOW, **fields}


def set_aside(id_: str, collection: str, inner: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A document that could not be migrated, as the adapter keeps it."""
    return document(id_, collection=collection, reason="r", document=inner, **fields)


def fill(store, user: str, mark: str) -> None:
    """Everything that a person may have; ``mark`` begins the ids."""
    for number in range(3):
        store.add_items(f"{mark}{number}", NASTY, namespace="n" * number, user_id=user)
    store.set_metadata(f"{mark}0", {"topic": mark})
    for prefix in ("p_", "q_"):
        session = f"{mark}-session"
        store.insert_one(f"{prefix}sessions", document(session, customer_id=user))
        for number in range(3):
            event = document(f"{mark}{number}", session_id=session, offset=number, data=mark)
            store.insert_one(f"{prefix}events", event)
        old = set_aside(f"{mark}-f", f"{prefix}events", {"data": mark}, session_id=session)
        store.insert_one(f"{prefix}events_failed_migrations", old)
    gone = set_aside(f"{mark}-s", "p_sessions", document(f"{mark}-old"), customer_id=user)
    store.insert_one("p_sessions_failed_migrations", gone)
    store.insert_one("p_events", document(f"{mark}-late", session_id=f"{mark}-old", data=mark))
    store.insert_one("c_customers", document(user, name=mark))
    store.insert_one("c_customer_tag_associations", document(mark, customer_id=user, tag_id="t"))
    store.insert_one("c_customers_failed_migrations", set_aside(f"{mark}-c", "c", document(user)))
    store.insert_one("v_values", document(mark, variable_id="v", key=user, data=mark))
    store.insert_one(
        "v_values_failed_migrations", set_aside(f"{mark}-v", "v", document(mark, key=user))
    )
    for _ in range(7):
        store.insert_one("notes", document(None, customer_id=user, text=mark, nested={"a": [1]}))


SESSIONS, DOCUMENTS = 3, 2 * 5 + 2 + 5 + 7


def everything(store) -> str:
    """All that the store has, as text."""
    sessions = store.list_sessions(limit=1_000).sessions
    found: list[Any] = [[repr(session) for session in sessions]]
    found += [
        store.get_items(session.session_id, namespace=session.namespace) for session in sessions
    ]
    for name in store.list_collections():
        found.append([name, *map(repr, store.find(name).documents)])
    return json.dumps(found)


def command(name: str, *arguments: str, **options: Any) -> str:
    stdout = StringIO()
    call_command(name, *arguments, stdout=stdout, **options)
    return stdout.getvalue()


def erase(user: str, *arguments: str, **options: Any) -> Any:
    (report,) = json.loads(
        command("store_erase", "--user", user, "--noinput", *arguments, **options)
    )["stores"]
    return report


def exported(user: str) -> list[Any]:
    return [json.loads(line) for line in command("store_export", "--user", user).splitlines()]


class PersonalDataContract:
    """Tests of store_export and store_erase; a subclass gives the default store, ``store``."""

    @pytest.fixture
    def store(self):
        raise NotImplementedError

    @pytest.fixture
    def filled(self, store):
        fill(store, "zoe", "zoe")
        self.others = everything(store)
        fill(store, "ada", "ada")
        return store

    def test_all_of_one_person_is_exported(self, filled):
        lines = command("store_export", "--user", "ada").splitlines(keepends=True)
        *records, receipt = map(json.loads, lines)
        sessions = [record for record in records if record["kind"] == "session"]
        assert [(one["namespace"], one["session_id"]) for one in sessions] == [
            ("", "ada0"),
            ("n", "ada1"),
            ("nn", "ada2"),
        ]
        assert all(one["items"] == NASTY and one["user_id"] == "ada" for one in sessions)
        assert sessions[0]["metadata"] == {"topic": "ada"}
        assert sessions[0]["damaged_items"] == 0
        documents = [record for record in records if record["kind"] == "document"]
        # Those without an id that are equal are one.
        assert len(documents) == DOCUMENTS - 6
        assert "zoe" not in json.dumps(records)
        assert {"store", "kind", "collection", "document"} == documents[0].keys()
        assert receipt["stores"] == [
            {"store": "default", "sessions": 3, "documents": len(documents), "complete": True}
        ]
        assert receipt["sha256"] == sha256("".join(lines[:-1]).encode()).hexdigest()
        assert (receipt["kind"], receipt["user"]) == ("receipt", "ada")

    def test_usage_and_parents_are_exported(self, store):
        store.add_items("s", NASTY, user_id="ada")
        store.add_usage("s", {"requests": 1, "total_tokens": 5})
        store.branch("s", "b")
        first, second, _ = exported("ada")
        found = {one["session_id"]: one for one in (first, second)}
        assert (found["s"]["parent_id"], found["b"]["parent_id"]) == (None, "s")
        assert found["b"]["parent_position"] == len(NASTY) - 1
        usage = asdict(store.get_usage("s"))
        assert usage["total_tokens"] == 5
        for one in found.values():
            assert (one["usage"], one["turn_usage"]) == (usage, {"0": usage})

    def test_all_of_one_person_is_erased(self, filled):
        report = erase("ada")
        assert (report["sessions"], report["items"]) == (SESSIONS, 3 * len(NASTY))
        assert report["documents"] == DOCUMENTS
        assert report["left"] == 0
        assert "found" not in report
        assert everything(filled) == self.others
        again = erase("ada")
        assert [again[name] for name in ("sessions", "items", "documents", "left")] == [0] * 4
        assert len(exported("ada")) == 1

    def test_what_bears_anothers_id_leads_to_nothing_of_theirs(self, filled):
        """Of Eve are documents that look like Ada's session, customer and value."""
        filled.insert_one("parlant_sessions_sessions", document("x-session", customer_id="ada"))
        filled.insert_one("parlant_sessions_events", document("x", session_id="x-session"))
        others = everything(filled)
        planted = [
            ("sessions", document("x-session", customer_id="eve")),
            ("parlant_sessions", document("x-session", customer_id="eve")),
            (
                "parlant_sessions_sessions_failed_migrations",
                set_aside("f", "c", document("x-session"), customer_id="eve"),
            ),
            ("eve_customers", document("ada", customer_id="eve")),
            ("eve_values", document("v", key="ada", customer_id="eve")),
            (
                "eve_customers_failed_migrations",
                set_aside("g", "c", document("ada", customer_id="eve"), customer_id="eve"),
            ),
        ]
        ada = exported("ada")[:-1]
        for collection, planted_document in planted:
            filled.insert_one(collection, planted_document)
        assert exported("ada")[:-1] == ada
        found = {(one["collection"], one["document"]["id"]) for one in exported("eve")[:-1]}
        assert found == {(collection, one["id"]) for collection, one in planted}
        assert erase("eve")["documents"] == len(planted)
        assert everything(filled) == others

    def test_documents_of_a_session_are_found_when_it_was_the_last(self, store):
        store.insert_one("p_sessions", document("s", customer_id="ada"))
        store.insert_one("p_events", document("e", session_id="s"))
        data = PersonalData(store, "ada")
        for number, _ in enumerate(data.erase()):
            if number == 1:
                store.insert_one("p_events", document("last", session_id="s"))
        assert store.list_collections() == []

    def test_a_dry_run_erases_nothing(self, filled):
        before = everything(filled)
        (report,) = json.loads(command("store_erase", "--user", "ada", "--dry-run"))["stores"]
        assert (report["sessions"], report["documents"]) == (SESSIONS, DOCUMENTS - 6)
        assert everything(filled) == before
        detailed = json.loads(command("store_erase", "--user", "ada", "--dry-run", verbosity=2))
        found = detailed["stores"][0]["found"]
        assert {"namespace": "n", "session_id": "ada1"} in found
        assert {"collection": "v_values", "id": "ada"} in found

    def test_the_ids_are_in_a_receipt_that_is_asked_for_them(self, filled):
        found = erase("ada", verbosity=2)["found"]
        assert len(found) == SESSIONS + DOCUMENTS
        assert {"collection": "p_sessions", "id": "ada-session"} in found

    def test_what_has_expired_is_erased_too(self, store):
        store.add_items("s", numbered(1), user_id="ada", ttl_seconds=0.001)
        store.add_items("t", numbered(1), user_id="ada")
        assert erase("ada")["sessions"] == 1
        assert not list(store.list_expired())

    @pytest.mark.parametrize("user", [*IDS, "*", "%", "a,b", '{"$ne": 1}'])
    def test_ids_of_any_script(self, store, user):
        fill(store, "zoe", "zoe")
        before = everything(store)
        fill(store, user, "own")
        report = erase(user)
        assert (report["sessions"], report["documents"]) == (SESSIONS, DOCUMENTS)
        assert everything(store) == before

    @pytest.mark.parametrize("user", ["", "a\0b", "x" * 4097])
    @pytest.mark.parametrize("name", ["store_export", "store_erase"])
    def test_a_wrong_id_is_refused(self, filled, name, user):
        before = everything(filled)
        options = {"interactive": False} if name == "store_erase" else {}
        with pytest.raises(CommandError, match="user_id"):
            command(name, f"--user={user}", **options)
        assert everything(filled) == before

    def test_more_sessions_than_one_page(self, store, monkeypatch):
        monkeypatch.setattr(personal_data, "PAGE_SIZE", 3)
        monkeypatch.setattr(personal_documents, "PAGE_SIZE", 3)
        monkeypatch.setattr(personal_documents, "MAX_SESSIONS", 3)
        for number in range(10):
            store.add_items(f"s{number}", numbered(1), user_id="ada")
            store.insert_one("p_sessions", document(f"s{number}", customer_id="ada"))
            store.insert_one("p_events", document(f"e{number}", session_id=f"s{number}"))
            inner = set_aside(f"f{number}", "c_customers", document(f"c{number % 9}"))
            store.insert_one("c_customers_failed_migrations", inner)
        assert len(exported("ada")) == 31
        report = erase("ada")
        assert (report["sessions"], report["documents"]) == (10, 20)
        assert erase("c0")["documents"] == 2
        assert len(store.find("c_customers_failed_migrations").documents) == 8

    def test_what_is_written_meanwhile_is_erased_too(self, filled):
        data = PersonalData(filled, "ada")
        removed = 0
        for number, _ in enumerate(data.erase()):
            removed += 1
            if number == 0:
                filled.add_items("new", numbered(1), user_id="ada")
            if number == SESSIONS + DOCUMENTS - 1:
                # To a session of Parlant's that is gone already.
                filled.insert_one("p_events", document("last", session_id="ada-session"))
        assert removed == SESSIONS + DOCUMENTS + 2
        assert everything(filled) == self.others
        assert not list(data.sessions())
        assert not list(data.documents())

    def test_writing_on_and_on_ends_with_something_left(self, filled, monkeypatch):
        once = PersonalData._erase_once

        def erase_and_write(self):
            yield from once(self)
            filled.add_items("again", numbered(1), user_id="ada")

        monkeypatch.setattr(PersonalData, "_erase_once", erase_and_write)
        stdout = StringIO()
        with pytest.raises(CommandError, match="1 of 1 stores failed or have more"):
            call_command("store_erase", user="ada", interactive=False, stdout=stdout)
        assert json.loads(stdout.getvalue())["stores"][0]["left"] == 1

    def test_stores_are_those_of_the_setting(self, store):
        assert list(stores) == ["default"]
        assert type(stores["default"]) is type(store)
