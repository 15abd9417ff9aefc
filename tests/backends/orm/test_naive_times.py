"""A project with USE_TZ = False: what a store gives it takes, and receipts say a zone."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from parlant_store import stores
from parlant_store.adapters.langgraph import Store
from parlant_store.backends.orm import OrmBackend
from parlant_store.content.times import as_utc
from parlant_store.exceptions import InvalidInput
from parlant_store.transfer.digests import session_digest
from parlant_store.types import (
    MEMORIES,
    DocumentRecord,
    MemoryChange,
    Retention,
    SessionRecord,
)
from tests.admin.actions.action_forms import do, session
from tests.admin.pages import client as client
from tests.admin.pages import message
from tests.contract.values import numbered

HOUR = timedelta(hours=1)
only_orm = pytest.mark.orm


@pytest.fixture(autouse=True)
def naive(settings):
    settings.USE_TZ = False
    settings.TIME_ZONE = "Asia/Kolkata"
    # One that is open already reads times as the settings said when it was opened.
    connections.close_all()
    yield
    stores.close_all()


TIMES = {
    "naive": lambda ahead: timezone.now() + ahead,
    "aware": lambda ahead: datetime.now(UTC) + ahead,
    "elsewhere": lambda ahead: (datetime.now(UTC) + ahead).astimezone(
        timezone.get_fixed_timezone(-300)
    ),
}


def close(first, second):
    return abs(first - second) < timedelta(minutes=1)


def test_times_have_no_zone_as_all_of_the_projects(store):
    store.add_items("s", numbered(1), ttl_seconds=60)
    found = store.get_session("s")
    assert all(time.tzinfo is None for time in (found.created_at, found.expires_at))
    assert close(found.created_at, timezone.now())
    assert close(found.expires_at, timezone.now() + timedelta(minutes=1))


def test_messages_of_users_have_times_in_utc(store):
    store.add_items("s", [{"role": "user", "content": "hello"}])
    ((_, created_at, _),) = store.list_user_messages("s")
    assert close(datetime.fromisoformat(created_at), datetime.now(UTC).replace(tzinfo=None))


def test_what_a_store_gives_it_takes(store):
    store.add_items("s", numbered(1))
    found = store.get_session("s")
    assert len(store.list_sessions(updated_since=found.updated_at).sessions) == 1
    later = found.updated_at + timedelta(microseconds=1)
    assert store.list_sessions(updated_since=later).sessions == ()
    assert store.set_expiry("s", found.updated_at + HOUR)
    assert store.get_session("s").expires_at == found.updated_at + HOUR
    assert store.set_expiry("s", store.get_session("s").expires_at)


@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES)
def test_times_are_taken_with_a_zone_and_without(store, time):
    store.add_items("s", numbered(1))
    assert [*store.list_summaries(updated_since=time(-HOUR))]
    assert not [*store.list_summaries(updated_since=time(HOUR))]
    assert store.set_expiry("s", time(HOUR))
    assert close(store.get_session("s").expires_at, timezone.now() + HOUR)
    store.insert_one("c", {"id": "d"})
    assert store.set_document_expiry("c", "d", time(HOUR)) == 1
    assert close(store.get_document("c", "d").expires_at, timezone.now() + HOUR)
    assert store.set_expiry("s", time(-HOUR))
    assert not store.exists("s")
    assert store.expire().sessions == 1


def test_times_of_memories(store):
    change = MemoryChange(namespace=("n",), key="k", value={}, ttl_seconds=60)
    store.write_memories([change])
    (first,) = store.get_memories([(("n",), "k")])
    assert close(store.get_document(MEMORIES, "n..k").expires_at, timezone.now() + HOUR / 60)
    store.write_memories([change])
    (found,) = store.search_memories()
    assert found.created_at == first.created_at
    assert all(time.tzinfo is None for time in (found.created_at, found.updated_at))
    assert close(found.created_at, timezone.now())
    (item,) = Store().search(())
    assert close(item.created_at, datetime.now(UTC))
    assert close(item.updated_at, datetime.now(UTC))


def test_no_other_value_is_a_time(store):
    with pytest.raises(InvalidInput, match="expires_at must be a datetime"):
        store.set_expiry("s", "2030-01-01")
    with pytest.raises(InvalidInput, match="beyond all times"):
        store.set_expiry("s", datetime.max.replace(tzinfo=timezone.get_fixed_timezone(-60)))


def test_summaries_say_seconds_since_1970(store):
    store.add_items("s", numbered(1))
    (summary,) = store.list_summaries()
    assert abs(summary.created_at - datetime.now(UTC).timestamp()) < 60


def test_rules_count_from_the_time_that_it_is(store):
    store.add_items("s", numbered(1))
    store.insert_one("c", {"id": "d", "creation_utc": datetime.now(UTC).isoformat()})
    for rule, number in ((Retention(older_than=HOUR), 0), (Retention(idle=HOUR), 0)):
        assert len([*store.list_expired(rule=rule)]) == number
    rule = Retention(older_than=timedelta(microseconds=1))
    assert len([*store.list_expired(rule=rule)]) == 2
    removed = [*store.expire_batches(rule=rule)]
    assert (sum(b.sessions for b in removed), sum(b.documents for b in removed)) == (1, 1)


def receipts(command, *words):
    out = StringIO()
    call_command(command, "--user", "ada", *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_receipts_say_a_zone(store):
    store.add_items("s", numbered(1), user_id="ada", ttl_seconds=3600)
    line, receipt = map(json.loads, receipts("store_export").splitlines())
    erased = json.loads(receipts("store_erase", "--noinput"))
    texts = [receipt["time"], erased["time"]]
    texts += [line[name] for name in ("created_at", "updated_at")]
    for time in map(datetime.fromisoformat, texts):
        assert close(time, datetime.now(UTC)), texts
    assert close(datetime.fromisoformat(line["expires_at"]), datetime.now(UTC) + HOUR)


@only_orm
@pytest.mark.parametrize("clock", TIMES.values(), ids=TIMES)
def test_a_clock_may_say_a_zone_or_none(transactional_db, clock):
    store = OrmBackend("own", ttl_seconds=60, clock=lambda: clock(timedelta()))
    store.add_items("s", numbered(1))
    assert close(store.get_session("s").created_at, timezone.now())
    assert store.get_items("s") == numbered(1)
    assert store.expire().sessions == 0
    assert len([*store.list_expired(rule=Retention(older_than=timedelta(microseconds=1)))]) == 1


@only_orm
def test_the_admin_works_and_exports_a_zone(client, store):
    store.add_items("s", [message("hello")], ttl_seconds=3600)
    row = session("s")
    for url in ("session/", "session/?q=hello", "session/overview/", f"session/{row.pk}/change/"):
        assert client.get("/admin/parlant_store/" + url).status_code == 200
    line = json.loads(b"".join(do(client, "export", row).streaming_content))
    assert close(datetime.fromisoformat(line["created_at"]), datetime.now(UTC))
    do(client, "extend", row)
    assert close(session("s").expires_at, timezone.now() + HOUR + timedelta(days=7))
    do(client, "expire", session("s"))
    assert not store.exists("s")


@pytest.mark.parametrize("kind", TIMES)
def test_records_take_and_give_times_of_all_kinds(store, kind):
    time, later = TIMES[kind](-HOUR), TIMES[kind](HOUR)
    record = SessionRecord(
        session_id="s",
        items=numbered(1),
        item_times=[time],
        created_at=time,
        updated_at=time,
        expires_at=later,
    )
    document = DocumentRecord(document={"id": "a"}, updated_at=time, expires_at=later)
    assert store.write_sessions([record]) == store.write_documents("c", [document]) == [True]
    (found,) = store.read_sessions([("", "s")])
    (read,) = store.read_documents("c")
    for value in (found.created_at, found.updated_at, *found.item_times, read.updated_at):
        assert value.tzinfo is None
        assert as_utc(value) == as_utc(time)
    assert as_utc(found.expires_at) == as_utc(read.expires_at) == as_utc(later)
    assert store.write_sessions([found], replace=True) == [True]
    assert session_digest(found) == session_digest(store.read_sessions([("", "s")])[0])
