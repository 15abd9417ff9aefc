"""Sweeps over what is protected, by commands, in the admin, and while others write."""

import json
import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, transaction
from django.test import Client
from django.urls import reverse

from parlant_store.exceptions import ProtectedRow
from parlant_store.models import Document, Session
from parlant_store.signals import session_deleted, session_expired
from parlant_store.types import Retention
from tests.admin.actions.action_forms import do, messages_after
from tests.contract.values import numbered
from tests.references.models import REFERENCES

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CASCADES = REFERENCES["Session", "CASCADE"]
PROTECTS = REFERENCES["Session", "PROTECT"]
PROTECTS_DOCUMENT = REFERENCES["Document", "PROTECT"]


def expired(store: Any, count: int) -> list[Session]:
    for number in range(count):
        store.add_items(f"s{number}", numbered(1, 2))
    Session.objects.update(expires_at=LONG_AGO)
    return [*Session.objects.order_by("key")]


def parlant_session(store: Any) -> dict[str, Document]:
    """A Parlant session of Ada's with two events, beside one of Bob's with one."""
    for id_, person in (("a", "ada"), ("b", "bob")):
        store.insert_one("x_sessions", {"id": id_, "customer_id": person})
    for id_, session in (("e1", "a"), ("e2", "a"), ("e3", "b")):
        store.insert_one("x_events", {"id": id_, "session_id": session})
    Document.objects.update(updated_at=LONG_AGO)
    return {document.document_id: document for document in Document.objects.all()}


def ids() -> list[str]:
    return [*Document.objects.order_by("document_id").values_list("document_id", flat=True)]


def called(*command: str) -> tuple[str, str]:
    stdout, stderr = StringIO(), StringIO()
    call_command(*command, stdout=stdout, stderr=stderr)
    return stdout.getvalue(), stderr.getvalue()


@pytest.fixture
def client(transactional_db: None, admin_user: Any) -> Client:
    client = Client()
    client.force_login(admin_user)
    return client


@pytest.mark.parametrize("batch_size", [1, 2, 1_000])
def test_protected_rows_are_passed_over_in_batches(store, batch_size, caplog):
    rows = expired(store, 7)
    for row in (rows[0], rows[1], rows[4]):
        PROTECTS.objects.create(to=row)
    CASCADES.objects.create(to=rows[2])
    result = store.expire(batch_size=batch_size)
    assert result.sessions == 4
    assert {one.id for one in result.protected} == {"s0", "s1", "s4"}
    assert {row.session_id for row in Session.objects.all()} == {"s0", "s1", "s4"}
    assert CASCADES.objects.count() == 0
    assert "session 's4' is protected by references.SessionPROTECT" in caplog.text
    assert store.expire(batch_size=batch_size).sessions == 0
    PROTECTS.objects.all().delete()
    assert store.expire(batch_size=batch_size).sessions == 3


def test_many_protected_rows_are_counted(store):
    (row,) = expired(store, 1)
    PROTECTS.objects.bulk_create(PROTECTS(to=row) for _ in range(9))
    (protected,) = store.expire().protected
    assert protected.protected_by.count("references.SessionPROTECT") == 5
    assert protected.protected_by.endswith(" and 4 more")


def test_signals_tell_of_what_went_only(store):
    rows = expired(store, 3)
    store.add_items("live", numbered(1))
    PROTECTS.objects.create(to=rows[1])
    PROTECTS.objects.create(to=Session.objects.get(session_id="live"))
    sent = []

    def receive(session_id: str, **_: Any) -> None:
        sent.append(session_id)

    for signal in (session_expired, session_deleted):
        signal.connect(receive)
    try:
        store.expire()
        with pytest.raises(ProtectedRow):
            store.delete_session("live")
        PROTECTS.objects.all().delete()
        store.delete_session("s1")
        store.delete_session("live")
    finally:
        for signal in (session_expired, session_deleted):
            signal.disconnect(receive)
    # s1 had expired: it is deleted, and was no session any more.
    assert sorted(sent[:2]) == ["s0", "s2"]
    assert sent[2:] == ["live"]


def test_the_error_holds_the_rows(store):
    store.add_items("s", numbered(1))
    row = PROTECTS.objects.create(to=Session.objects.get())
    with pytest.raises(ProtectedRow) as caught:
        store.delete_session("s")
    named = f"references.SessionPROTECT {row.pk}"
    assert str(caught.value) == f"the session 's' is protected by {named}"
    assert caught.value.protected_by == named
    assert set(caught.value.__cause__.protected_objects) == {row}


def test_the_command_names_what_stays(store):
    rows = expired(store, 3)
    row = PROTECTS.objects.create(to=rows[1])
    said, _ = called("store_expire")
    assert said.startswith("default: removed 2 sessions and 0 documents")
    by = f"session 's1' is protected by references.SessionPROTECT {row.pk}"
    assert f"default: not deleted: the {by}" in said
    (report,) = json.loads(called("store_expire", "--json")[0])["stores"]
    assert (report["sessions"], report["finished"], report["protected"]) == (0, True, [by])


def test_documents_of_a_parlant_session_stay_together(store):
    documents = parlant_session(store)
    PROTECTS_DOCUMENT.objects.create(to=documents["e1"])
    batches = [*store.expire_batches(rule=Retention(idle=timedelta(days=1)))]
    assert sum(batch.documents for batch in batches) == 2
    (protected,) = [one for batch in batches for one in batch.protected]
    assert (protected.place, protected.id) == ("x_sessions", "a")
    assert ids() == ["a", "e1", "e2"]


@pytest.mark.parametrize("state", ["live", "expired"])
def test_erasing_goes_on_and_says_what_is_left(store, state):
    documents = parlant_session(store)
    store.add_items("s", numbered(1), user_id="ada")
    store.add_items("t", numbered(1), user_id="ada")
    protecting = PROTECTS.objects.create(to=Session.objects.get(session_id="t"))
    PROTECTS_DOCUMENT.objects.create(to=documents["e1"])
    if state == "expired":
        Session.objects.update(expires_at=LONG_AGO)
        Document.objects.filter(document_id="e1").update(expires_at=LONG_AGO)
    stdout, stderr = StringIO(), StringIO()
    with pytest.raises(CommandError, match="failed or have more"):
        call_command(
            "store_erase", "--user=ada", "--noinput", verbosity=2, stdout=stdout, stderr=stderr
        )
    (report,) = json.loads(stdout.getvalue())["stores"]
    # The session's own document says whose the event is: it stays as long.
    assert ids() == ["a", "b", "e1", "e3"]
    assert [row.session_id for row in Session.objects.all()] == ["t"]
    assert report["left"] == 3
    by = f"session 't' is protected by references.SessionPROTECT {protecting.pk}"
    assert by in report["protected"]
    assert f"default: not deleted: the {by}" in stderr.getvalue()
    PROTECTS.objects.all().delete()
    PROTECTS_DOCUMENT.objects.all().delete()
    (report,) = json.loads(called("store_erase", "--user=ada", "--noinput")[0])["stores"]
    assert (report["left"], ids()) == (0, ["b", "e3"])


def test_the_admin_deletes_what_is_not_protected(client, store):
    for id_ in ("a", "b", "c"):
        store.add_items(id_, numbered(1))
    rows = {row.session_id: row for row in Session.objects.all()}
    CASCADES.objects.create(to=rows["a"])
    protecting = PROTECTS.objects.create(to=rows["b"])
    said = messages_after(client, do(client, "remove", *rows.values()))
    assert said == [
        "2 conversations were deleted.",
        f"b stays: it is protected by references.SessionPROTECT {protecting.pk}.",
    ]
    assert [row.session_id for row in Session.objects.all()] == ["b"]


def test_the_admin_keeps_a_parlant_session_whole(client, store):
    documents = parlant_session(store)
    PROTECTS_DOCUMENT.objects.create(to=documents["e1"])
    do(client, "remove", documents["a"], documents["b"])
    assert ids() == ["a", "e1", "e2"]


def test_the_admin_branches_over_nothing_that_is_protected(client, store):
    (row,) = expired(store, 1)
    PROTECTS.objects.create(to=row)
    store.add_items("source", numbered(1))
    source = Session.objects.get(session_id="source")
    response = do(client, "branch", source, new_id="s0")
    (said,) = messages_after(client, response)
    assert said.startswith("the session 's0', which has expired, is protected by references.")
    assert Session.objects.count() == 2


def test_a_page_of_the_store_goes_on_after_a_protected_row(client, store):
    for id_ in ("a", "b"):
        store.add_items(id_, numbered(1))
    PROTECTS.objects.create(to=Session.objects.get(session_id="a"))
    names = [json.dumps(["", id_], separators=(",", ":")) for id_ in ("a", "b")]
    url = reverse("admin:parlant_store_session_stores_sessions_change") + "?store=default"
    client.post(url, {"action": "delete", "session": names, "confirmed": "yes"})
    assert [row.session_id for row in Session.objects.all()] == ["a"]


def test_a_sweep_while_others_refer_to_what_expires(store):
    """Nothing is left that refers to nothing, and no sweep fails."""
    for number in range(300):
        store.add_items(f"s{number}", numbered(1))
    Session.objects.update(expires_at=LONG_AGO)
    keys = [*Session.objects.values_list("key", flat=True)]
    begun, failures = threading.Barrier(2), []

    def refer() -> None:
        begun.wait()
        try:
            for number, key in enumerate(keys):
                try:
                    with transaction.atomic():
                        (PROTECTS if number % 3 == 0 else CASCADES).objects.create(to_id=key)
                except IntegrityError:
                    continue  # It is no more.
        except Exception as exc:
            failures.append(exc)
        finally:
            connections.close_all()

    thread = threading.Thread(target=refer)
    thread.start()
    begun.wait()
    while thread.is_alive():
        store.expire(batch_size=20)
    thread.join()
    assert failures == []
    store.expire()
    protected = set(PROTECTS.objects.values_list("to_id", flat=True))
    assert set(Session.objects.values_list("key", flat=True)) == protected
    connection.check_constraints()


def passes_over_what_another_transaction_refers_to(store: Any) -> None:
    rows = expired(store, 3)
    holds, may_end = threading.Event(), threading.Event()

    def refer() -> None:
        with transaction.atomic():
            CASCADES.objects.create(to=rows[1])
            connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE")
            holds.set()
            may_end.wait(120)
        connections.close_all()

    thread = threading.Thread(target=refer)
    thread.start()
    holds.wait(120)
    assert store.expire().sessions == 2
    may_end.set()
    thread.join()
    assert store.expire().sessions == 1
    assert CASCADES.objects.count() == 0


def test_a_write_with_a_request_id_is_done_once(store):
    """The first answer comes again, and nothing is deleted for the sake of the second write."""
    id_ = uuid4()
    for _ in range(2):
        store.replace_items("s", numbered(1, 2), request_id=id_)
    assert store.get_items("s") == numbered(1, 2)
    id_ = uuid4()
    assert [store.pop_item("s", request_id=id_) for _ in range(2)] == [{"n": 2}] * 2
    id_ = uuid4()
    saved = [store.save_snapshot("s", numbered(3), state={}, request_id=id_) for _ in range(2)]
    assert saved[0] == saved[1] == store.load_snapshot("s").revision
    store.insert_one("c", {"id": "d"})
    id_ = uuid4()
    deleted = [store.delete_one("c", {"id": {"$eq": "d"}}, request_id=id_) for _ in range(2)]
    assert deleted == [{"id": "d"}] * 2
    id_ = uuid4()
    assert [store.delete_session("s", request_id=id_) for _ in range(2)] == [True, True]


if connection.vendor == "postgresql":  # SQLite has one lock for all.

    def test_a_sweep_passes_over_what_another_transaction_refers_to(store):
        passes_over_what_another_transaction_refers_to(store)
