"""manage.py store_expire, called as a person, a cron job and two at once do."""

import json
import os
import pty
import re
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from parlant_store.models import Document, Session, SessionItem
from tests.contract.values import numbered
from tests.management.processes import run, start

pytestmark = pytest.mark.orm

ORM = "parlant_store.backends.orm.OrmBackend"
SUPABASE = "parlant_store.backends.supabase.SupabaseBackend"


def expire(*arguments: str, **options: Any) -> str:
    stdout = StringIO()
    call_command("store_expire", *arguments, stdout=stdout, **options)
    return stdout.getvalue()


def as_json(*arguments: str, **options: Any) -> Any:
    return json.loads(expire(*arguments, "--json", **options))


def configured(**stores: Any):
    return override_settings(
        PARLANT_STORES={
            alias: {"BACKEND": ORM, "OPTIONS": {"using": "default"} | options}
            for alias, options in stores.items()
        }
    )


def unreachable() -> dict[str, Any]:
    options = {"url": "http://127.0.0.1:9", "key": "sb_secret_hidden", "timeout": 0.2}
    return {"BACKEND": SUPABASE, "OPTIONS": options}


@pytest.fixture
def aged(store):
    """Makes sessions and documents that nobody wrote to for some days."""

    def make(days: float, *, sessions: int = 0, documents: int = 0, **fields: Any) -> None:
        then = datetime.now(UTC) - timedelta(days=days)
        named = {"namespace": fields.pop("namespace", "")}
        collection = fields.pop("collection", "c")
        Session.objects.bulk_create(
            Session(session_id=f"s{days}-{n}", created_at=then, updated_at=then, **named, **fields)
            for n in range(sessions)
        )
        Document.objects.bulk_create(
            Document(
                collection=collection,
                document_id=f"d{days}-{n}",
                creation_utc=then.isoformat(),
                updated_at=then,
                data={"id": f"d{days}-{n}", "creation_utc": then.isoformat()},
                **fields,
            )
            for n in range(documents)
        )

    return make


def test_what_has_expired_goes(store, aged):
    aged(100, sessions=3, documents=2, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    aged(101, sessions=1)
    said = expire()
    assert re.match(r"default: removed 3 sessions and 2 documents in \d+\.\d", said)
    assert "finished" not in said
    assert Session.objects.count() == 1
    assert expire().startswith("default: removed 0 sessions and 0 documents")


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["--older-than", "90d"], (2, 2)),
        (["--idle=12w"], (2, 2)),
        (["--older-than", "90d", "--namespace", ""], (2, 3)),
        (["--older-than", "90d", "--namespace", "n"], (3, 3)),
        (["--idle", "2h", "--collection", "c"], (3, 0)),
        (["--older-than", "1d", "--idle", "200d"], (3, 3)),
    ],
)
def test_a_rule_of_the_command_line(store, aged, arguments, left):
    aged(100, sessions=1, documents=1)
    aged(50, sessions=2, documents=2)
    aged(200, sessions=1, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    found = as_json(*arguments)
    assert (Session.objects.count(), Document.objects.count()) == left
    (report,) = found["stores"]
    assert report["store"] == "default"
    assert (report["sessions"], report["documents"]) == (4 - left[0], 3 - left[1])
    assert report["finished"]
    assert report["seconds"] >= 0
    assert {name: found[name] for name in ("sessions", "documents", "finished")} == {
        "sessions": 4 - left[0],
        "documents": 3 - left[1],
        "finished": True,
    }


def test_the_rules_of_the_setting(store, aged):
    aged(100, sessions=1, documents=1)
    aged(50, sessions=2, namespace="guide")
    aged(40, sessions=4)
    rules = [
        {"older_than": "90d"},
        {"idle": 45 * 86_400, "namespace": "guide"},
        {"idle": timedelta(days=1), "collection": "other"},
    ]
    with configured(default={"retention": rules}):
        assert len(expire("--dry-run", verbosity=2).splitlines()) == 4 + 3
        # A rule of the command line takes their place.
        assert as_json("--idle", "95d")["sessions"] == 1
        assert as_json()["sessions"] == 2
    assert Session.objects.count() == 4


def test_every_store_or_those_that_are_named(store, aged):
    aged(100, sessions=2)
    with configured(default={}, a={}, b={}):
        assert expire("--store", "a", "b").count("removed 0 sessions") == 2
        found = as_json("--store", "b", "--store", "a", "--idle", "1d")
        assert [report["store"] for report in found["stores"]] == ["b", "a"]
        assert [report["sessions"] for report in found["stores"]] == [2, 0]
        with pytest.raises(CommandError, match="no store 'x'; PARLANT_STORES has 'default', 'a'"):
            expire("--store", "a", "x")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--older-than", "90"], '--older-than must be text as "90d"'),
        (["--older-than", "soon"], "--older-than must be text"),
        (["--idle", "0d"], "--idle must be above 0"),
        (["--idle", "9" * 30 + "w"], "at most a hundred years"),
        (["--idle", "-1d"], "--idle must be text"),
        (["--namespace", "n"], "go with --older-than or --idle"),
        (["--collection", "c", "--dry-run"], "go with --older-than or --idle"),
        (["--idle", "1d", "--namespace", "n", "--collection", "c"], "or two rules"),
        (["--batch-size", "0"], "--batch-size must be 1 or more"),
    ],
)
def test_a_wrong_argument_is_named(store, aged, arguments, said):
    aged(1e4, sessions=1)
    with pytest.raises(CommandError, match=said):
        # With an equals sign, so that argparse takes "-1d" for a value.
        expire(
            *["=".join(arguments[:2]), *arguments[2:]] if arguments[0] == "--idle" else arguments
        )
    assert Session.objects.count() == 1


def test_a_dry_run_says_exactly_what_would_go(store, aged):
    aged(100, sessions=2, documents=3)
    aged(90, sessions=1, namespace="n")
    aged(200, sessions=1, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    store.add_items("young", numbered(1))
    before = list(Session.objects.values()), list(Document.objects.values())
    assert expire("--idle", "80d", "--dry-run").splitlines() == [
        "default: would remove 3 documents of the collection 'c'",
        "default: would remove 3 sessions of the namespace ''",
        "default: would remove 1 sessions of the namespace 'n'",
    ]
    each = expire("--idle", "80d", "--dry-run", verbosity=2)
    assert "default: session 's90-0' of 'n', 0 items" in each
    assert "default: document 'd100-2' of 'c'" in each
    listed = [json.loads(line) for line in expire("--idle=80d", "--dry-run", "--json").splitlines()]
    assert {"store": "default", "kind": "document", "collection": "c", "id": "d100-0"} in listed
    assert {
        "store": "default",
        "kind": "session",
        "namespace": "n",
        "session_id": "s90-0",
        "item_count": 0,
    } in listed
    assert (list(Session.objects.values()), list(Document.objects.values())) == before
    found = as_json("--idle", "80d")
    assert (found["sessions"], found["documents"]) == (4, 3)
    assert len(listed) == 7
    assert "would remove 0" in expire("--idle", "80d", "--dry-run")


def test_the_latest_turns_of_sessions_are_kept(store):
    turn = [{"role": "user", "content": "q"}, *numbered(1)]
    store.add_items("long", turn * 5)
    store.add_items("short", turn)
    said = expire("--keep-last-turns", "2", "--dry-run", "--verbosity", "2")
    assert "session 'long' of '', its first 6 items" in said
    assert "would remove 6 first items of sessions of the namespace ''" in said
    assert "2 items of other sessions" in expire("--keep-last-turns", "4", "--namespace", "")
    assert as_json("--keep-last-items", "3")["items"] == 4
    assert len(store.get_items("long")) == 4
    assert "items" not in as_json("--keep-last-items", "3")
    assert len(store.get_items("short")) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--keep-last-items", "-1"),
        ("--keep-last-turns", "1", "--idle", "1d"),
        ("--keep-last-turns", "1", "--collection", "c"),
    ],
)
def test_a_wrong_limit_is_named(store, arguments):
    with pytest.raises(CommandError, match="keep_last"):
        expire(*arguments)


def test_what_several_rules_say_is_listed_once(store, aged):
    aged(100, sessions=5, documents=5)
    rules = [{"older_than": "90d"}, {"idle": "80d"}, {"idle": "1d", "collection": "c"}]
    with configured(default={"retention": rules}):
        assert len(expire("--dry-run", "--json").splitlines()) == 10


def test_it_stops_after_so_many_seconds(store, aged):
    aged(100, sessions=50)
    found = as_json("--idle", "1d", "--batch-size", "10", "--max-seconds", "0")
    assert (found["sessions"], found["finished"]) == (0, False)
    with configured(default={}, other={}):
        said = expire("--idle", "1d", "--max-seconds", "0")
    assert said.count("; not finished") == 2
    assert as_json("--idle", "1d", "--max-seconds", "60")["sessions"] == 50


def test_a_store_that_is_not_there_keeps_none_from_the_others(store, aged):
    aged(100, sessions=2)
    good = {"BACKEND": ORM, "OPTIONS": {"using": "default"}}
    bad = {"BACKEND": ORM, "OPTIONS": {"using": "nowhere"}}
    stores = {"gone": unreachable(), "wrong": bad, "default": good}
    stdout, stderr = StringIO(), StringIO()
    with override_settings(PARLANT_STORES=stores):
        with pytest.raises(CommandError, match="2 of 3 stores failed") as caught:
            call_command("store_expire", idle="1d", stdout=stdout, stderr=stderr)
        assert caught.value.returncode == 1
        assert "default: removed 2 sessions" in stdout.getvalue()
        assert "gone: no good answer over HTTP" in stderr.getvalue()
        assert "wrong: the store 'wrong' uses the database 'nowhere'" in stderr.getvalue()
        assert "hidden" not in stdout.getvalue() + stderr.getvalue()
        stdout = StringIO()
        with pytest.raises(CommandError):
            call_command("store_expire", json=True, stdout=stdout, stderr=StringIO())
        found = json.loads(stdout.getvalue())
        assert [("error" in report, report["finished"]) for report in found["stores"]] == [
            (True, False),
            (True, False),
            (False, True),
        ]
        with pytest.raises(CommandError, match="2 of 3"):
            call_command("store_expire", dry_run=True, stdout=StringIO(), stderr=StringIO())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_keeps_what_was_done(store, aged, number):
    aged(100, sessions=4_000)
    process = start("store_expire", "--idle", "1d", "--batch-size", "1", "--json")
    wait_for(lambda: Session.objects.count() < 4_000)
    process.send_signal(number)
    said, told = process.communicate(timeout=600)
    assert process.returncode == 128 + number
    assert "stopped" in told
    assert "Traceback" not in told
    found = json.loads(said)
    left = Session.objects.count()
    assert left > 0
    assert not found["finished"]
    assert found["sessions"] == 4_000 - left
    assert json.loads(run("store_expire", "--idle", "1d", "--json").stdout)["sessions"] == left


def test_killing_it_leaves_whole_batches(store, aged):
    aged(100, sessions=4_000)
    session = Session.objects.order_by("-key").first()
    SessionItem.objects.bulk_create(
        SessionItem(session=session, position=n, data="{}") for n in range(100)
    )
    process = start("store_expire", "--idle", "1d", "--batch-size", "7")
    wait_for(lambda: Session.objects.count() < 4_000)
    process.kill()
    process.communicate()
    assert run("store_expire", "--idle", "1d").returncode == 0
    assert not Session.objects.exists()
    assert not SessionItem.objects.exists()


def test_two_at_once_count_each_once(store, aged):
    aged(100, sessions=1_000, documents=1_000)
    command = ("store_expire", "--idle", "1d", "--batch-size", "10", "--json")
    processes = [start(*command), start(*command)]
    found = [json.loads(process.communicate(timeout=600)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    found.append(json.loads(run(*command).stdout))
    for kind in ("sessions", "documents"):
        assert sum(report[kind] for report in found) == 1_000
    assert not Session.objects.exists()
    assert not Document.objects.exists()


def wait_for(condition) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_progress_is_for_those_who_watch(store, aged):
    aged(100, sessions=200)
    ours, theirs = pty.openpty()
    done = run("store_expire", "--idle", "1d", "--batch-size", "10", stderr=theirs)
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # Linux's way to say that all was read
        while said := os.read(ours, 10_000):
            shown += said
    os.close(ours)
    assert shown.startswith(b"\rdefault: 0 sessions, 0 documents\x1b[K")
    assert shown.endswith(b"\r\x1b[K")
    assert "\r" not in done.stdout
    assert run("store_expire").stderr == ""


def test_names_that_cannot_be_printed(store, aged):
    aged(100, sessions=1, namespace="\ud7ff\u0100")
    aged(100, documents=1, collection="a\nb")
    done = run("store_expire", "--idle", "1d", "--dry-run", "--verbosity", "2")
    assert done.returncode == 0, done.stderr
    assert r"'\ud800'" in done.stdout
    assert r"'a\nb'" in done.stdout
