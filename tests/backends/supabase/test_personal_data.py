"""manage.py store_expire, store_export and store_erase over the real PostgREST."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from parlant_store import stores
from parlant_store.types import Retention
from tests.contract.personal_data import PersonalDataContract, erase
from tests.contract.values import IDS, numbered


@pytest.fixture
def store(transactional_db, project, settings):
    options = {"url": project.url, "key": project.service_key}
    settings.PARLANT_STORES = {
        "default": {
            "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
            "OPTIONS": {**options, "retention": [{"idle": 0.001}]},
        }
    }
    return stores["default"]


class TestPersonalDataOverHttp(PersonalDataContract):
    @pytest.fixture
    def store(self, store):
        return store

    # Those that PostgREST, JSON or a column could change; for the functions all are the same text.
    @pytest.mark.parametrize(
        "user", [*IDS[3:5], "\ud800", "\ud7ff", "x" * 4096, "*", "%", "a,b", '{"$ne": 1}']
    )
    def test_ids_of_any_script(self, store, user):
        super().test_ids_of_any_script(store, user)


def test_the_receipt_says_that_answers_are_kept(store):
    store.add_items("s", numbered(1), user_id="ada")
    assert "stored for an hour" in erase("ada")["note"]


def test_the_rules_of_the_setting(store):
    for number in range(30):
        store.add_items(f"s{number}", numbered(1))
        store.insert_one("c", {"id": f"d{number}"})
    stdout = StringIO()
    call_command("store_expire", batch_size=7, json=True, stdout=stdout)
    found = json.loads(stdout.getvalue())
    assert (found["sessions"], found["documents"], found["finished"]) == (30, 30, True)


def test_each_batch_is_one_request(store, project):
    for number in range(30):
        store.add_items(f"s{number}", numbered(1))
    project.gateway.clear()
    rule = Retention(idle=timedelta(microseconds=1), namespace="")
    batches = [batch.sessions for batch in store.expire_batches(rule=rule, batch_size=10)]
    assert batches == [10, 10, 10, 0]
    # The last one lists the threads, of which there are none.
    assert len(project.gateway.requests) == 4 + 1
    assert list(store.list_expired(rule=rule)) == []
    assert len(project.gateway.requests) == 5 + 2
