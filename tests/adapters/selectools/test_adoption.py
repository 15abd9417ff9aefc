"""The sessions of selectools' own store on Supabase, adopted."""

import httpx
import pytest
from psycopg.conninfo import make_conninfo
from selectools import ConversationMemory, Message, Role
from selectools.sessions import SupabaseSessionStore
from selectools.types import ToolCall

from parlant_store.adapters.selectools import SessionStore
from tests.adapters.selectools.messages import memory, user
from tests.empty_tables import django_dsn
from tests.servers.supabase import roles_sql, supabase
from tests.servers.supabase_fixtures import client_of
from tests.sql.supabase.adoption.old_tables import SELECTOOLS_SQL
from tests.sql.supabase.databases import connected, emitted, new_database

SAVED = {
    ("plain", None): memory(user("Where is my parcel?"), user("And the other one?")),
    ("42", "user"): memory(user("東京 is far")),
    ("a:b", None): memory(user("nobody")),
    ("empty", None): ConversationMemory(max_messages=7, max_tokens=100),
    ("tools", "agent"): memory(
        user("How warm is it?"),
        Message(
            role=Role.ASSISTANT,
            content="",
            tool_calls=[ToolCall(tool_name="warmth", parameters={"city": "Köln"}, id="1")],
        ),
        Message(role=Role.TOOL, content="21", tool_name="warmth", tool_call_id="1"),
    ),
}


@pytest.fixture
def listed(transactional_db, settings):
    """What selectools' own store lists of a project whose table is adopted then."""
    with new_database("template1") as name, connected(name) as database, httpx.Client() as http:
        database.execute(roles_sql())
        database.execute(SELECTOOLS_SQL)
        with supabase(make_conninfo(django_dsn(), dbname=name)) as stack:
            own = SupabaseSessionStore(client_of(stack, http, stack.service_key))
            for (session_id, namespace), saved in SAVED.items():
                own.save(session_id, saved, namespace=namespace)
            listed = own.list()
            database.execute(emitted("--adopt"))
            stack.reload()
            settings.PARLANT_STORES = {
                "default": {
                    "BACKEND": "parlant_store.backends.supabase.SupabaseBackend",
                    "OPTIONS": {"url": stack.url, "key": stack.service_key},
                }
            }
            yield listed


def test_every_session_is_loaded_listed_found_and_saved(listed):
    sessions = SessionStore()
    for (session_id, namespace), saved in SAVED.items():
        key = f"{namespace}:{session_id}" if namespace else session_id
        assert sessions.load(key).to_dict() == saved.to_dict()
        if namespace:
            assert sessions.load(session_id, namespace).to_dict() == saved.to_dict()
        assert sessions.exists(session_id, namespace) or ":" in session_id
    found = {each.session_id: each for each in sessions.list()}
    assert found == {each.session_id: each for each in listed}
    assert [hit.session_id for hit in sessions.search("parcel")] == ["plain"]
    assert [hit.session_id for hit in sessions.search("東京")] == ["user:42"]
    # One that was loaded by its key goes on where it is.
    loaded = sessions.load("user:42")
    loaded.add(user("and near"))
    sessions.save("user:42", loaded)
    assert SessionStore().load("42", "user").to_dict() == loaded.to_dict()
    assert len(sessions.list()) == len(SAVED)
    assert sessions.delete("a:b")
