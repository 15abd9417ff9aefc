"""store_import of the tables of Parlant's own adapter and of selectools, over the REST API."""

import asyncio

import pytest
from django.core.management import CommandError

from parlant_store.adapters.parlant import server_stores
from tests.servers.supabase import Stack
from tests.sql.supabase.adoption.adopted import client as client
from tests.sql.supabase.adoption.adopted import stack as stack
from tests.sql.supabase.adoption.old_tables import SELECTOOLS
from tests.sql.supabase.adoption.test_parlant import answers, live, old_stores, opened
from tests.transfer.conftest import migrated_file as migrated_file
from tests.transfer.conftest import other as other
from tests.transfer.imports import as_json, run


@pytest.fixture
def target(other):
    return other("target")


@pytest.fixture
def url(stack: Stack, monkeypatch) -> str:
    monkeypatch.setenv("SUPABASE_KEY", stack.service_key)
    return stack.url


def test_parlant_finds_what_its_own_adapter_stored(client, target, url):
    stores = old_stores(client())
    expected = asyncio.run(opened(stores, live, answers))
    found = as_json("parlant-seed", url)
    assert found["notes"] == []
    assert as_json("parlant-seed", url)["written"] == 0
    made = server_stores(store="target")
    names = ("session_store", "customer_store", "variable_store")
    assert asyncio.run(opened(tuple(made[name] for name in names), answers)) == expected


def test_more_rows_than_a_page(client, target, url, monkeypatch):
    monkeypatch.setattr("parlant_store.transfer.readers.tables.PAGE_SIZE", 2)
    memory = {"max_messages": 20, "messages": [{"role": "user", "content": "hi"}]}
    rows = [
        {"session_id": f"n:{number}", "memory_json": memory, "message_count": 1}
        for number in range(5)
    ]
    client().table(SELECTOOLS).insert(rows).execute()
    run("selectools-supabase", url)
    assert len(target.list_sessions(namespace="n").sessions) == 5


def test_a_wrong_key_and_a_missing_one(target, url, monkeypatch):
    monkeypatch.setenv("SUPABASE_KEY", "sb_secret_wrong")
    with pytest.raises(CommandError) as caught:
        run("selectools-supabase", url)
    assert "sb_secret_wrong" not in str(caught.value)
    monkeypatch.delenv("SUPABASE_KEY")
    with pytest.raises(CommandError, match="set SUPABASE_KEY in the environment"):
        run("selectools-supabase", url)
