"""The turns of a session that Parlant's own store has written."""

from typing import Any

import pytest
from parlant.core.sessions import EventKind, EventSource, SessionDocumentStore

from parlant_store.adapters.parlant import DocumentDatabase, list_turns
from parlant_store.types import Usage
from tests.contract.parlant_stores import open_store

pytestmark = pytest.mark.usefixtures("own_indexes")

CUSTOMER, AGENT = EventSource.CUSTOMER, EventSource.AI_AGENT


async def test_messages_of_the_customer_open_turns():
    sessions = await open_store(
        SessionDocumentStore, DocumentDatabase(table_prefix="parlant_sessions_")
    )
    session = await sessions.create_session("ada", "clerk")

    async def say(source: EventSource, text: str, **options: Any) -> Any:
        data = {"message": text, "participant": {"display_name": "x"}}
        return await sessions.create_event(
            session.id, source, EventKind.MESSAGE, "trace", data, **options
        )

    assert await list_turns(session.id) == []
    await say(AGENT, "Welcome")
    first = await say(CUSTOMER, "How much is it?")
    used = {"usage": {"requests": 2, "input_tokens": 30, "output_tokens": 4}}
    await sessions.create_event(session.id, AGENT, EventKind.STATUS, "t", {"status": "typing"})
    await say(AGENT, "Ten euros", metadata=used)
    deleted = await say(CUSTOMER, "Oh")
    await sessions.delete_event(deleted.id)
    await say(CUSTOMER, "Thanks", metadata={"usage": {"input_tokens": "many"}})
    other = await sessions.create_session("bob", "clerk")
    await sessions.create_event(other.id, CUSTOMER, EventKind.MESSAGE, "t", {"message": "Another"})
    turns = await list_turns(session.id)
    assert [(turn.number, turn.text, turn.item_count) for turn in turns] == [
        (0, "", 1),
        (1, "How much is it?", 3),
        (2, "Thanks", 1),
    ]
    assert turns[1].position == first.offset
    assert turns[1].created_at == first.creation_utc
    assert [turn.usage for turn in turns] == [
        None,
        Usage(requests=2, input_tokens=30, output_tokens=4, total_tokens=34),
        None,
    ]
    assert [turn.text for turn in await list_turns(other.id)] == ["Another"]
    assert await list_turns(session.id, table_prefix="other_") == []
