"""manage.py store_export and manage.py store_erase."""

import json
import os
import pty
import signal
import stat
import uuid
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from parlant_store.models import Request, Session
from tests.contract.personal_data import (
    PersonalDataContract,
    command,
    erase,
    everything,
    exported,
    fill,
)
from tests.contract.values import numbered
from tests.management.commands.test_store_expire import configured, unreachable, wait_for
from tests.management.processes import run, start

pytestmark = pytest.mark.orm


class TestPersonalData(PersonalDataContract):
    @pytest.fixture
    def store(self, store):
        return store


def test_requests_of_the_user_go(store):
    for user in ("ada", "ada", "zoe", None):
        Request.objects.create(id=uuid.uuid4(), user_id=user, answer="{}")
    assert erase("ada")["requests"] == 2
    assert {request.user_id for request in Request.objects.all()} == {"zoe", None}


def test_an_export_is_for_its_owner_alone(store, tmp_path):
    fill(store, "ada", "ada")
    file = tmp_path / "ada.jsonl"
    file.write_text("before")
    file.chmod(0o644)
    assert command("store_export", "--user", "ada", "--output", str(file)) == f"{file}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    given = [json.loads(line) for line in file.read_text("ascii").splitlines()]
    printed = exported("ada")
    assert given[:-1] == printed[:-1]
    assert given[-1]["sha256"] == printed[-1]["sha256"]
    assert list(tmp_path.iterdir()) == [file]


def test_a_receipt_is_for_its_owner_alone(store, tmp_path):
    fill(store, "ada", "ada")
    file = tmp_path / "receipt.json"
    done = run("store_erase", "--user", "ada", "--noinput", "--receipt", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}\n", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    receipt = json.loads(file.read_text())
    assert (receipt["kind"], receipt["action"], receipt["user"]) == ("receipt", "erase", "ada")
    assert receipt["stores"][0]["left"] == 0
    assert receipt["time"] > "2026"


@pytest.mark.parametrize("target", ["no/such/folder/file", "."])
def test_nothing_is_erased_without_a_place_for_the_receipt(store, tmp_path, target):
    fill(store, "ada", "ada")
    before = everything(store)
    file = str(Path(tmp_path, target))
    with pytest.raises(CommandError, match="cannot be written"):
        command("store_erase", "--user", "ada", "--noinput", "--receipt", file)
    with pytest.raises(CommandError, match="cannot be written"):
        command("store_export", "--user", "ada", "--output", file)
    assert everything(store) == before
    assert list(tmp_path.iterdir()) == []


def test_every_store_or_those_that_are_named(store):
    fill(store, "ada", "ada")
    with configured(default={}, a={}, b={}):
        assert [one["store"] for one in exported("ada")[-1]["stores"]] == ["default", "a", "b"]
        receipt = json.loads(
            command("store_erase", "--user", "ada", "--noinput", "--store", "b", "a")
        )
        assert [(one["store"], one["sessions"]) for one in receipt["stores"]] == [
            ("b", 3),
            ("a", 0),
        ]


def test_a_store_that_is_not_there_keeps_none_from_the_others(store):
    fill(store, "ada", "ada")
    good = {"BACKEND": "parlant_store.backends.orm.OrmBackend", "OPTIONS": {"using": "default"}}
    with override_settings(PARLANT_STORES={"gone": unreachable(), "default": good}):
        for name, options in (("store_export", {}), ("store_erase", {"interactive": False})):
            stdout, stderr = StringIO(), StringIO()
            with pytest.raises(CommandError, match="1 of 2 stores failed"):
                call_command(name, user="ada", stdout=stdout, stderr=stderr, **options)
            assert "gone: no good answer" in stderr.getvalue()
            *_, receipt = (
                stdout.getvalue().splitlines() if name == "store_export" else [stdout.getvalue()]
            )
            gone, default = json.loads(receipt)["stores"]
            assert (gone["store"], default["sessions"]) == ("gone", 3)
            assert gone.get("complete") is False or "no good answer" in gone["error"]
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("yes", 0, 0), ("y", 1, 3), ("", 1, 3), ("\x04", 1, 3)]
)
def test_a_person_is_asked(store, answer, code, left):
    fill(store, "ada", "ada")
    ours, theirs = pty.openpty()
    with start("store_erase", "--user", "ada", stdin=theirs) as process:
        os.write(ours, f"{answer}\n".encode())
        said, told = process.communicate(timeout=600)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == code
    assert "default: 3 sessions, 30 items, 18 documents" in told
    assert "All data of 'ada'" in said
    assert "Traceback" not in told
    assert Session.objects.count() == left


def test_where_nobody_can_be_asked_nothing_is_erased(store):
    fill(store, "ada", "ada")
    done = run("store_erase", "--user", "ada")
    assert done.returncode == 1
    assert "--noinput" in done.stderr
    assert Session.objects.count() == 3


def test_stopping_it_says_what_went(store):
    for number in range(2_000):
        store.add_items(f"s{number}", numbered(1), user_id="ada")
    process = start("store_erase", "--user", "ada", "--noinput")
    wait_for(lambda: Session.objects.count() < 2_000)
    process.send_signal(signal.SIGINT)
    said, told = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "Traceback" not in told
    (report,) = json.loads(said)["stores"]
    assert report["sessions"] + report["left"] == 2_000
    assert report["left"] == Session.objects.count() > 0
    assert erase("ada")["left"] == 0


def test_a_search_reads_the_person_and_not_the_others(store):
    from parlant_store.personal_data import PersonalData
    from tests.backends.rows_read import analyze, work_of

    def search() -> None:
        person = PersonalData(store, "ada")
        list(person.sessions())
        list(person.documents())

    fill(store, "ada", "ada")
    for number in range(5):
        fill(store, f"other{number}", f"other{number}-")
    search()
    before = work_of(search)
    for number in range(200):
        store.insert_one("p_sessions", {"id": f"o{number}", "customer_id": f"c{number}"})
        for event in range(10):
            name = {"id": f"o{number}-{event}", "session_id": f"o{number}"}
            store.insert_one("p_events", name)
    analyze()
    search()
    assert work_of(search) <= before + 50
