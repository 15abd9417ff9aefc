"""Scenarios of the sync store."""

from io import StringIO
from typing import Any

from django.core.management import call_command
from django.db import transaction

from tests.matrix.projects import Project
from tests.matrix.scenarios import equal, eventually, scenario

QUESTION = {"role": "user", "content": "Where is the lighthouse?"}
ANSWER = {"role": "assistant", "content": "At the end of the pier."}


@scenario(shared=True)
def store(project: Project) -> None:
    """What the contract says, in short."""
    from parlant_store import store

    sessions_answer(store)
    documents_answer(store)


def sessions_answer(store: Any) -> None:
    store.add_items("basics", [QUESTION, ANSWER, QUESTION], user_id="ada")
    equal(store.get_items("basics"), [QUESTION, ANSWER, QUESTION])
    equal(store.pop_item("basics"), QUESTION)
    equal(store.get_items("basics", limit=1), [ANSWER])
    equal(store.set_metadata("basics", {"a": 1}), {"a": 1})
    equal(store.set_metadata("basics", {"b": None}, merge=True), {"a": 1, "b": None})
    equal([hit.session_id for hit in store.search("lighthouse")], ["basics"])
    page = store.list_sessions(prefix="basics", where={"a": {"$eq": 1}})
    equal([(s.session_id, s.user_id, s.item_count) for s in page.sessions], [("basics", "ada", 2)])
    info = store.get_session("basics")
    equal(len(store.list_sessions(prefix="basics", updated_since=info.updated_at).sessions), 1)
    assert store.set_expiry("basics", info.updated_at.replace(year=2999))
    revision = store.save_snapshot("basics", [QUESTION], state={"n": 1})
    snapshot = store.load_snapshot("basics")
    equal((snapshot.items, snapshot.state, snapshot.revision), ([QUESTION], {"n": 1}, revision))
    store.branch("basics", "basics-2")
    equal(store.get_items("basics-2"), [QUESTION])
    store.replace_items("basics-2", [ANSWER])
    equal(store.get_items("basics-2"), [ANSWER])
    store.clear("basics-2")
    equal((store.get_items("basics-2"), store.exists("basics-2")), ([], True))
    equal([store.delete_session("basics-2") for _ in range(2)], [True, False])
    equal(store.get_items("no such session"), [])


def documents_answer(store: Any) -> None:
    made = [{"id": f"d{n}", "creation_utc": f"2030-01-0{n}", "n": n} for n in (1, 2, 3)]
    for document in made:
        store.insert_one("basics", document)
    page = store.find("basics", {"n": {"$gte": 2}}, limit=1, count=True)
    equal((list(page.documents), page.has_more, page.total_count), (made[1:2], True, 2))
    equal(store.find_one("basics", sort=[("n", "desc")]), made[2])
    updated = store.update_one("basics", {"id": {"$eq": "d1"}}, {"b": "x"})
    equal(updated.document, made[0] | {"b": "x"})
    inserted = store.update_one("basics", {"id": {"$eq": "d4"}}, {"id": "d4"}, upsert=True)
    equal((inserted.matched, inserted.document), (False, {"id": "d4"}))
    equal(store.delete_one("basics", {"id": {"$eq": "d4"}}), {"id": "d4"})
    equal(store.find_one("basics", {"id": {"$eq": "d4"}}), None)
    store.ensure_index("basics", [("n", "asc")])
    assert "basics" in store.list_collections()
    equal(store.find("no such collection").documents, ())


@scenario(shared=True)
def duplicate(project: Project) -> None:
    """An error of the contract, caught in the caller's transaction, undoes nothing else."""
    from parlant_store import store
    from parlant_store.exceptions import DuplicateDocument

    store.insert_one("duplicate", {"id": "a"})
    store.insert_one("duplicate", {"id": "b"})
    calls = {
        "insert": lambda: store.insert_one("duplicate", {"id": "a"}),
        "update": lambda: store.update_one("duplicate", {"id": {"$eq": "a"}}, {"id": "b"}),
    }
    for name, call in calls.items():
        with transaction.atomic(using=project.alias):
            store.add_items(f"duplicate-{name}", [QUESTION])
            try:
                call()
            except DuplicateDocument:
                pass
            else:
                raise AssertionError(f"{name} of a duplicate was taken")
            store.add_items(f"duplicate-{name}", [ANSWER])
        equal(store.get_items(f"duplicate-{name}"), [QUESTION, ANSWER], name)


@scenario()
def expire(project: Project) -> None:
    """What has expired is invisible at once, and the sweep removes it, and it alone."""
    from parlant_store import store

    store.add_items("expire-never", [QUESTION])
    for number in range(3):
        store.add_items(f"expire-{number}", [QUESTION], ttl_seconds=0.05)
    eventually(lambda: not store.exists("expire-2"), "a session expires")
    equal(store.get_items("expire-1"), [])
    call_command("store_expire", verbosity=0, stdout=StringIO())
    left = [name for name in names(project) if name.startswith("expire-")]
    equal(left, ["expire-never"], "the sweep left")
    store.add_items("expire-2", [ANSWER])
    equal(store.get_items("expire-2"), [ANSWER])


def names(project: Project) -> list[str]:
    """The sessions and collections at the place of the first caller."""
    return project.texts()[project.callers()[0].place]
