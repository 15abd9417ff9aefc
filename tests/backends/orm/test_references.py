"""Projects whose own tables refer to ours: tests/references, in a project of its own."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection, models

from parlant_store.backends.orm.references.registry import has_references
from parlant_store.exceptions import ProtectedRow
from parlant_store.models import Document, Session
from tests.contract.values import numbered

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.orm
def test_in_a_project_of_its_own():
    options = ["-q", "--ds", "tests.references.settings"]
    process = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/references"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    said = process.stdout + process.stderr
    assert process.returncode == 0, said
    assert re.search(r"[1-9]\d* passed", said)


@pytest.fixture(params=["DEFERRABLE INITIALLY DEFERRED", ""], ids=["deferred", "immediate"])
def unmodelled(store: object, request: pytest.FixtureRequest) -> Iterator[None]:
    """A table that refers to sessions and that no model describes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE unmodelled (session_key bigint"
            " CONSTRAINT unmodelled_fk REFERENCES parlant_store_session (key)"
            f" {request.param})"
        )
        yield
        cursor.execute("DROP TABLE unmodelled")


def refer(session_id: str) -> None:
    with connection.cursor() as cursor:
        key = Session.objects.get(session_id=session_id).pk
        cursor.execute("INSERT INTO unmodelled VALUES (%s)", [key])


def test_a_table_without_a_model_stops_no_sweep(store, unmodelled):
    for number in range(9):
        store.add_items(f"s{number}", numbered(1))
    Session.objects.update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    refer("s3")
    refer("s4")
    result = store.expire()
    assert result.sessions == 7
    assert {one.id for one in result.protected} == {"s3", "s4"}
    with pytest.raises(ProtectedRow, match="(?i)foreign key constraint"):
        store.delete_session("s3")
    assert Session.objects.count() == 2


@pytest.mark.orm
def test_a_model_that_is_added_is_noticed():
    assert not has_references(Document)
    to = models.ForeignKey(Document, models.CASCADE, related_name="+")
    type("Added", (models.Model,), {"__module__": "tests.models", "to": to})
    try:
        assert [has_references(model) for model in (Session, Document)] == [False, True]
    finally:
        del apps.all_models["tests"]["added"]
        apps.clear_cache()
    assert not has_references(Document)


@pytest.mark.orm
def test_nothing_refers_to_ours_here():
    models = apps.get_app_config("parlant_store").get_models()
    assert not any(map(has_references, models))
