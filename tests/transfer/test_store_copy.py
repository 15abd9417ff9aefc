"""manage.py store_copy, from any store to any other."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from parlant_store import stores
from parlant_store.models import SessionItem
from parlant_store.types import OWNERS
from tests.contract.values import numbered
from tests.transfer.contents import DOCUMENTS, SESSIONS, everything, fill

pytestmark = [pytest.mark.orm, pytest.mark.any_database]


def copy(*arguments: str, source: str = "source", target: str = "target") -> str:
    stdout, stderr = StringIO(), StringIO()
    call_command("store_copy", source, target, *arguments, stdout=stdout, stderr=stderr)
    return stdout.getvalue() + stderr.getvalue()


def as_json(*arguments: str, **aliases: str) -> Any:
    return json.loads(copy("--json", *arguments, **aliases))


def test_everything_is_copied(source, target):
    fill(source)
    said = copy()
    assert everything(target) == everything(source)
    assert "wrote 13 sessions and documents, with 26 items; 0 were the same already" in said
    assert "the same on both sides: 8 sessions, 26 items" in said
    assert "the same on both sides: 4 documents of c" in said
    assert [hit.session_id for hit in target.search("word3")] == ["s3"]
    assert target.get_items("nasty", namespace="space") == SESSIONS[0].items


def test_a_second_run_writes_nothing(source, target):
    fill(source)
    first = as_json()
    again = as_json()
    assert (again["written"], again["same"], again["items"]) == (0, 13, 0)
    assert again["totals"] == first["totals"]


def test_dry_run_writes_nothing(source, target):
    fill(source)
    target.write_sessions(SESSIONS[:2])
    target.add_items("s0", numbered(1))
    found = as_json("--dry-run")
    assert (found["written"], found["same"], found["skipped"]) == (10, 2, 1)
    assert found["totals"] == {}
    assert len(everything(target)) == 3
    assert "would write 10 sessions" in copy("--dry-run")


@pytest.mark.parametrize(
    ("arguments", "sessions", "collections"),
    [
        (["--namespace", "space"], ["nasty"], []),
        (["--collection", "d"], [], ["d"]),
        (["--namespace", "space", "--collection", "d"], ["nasty"], ["d"]),
        (["--user", "ada"], ["nasty"], ["c", "d"]),
        (["--user", "ada", "--sessions-only"], ["nasty"], []),
        (["--since", "2024-05-09T12:00:00+00:00", "--sessions-only"], ["s4"], []),
        (["--since", "1d"], [], []),
        (["--since", "3000w"], [record.session_id for record in SESSIONS], ["c", "d"]),
    ],
)
def test_filters(source, target, arguments, sessions, collections):
    fill(source)
    copy(*arguments)
    found = [info.session_id for info in target.list_sessions().sessions]
    assert sorted(found) == sorted(sessions)
    assert target.list_collections() == collections


def test_documents_of_a_user(source, target):
    fill(source)
    source.insert_one("p_sessions_sessions", {"id": "talk", "customer_id": "ada"})
    source.insert_one("p_sessions_events", {"id": "e", "session_id": "talk"})
    source.insert_one("p_sessions_events", {"id": "f", "session_id": "another"})
    copy("--user", "ada")
    assert target.find("p_sessions_events").documents == ({"id": "e", "session_id": "talk"},)
    assert target.find("c").documents == (DOCUMENTS[0].document,)


def test_the_owners_of_collections_are_copied(source, target):
    """Parlant's databases tell by them whose a collection is."""
    source.insert_one(OWNERS, {"id": "c", "prefix": ""})
    copy()
    assert target.find(OWNERS).documents == ({"id": "c", "prefix": ""},)


def test_a_conflict_stops_the_copy_by_default(source, target):
    fill(source)
    target.add_items("s3", numbered(1))
    with pytest.raises(CommandError, match="'target' has the session 's3' with.*--on-conflict"):
        copy()
    assert target.get_items("s3") == numbered(1)


def test_conflicts_are_skipped(source, target):
    fill(source)
    target.add_items("s3", numbered(1))
    target.insert_one("c", {"id": "a", "mine": 1})
    found = as_json("--on-conflict", "skip")
    assert (found["written"], found["skipped"], found["difference_count"]) == (11, 2, 0)
    assert target.get_items("s3") == numbered(1)
    assert target.find_one("c", {"id": {"$eq": "a"}}) == {"id": "a", "mine": 1}


def test_conflicts_are_replaced(source, target):
    fill(source)
    target.add_items("s3", numbered(1), user_id="another")
    target.set_metadata("s3", {"mine": 1})
    target.insert_one("c", {"id": "a", "mine": 1})
    found = as_json("--on-conflict", "replace")
    assert (found["written"], found["replaced"]) == (11, 2)
    assert everything(target) == everything(source)


def test_damaged_items_are_named_and_left(source, target):
    fill(source)
    SessionItem.objects.using("source").filter(session__session_id="s1", position=1).update(
        data="{"
    )
    said = copy()
    assert "not copied: session 's1': 1 of its items are damaged" in said
    assert target.get_items("s1") == source.get_items("s1")
    assert target.get_session("s1").item_count == 2


def test_what_expires_is_not_copied_after_its_time(source, target):
    fill(source)
    source.set_expiry("s1", datetime.now(UTC) - timedelta(seconds=1))
    copy()
    assert not target.exists("s1")
    assert everything(target) == everything(source)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "--since must be a time such as 20..-..-.. or a duration"),
        (["--collection", "c", "--sessions-only"], "--collection selects documents"),
    ],
)
def test_a_bad_option_says_what_to_do(source, target, arguments, message):
    with pytest.raises(CommandError, match=message):
        copy(*arguments)


def test_a_bad_store_says_which_there_are(source):
    with pytest.raises(CommandError, match="no store 'nowhere'.*'default', 'source'"):
        copy(target="nowhere")
    with pytest.raises(CommandError, match="both the store 'source'"):
        copy(target="source")


def test_a_store_without_documents(source, target, monkeypatch):
    fill(source)
    monkeypatch.setattr(stores["target"], "supports_documents", False)
    with pytest.raises(CommandError, match="2 collections.*'target' stores sessions only: use --s"):
        copy()
    copy("--sessions-only")
    assert len(target.list_sessions().sessions) == len(SESSIONS)
    source.drop_collection("c")
    source.drop_collection("d")
    copy()
