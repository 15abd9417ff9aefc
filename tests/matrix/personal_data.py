"""Scenario of a person's data: exported, erased, and a receipt for both."""

import json
from datetime import datetime
from io import StringIO
from typing import Any

from django.core.management import call_command

from tests.matrix.projects import Project
from tests.matrix.scenarios import equal, scenario
from tests.matrix.stores import QUESTION, names


def run(*command: str) -> str:
    out = StringIO()
    call_command(*command, stdout=out, stderr=StringIO())
    return out.getvalue()


def check_time(receipt: dict[str, Any]) -> None:
    assert datetime.fromisoformat(receipt["time"]).tzinfo is not None, receipt["time"]


@scenario()
def people(project: Project) -> None:
    """What is exported is what there is; after erasing nothing is left, and others' data is."""
    from parlant_store import store

    for user in ("eve", "bob"):
        for number in range(3):
            store.add_items(f"people-{user}-{number}", [QUESTION], user_id=user)
        store.insert_one(f"people_{user}", {"id": user, "customer_id": user})
    lines = [
        json.loads(line)
        for line in run("store_export", "--store", "default", "--user", "eve").splitlines()
    ]
    kinds = [line["kind"] for line in lines]
    equal(kinds, ["session"] * 3 + ["document", "receipt"])
    counts = [(s["sessions"], s["documents"], s["complete"]) for s in lines[-1]["stores"]]
    equal(counts[0], (3, 1, True))
    check_time(lines[-1])
    receipt = json.loads(run("store_erase", "--store", "default", "--user", "eve", "--noinput"))
    counts = [(s["sessions"], s["items"], s["documents"], s["left"]) for s in receipt["stores"]]
    equal(counts[0], (3, 3, 1, 0))
    check_time(receipt)
    left = sorted(name for name in names(project) if name.startswith("people"))
    equal(left, ["people-bob-0", "people-bob-1", "people-bob-2", "people_bob"])
