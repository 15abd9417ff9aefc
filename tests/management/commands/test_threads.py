"""The commands on threads of graphs."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from parlant_store.models import Thread
from tests.contract.checkpoints import changed, checkpoint, write
from tests.contract.personal_data import command, erase, exported
from tests.management.commands.test_store_expire import as_json, expire

pytestmark = pytest.mark.orm


@pytest.fixture
def threads(store):
    """Two threads with three checkpoints each; one of them is Ada's."""
    for thread_id, user_id in (("a", "ada"), ("b", None)):
        for number in range(3):
            made = checkpoint(number, {"c": number})
            store.put_checkpoint(thread_id, made, changed(c=number), user_id=user_id)
        store.put_writes(thread_id, "0002", [write("a", 0)])
    return store


def test_keep_checkpoints(threads):
    listed = expire("--keep-checkpoints", "1", "--dry-run", verbosity=2)
    assert "default: thread 'a' of '', 2 checkpoints\n" in listed
    assert "default: would remove 4 checkpoints of threads of the namespace ''\n" in listed
    assert len(threads.list_checkpoints()) == 6
    assert " and 4 checkpoints in " in expire("--keep-checkpoints", "1")
    assert len(threads.list_checkpoints()) == 2
    report = as_json("--keep-checkpoints", "1")
    assert "checkpoints" not in report


def test_a_rule_of_the_settings(threads, settings):
    settings.PARLANT_STORES = {"default": {"OPTIONS": {"retention": [{"keep_checkpoints": 2}]}}}
    report = as_json()
    assert (report["checkpoints"], report["stores"][0]["checkpoints"]) == (2, 2)


def test_expired_threads(threads):
    Thread.objects.filter(thread_id="a").update(expires_at=timezone.now() - timedelta(1))
    listed = [json.loads(line) for line in expire("--dry-run", "--json").splitlines()]
    assert listed == [{"store": "default", "kind": "thread", "namespace": "", "thread_id": "a"}]
    assert " and 1 threads in " in expire()
    assert [each.thread_id for each in Thread.objects.all()] == ["b"]
    assert expire("--idle", "1s", "--dry-run").endswith("would remove 0 sessions and documents\n")


def test_the_data_of_a_user(threads):
    head, *checkpoints, receipt = exported("ada")
    assert (head["kind"], head["thread_id"], len(checkpoints)) == ("thread", "a", 3)
    assert receipt["stores"][0]["threads"] == 1
    planned = json.loads(command("store_erase", "--user", "ada", "--dry-run", verbosity=2))
    assert planned["stores"][0]["found"] == [{"namespace": "", "thread_id": "a"}]
    erased = erase("ada")
    assert (erased["threads"], erased["left"]) == (1, 0)
    assert [each.thread_id for each in Thread.objects.all()] == ["b"]
    assert "threads" not in erase("ada")
