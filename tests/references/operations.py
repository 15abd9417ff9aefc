"""What deletes rows of the stores, and what the deleted row is."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from parlant_store.models import Document, Session, SessionItem
from parlant_store.personal_data import PersonalData
from parlant_store.types import DocumentRecord, Retention, SessionRecord
from tests.contract.values import numbered
from tests.references.models import SPARE

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EXPIRED = {"expires_at": LONG_AGO}
OLD = {"updated_at": LONG_AGO, "created_at": LONG_AGO}
RULES = {
    "Session": Retention(idle=timedelta(days=1), namespace=""),
    "Item": Retention(idle=timedelta(days=1), namespace=""),
    "Document": Retention(idle=timedelta(days=1), collection="c"),
}


class Operation(NamedTuple):
    """``is_sweep``: it goes on with others, and says what stays, where a row is protected."""

    run: Callable[[Any], Any]
    state: Mapping[str, Any] = MappingProxyType({})
    """What the referenced session or document is made to be before."""

    is_sweep: bool = False
    last: bool = True
    """Whether the last item of the session is the one that is deleted."""


def sweep(store: Any, rule: Any = None) -> Any:
    return [one for batch in store.expire_batches(rule=rule) for one in batch.protected]


def erase(store: Any) -> Any:
    person = PersonalData(store, "ada")
    list(person.erase())
    return list(person.protected)


def changed(store: Any, **splice: int) -> None:
    since = store.load_snapshot("s").revision
    store.save_snapshot("s", numbered(7), state={"a": 1}, since=since, **splice)


def anew(store: Any) -> Any:
    return store.save_snapshot("s", numbered(7), state={"a": 1})


def write(store: Any, **options: bool) -> None:
    records = [SessionRecord(session_id=name, items=numbered(7)) for name in ("new", "s")]
    assert all(store.write_sessions(records, **options))


SESSION: dict[str, Operation] = {
    "delete_session": Operation(lambda store: store.delete_session("s")),
    "delete_session of an expired one": Operation(lambda store: store.delete_session("s"), EXPIRED),
    "branch over it": Operation(lambda store: store.branch("other", "s")),
    "branch over an expired one": Operation(lambda store: store.branch("other", "s"), EXPIRED),
    "add_items to an expired one": Operation(
        lambda store: store.add_items("s", numbered(7)), EXPIRED
    ),
    "replace_items of an expired one": Operation(
        lambda store: store.replace_items("s", numbered(7)), EXPIRED
    ),
    "set_metadata of an expired one": Operation(
        lambda store: store.set_metadata("s", {"a": 1}), EXPIRED
    ),
    "save_snapshot of an expired one": Operation(anew, EXPIRED),
    "write_sessions over an expired one": Operation(write, EXPIRED),
    "expire": Operation(sweep, EXPIRED, is_sweep=True),
    "a rule": Operation(lambda store: sweep(store, RULES["Session"]), OLD, is_sweep=True),
    "erase": Operation(erase, {"user_id": "ada"}, is_sweep=True),
    "erase when it has expired": Operation(erase, {"user_id": "ada", **EXPIRED}, is_sweep=True),
}
ITEM = SESSION | {
    "pop_item": Operation(lambda store: store.pop_item("s")),
    "clear": Operation(lambda store: store.clear("s")),
    "replace_items": Operation(lambda store: store.replace_items("s", numbered(7))),
    "save_snapshot": Operation(anew),
    "write_sessions": Operation(lambda store: write(store, replace=True)),
    "save_snapshot without the last": Operation(lambda store: changed(store, keep=1)),
    "save_snapshot without the first": Operation(
        lambda store: changed(store, drop=1, keep=2), last=False
    ),
    "save_snapshot without any": Operation(lambda store: changed(store)),
    "keep_latest": Operation(lambda store: store.keep_latest("s", items=0)),
    "truncate": Operation(lambda store: store.truncate("s", after_position=1)),
    "truncate to nothing": Operation(lambda store: store.truncate("s", before_turn=0)),
    "replace_tail": Operation(lambda store: store.replace_tail("s", 2, numbered(7))),
}
GONE = {"d": "s", "id": "d"}
DOCUMENT: dict[str, Operation] = {
    "delete_one": Operation(lambda store: store.delete_one("c", {"id": {"$eq": "d"}})),
    "drop_collection": Operation(lambda store: store.drop_collection("c")),
    "insert_one": Operation(lambda store: store.insert_one("c", {"id": "d"}), EXPIRED),
    "insert_numbered": Operation(
        lambda store: store.insert_numbered(
            "c", {"id": "d", "n": 1, "g": "g"}, number="n", within="g"
        ),
        EXPIRED,
    ),
    "update_one": Operation(
        lambda store: store.update_one("c", {"id": {"$eq": "other"}}, {"id": "d"}), EXPIRED
    ),
    "upsert": Operation(
        lambda store: store.update_one("c", {"id": {"$eq": "d"}}, {"id": "d"}, upsert=True),
        EXPIRED,
    ),
    "write_documents": Operation(
        lambda store: store.write_documents("c", [DocumentRecord(document={"id": "d"})]), EXPIRED
    ),
    "expire": Operation(sweep, EXPIRED, is_sweep=True),
    "a rule": Operation(
        lambda store: sweep(store, RULES["Document"]), {"updated_at": LONG_AGO}, is_sweep=True
    ),
    "erase": Operation(erase, is_sweep=True),
    "erase when it has expired": Operation(erase, EXPIRED, is_sweep=True),
}
OPERATIONS = {"Session": SESSION, "Item": ITEM, "Document": DOCUMENT}


def prepare(store: Any, target: str, operation: Operation) -> int:
    """Fill the tables; return the key of the row that the operation deletes."""
    if target == "Document" or operation.run is erase:
        prepare_documents(store)
    if target != "Document" or operation.run is erase:
        prepare_sessions(store)
    if target == "Document":
        Document.objects.filter(document_id__in=["d", "d2"]).update(**operation.state)
        return Document.objects.get(document_id="d").pk
    Session.objects.filter(session_id__in=["s", "s2"]).update(**operation.state)
    if target == "Session":
        return Session.objects.get(session_id="s").pk
    items = SessionItem.objects.filter(session__session_id="s").order_by("position")
    return (items.last() if operation.last else items.first()).pk


def prepare_documents(store: Any) -> None:
    store.insert_one("spare", {"id": SPARE})
    store.insert_one("c", {"id": "other", "customer_id": "bob"})
    for id_ in ("d", "d2"):
        store.insert_one("c", {"id": id_, "customer_id": "ada"})


def prepare_sessions(store: Any) -> None:
    store.add_items(SPARE, numbered(0), namespace="spare")
    store.add_items("other", numbered(4))
    store.add_items("s", numbered(1, 2, 3))
    store.add_items("s2", numbered(5))


def sibling(target: str) -> bool:
    """Whether what a sweep deletes beside the referenced row is there."""
    if target == "Document":
        return Document.objects.filter(document_id="d2").exists()
    return Session.objects.filter(session_id="s2").exists()
