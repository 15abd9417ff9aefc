"""Copies of sessions from the database to files, and back."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from parlant_store import stores
from tests.contract.values import IDS, NASTY

pytestmark = pytest.mark.any_database


def test_a_round_trip_changes_nothing(transactional_db, settings, directory):
    backend = "parlant_store.backends.jsonfile.JsonFileBackend"
    settings.PARLANT_STORES = {
        "default": {},
        "files": {"BACKEND": backend, "OPTIONS": {"directory": directory}},
    }
    store = stores["default"]
    for name in IDS:
        state = {"z": NASTY, "a": -0.0}
        store.save_snapshot(name, NASTY, state=state, namespace=name, user_id=name)
        store.set_metadata(name, {"m": NASTY[0]}, namespace=name)
        store.set_expiry(name, timezone.now() + timedelta(days=1), namespace=name)
    before = store.list_sessions(limit=1_000).sessions
    snapshots = [read(store, session) for session in before]
    call_command("store_copy", "default", "files", stdout=StringIO(), stderr=StringIO())
    copied = stores["files"].list_sessions(limit=1_000).sessions
    assert copied == before
    assert [read(stores["files"], session) for session in copied] == snapshots
    for session in before:
        store.delete_session(session.session_id, namespace=session.namespace)
    call_command("store_copy", "files", "default", stdout=StringIO(), stderr=StringIO())
    assert store.list_sessions(limit=1_000).sessions == before
    assert [read(store, session) for session in before] == snapshots
    stores.close_all()


def read(store, session):
    snapshot = store.load_snapshot(session.session_id, namespace=session.namespace)
    return snapshot.items, snapshot.state, str(snapshot.state["a"])
