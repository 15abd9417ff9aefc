"""Branches of AdvancedSession: what the SDK's tests of AdvancedSQLiteSession ask, and more."""

import asyncio
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from parlant_store import stores
from parlant_store.adapters.openai_agents import AdvancedSession, Session
from parlant_store.adapters.openai_agents.branch_ids import stored_id
from parlant_store.exceptions import InvalidName
from parlant_store.signals import session_deleted
from tests.adapters.openai_agents.runs import result, turns, usage
from tests.contract.values import IDS

pytestmark = pytest.mark.usefixtures("store")

THREE = turns("one", "two", "three")


async def filled(session_id: str = "s", items: Iterable[Any] = THREE) -> AdvancedSession:
    session = AdvancedSession(session_id)
    await session.add_items(list(items))
    return session


async def names(session: AdvancedSession) -> list[str]:
    return [branch["branch_id"] for branch in await session.list_branches()]


async def test_a_branch_has_what_is_before_the_turn_and_is_the_current_one():
    session = await filled()
    assert session.branch_id == "main"
    assert await session.create_branch_from_turn(2, "retry") == "retry"
    assert session.branch_id == "retry"
    assert await session.get_items() == THREE[:2]
    await session.add_items(turns("other"))
    assert await session.get_items() == [*THREE[:2], *turns("other")]
    assert await session.get_items(branch_id="main") == THREE
    await session.switch_to_branch("main")
    assert await session.get_items() == THREE
    assert await session.get_items(branch_id="retry") == [*THREE[:2], *turns("other")]
    assert await session.get_items(1, "retry") == turns("other")[1:]


async def test_branches_are_listed():
    session = await filled()
    await session.create_branch_from_turn(2, "b")
    await session.create_branch_from_turn(1, "a")
    assert [
        (branch["branch_id"], branch["message_count"], branch["user_turns"], branch["is_current"])
        for branch in await session.list_branches()
    ] == [("main", 6, 3, False), ("b", 2, 1, False), ("a", 0, 0, True)]
    for branch in await session.list_branches():
        assert branch.keys() == {
            *("branch_id", "message_count", "user_turns", "is_current", "created_at")
        }
        assert len(branch["created_at"]) == len("2026-01-01 00:00:00")


async def test_a_branch_from_the_first_turn_is_empty_and_still_there():
    session = await filled()
    await session.create_branch_from_turn(1, "empty")
    assert await session.get_items() == []
    await session.switch_to_branch("main")
    await session.switch_to_branch("empty")
    await session.add_items(turns("new"))
    assert await session.get_items() == turns("new")
    assert await session.get_items(branch_id="main") == THREE


async def test_branches_of_branches():
    session = await filled()
    await session.create_branch_from_turn(3, "a")
    await session.add_items(turns("three a"))
    await session.create_branch_from_turn(3, "b")
    await session.add_items(turns("three b"))
    assert await session.get_items() == [*THREE[:4], *turns("three b")]
    await session.delete_branch("a")
    assert await names(session) == ["main", "b"]
    assert await session.get_items(branch_id="b") == [*THREE[:4], *turns("three b")]


@pytest.mark.parametrize("name", ["main", "taken"])
async def test_a_name_that_is_used_is_refused(name):
    session = await filled()
    await session.create_branch_from_turn(3, "taken")
    await session.switch_to_branch("main")
    with pytest.raises(ValueError, match=f"'{name}' has already been used"):
        await session.create_branch_from_turn(2, name)
    assert session.branch_id == "main"
    assert await session.get_items(branch_id="taken") == THREE[:4]
    assert await session.get_items() == THREE


async def test_names_stay_reserved():
    session = await filled()
    await session.create_branch_from_turn(3, "used")
    await session.create_branch_from_turn(2, "cleared")
    await session.delete_branch("used")
    with pytest.raises(ValueError, match="already been used"):
        await session.create_branch_from_turn(1, "used")
    await session.clear_session()
    await session.add_items(THREE)
    for name in ("used", "cleared"):
        with pytest.raises(ValueError, match="already been used"):
            await session.create_branch_from_turn(2, name)


async def test_names_are_generated():
    session = await filled()
    made = []
    for _ in range(3):
        await session.switch_to_branch("main")
        made.append(await session.create_branch_from_turn(3))
    assert len(set(made)) == 3
    assert all(name.startswith("branch_from_turn_3_") for name in made)
    for name in made:
        assert await session.get_items(branch_id=name) == THREE[:4]


@pytest.mark.parametrize("name", ["", "  \t"])
async def test_a_blank_name_is_refused(name):
    session = await filled()
    with pytest.raises(ValueError, match="cannot be empty"):
        await session.create_branch_from_turn(1, name)
    with pytest.raises(ValueError, match="cannot be empty"):
        await session.delete_branch(name)


async def test_a_turn_that_no_user_opened_is_refused():
    session = await filled(items=[{"role": "system", "content": "rules"}, *THREE])
    wrong: list[Any] = [0, 4, -1, 2**70, None, False, True, 1.0, "1", []]
    for turn in wrong:
        message = re.escape(f"Turn {turn} does not contain a user message in branch")
        with pytest.raises(ValueError, match=message):
            await session.create_branch_from_turn(turn, "x")
    assert await names(session) == ["main"]
    with pytest.raises(ValueError, match="Turn 5 does not contain a user message"):
        await AdvancedSession("nothing").create_branch_from_turn(5, "x")


async def test_what_is_not_there_is_refused():
    session = await filled()
    with pytest.raises(ValueError, match="Branch 'none' does not exist"):
        await session.switch_to_branch("none")
    with pytest.raises(ValueError, match="Branch 'none' does not exist"):
        await session.delete_branch("none")
    with pytest.raises(ValueError, match="Cannot delete the 'main' branch"):
        await session.delete_branch("main")
    assert await session.get_items(branch_id="none") == []


async def test_the_empty_name_is_that_of_no_branch():
    session = await filled()
    assert await session.get_items(branch_id="") == []
    assert await session.get_conversation_turns("") == await session.get_tool_usage("") == []
    assert await session.get_conversation_by_turns("") == {}
    with pytest.raises(ValueError, match="Branch '' does not exist"):
        await session.switch_to_branch("")


async def test_what_is_no_name_is_refused():
    session: Any = await filled()
    for name in (5, True, [], b"x", "a\0b", "x" * 4_097):
        for call in (
            *(session.switch_to_branch, session.delete_branch, session.get_conversation_turns),
            *(session.get_conversation_by_turns, session.get_tool_usage),
            session.get_session_usage,
            lambda name: session.create_branch_from_turn(2, name),
            lambda name: session.get_items(branch_id=name),
            lambda name: session.get_turn_usage(branch_id=name),
        ):
            with pytest.raises(InvalidName, match="branch_id"):
                await call(name)
    for call in (session.switch_to_branch, session.delete_branch):
        with pytest.raises(InvalidName, match="branch_id"):
            await call(None)
    assert await names(session) == ["main"]


async def test_the_current_branch_is_deleted_by_force_only():
    session = await filled()
    await session.create_branch_from_turn(2, "b")
    with pytest.raises(ValueError, match="Cannot delete current branch 'b'"):
        await session.delete_branch("b")
    await session.delete_branch("b", force=True)
    assert session.branch_id == "main"
    assert await names(session) == ["main"]
    assert await session.get_items() == THREE


async def test_a_branch_from_content():
    session = await filled(items=turns("About math", "About art", "More MATH"))
    assert await session.create_branch_from_content("art", "b") == "b"
    assert await session.get_items() == turns("About math")
    await session.switch_to_branch("main")
    await session.create_branch_from_content("math", "c")
    assert await session.get_items() == []
    with pytest.raises(ValueError, match="No user turns found containing 'music'"):
        await session.create_branch_from_content("music", "d")


async def test_items_are_popped_from_the_current_branch():
    session = await filled()
    await session.create_branch_from_turn(2, "b")
    await session.add_items([{"role": "user", "content": "only here"}])
    assert await session.pop_item() == {"role": "user", "content": "only here"}
    assert await session.pop_item() == THREE[1]
    assert await session.pop_item() == THREE[0]
    assert await session.pop_item() is None
    assert session.branch_id == "b"
    assert await session.get_items(branch_id="main") == THREE


async def test_all_items_of_the_current_branch_are_replaced():
    session = await filled()
    await session.create_branch_from_turn(2, "b")
    await session.replace_items(turns("new"))
    assert await session.get_items() == turns("new")
    assert await session.get_items(branch_id="main") == THREE


async def test_clear_deletes_all_branches():
    session = await filled()
    await session.create_branch_from_turn(3, "a")
    await session.create_branch_from_turn(2, "b")
    await session.store_run_usage(result(usage(5)))
    await session.clear_session()
    assert session.branch_id == "main"
    assert await session.get_items() == await session.list_branches() == []
    assert await session.get_items(branch_id="a") == []
    assert await session.get_session_usage() is None
    await session.add_items(turns("fresh"))
    assert [turn["turn"] for turn in await session.get_conversation_turns()] == [1]


async def test_clear_deletes_branches_that_are_made_meanwhile(store):
    session = await filled()
    await session.create_branch_from_turn(3, "a")
    await session.create_branch_from_turn(2, "b")

    def branch_from_the_other(session_id: str, **_: object) -> None:
        name = stored_id("s", "b" if session_id == stored_id("s", "a") else "a")
        if not store.exists(stored_id("s", "c")):
            store.branch(name, stored_id("s", "c"))

    session_deleted.connect(branch_from_the_other)
    try:
        await session.clear_session()
    finally:
        session_deleted.disconnect(branch_from_the_other)
    assert await session.list_branches() == []
    assert await session.get_items(branch_id="c") == []


async def cleared_elsewhere() -> AdvancedSession:
    """Return an object whose current branch another object has cleared."""
    stale = await filled()
    await stale.create_branch_from_turn(2, "stale")
    await AdvancedSession("s").clear_session()
    return stale


async def test_writes_after_another_object_has_cleared_the_session():
    stale = await cleared_elsewhere()
    await stale.add_items(turns("after"))
    assert stale.branch_id == "main"
    assert await stale.get_items() == turns("after")
    assert await stale.get_items(branch_id="stale") == []
    assert await names(stale) == ["main"]


async def test_pops_after_another_object_has_cleared_the_session():
    stale = await cleared_elsewhere()
    await AdvancedSession("s").add_items(turns("after"))
    assert await stale.pop_item() == turns("after")[1]
    assert stale.branch_id == "main"


async def test_reads_after_another_object_has_cleared_the_session():
    call = {"type": "function_call", "name": "lookup", "arguments": "{}", "call_id": "c"}
    for read, expected in {
        "items": [*turns("new"), call],
        "turns": ["new"],
        "search": ["new"],
        "conversation": {1},
        "tools": [("lookup", 1, 1)],
        "usage": 8,
        "branches": [("main", True)],
    }.items():
        stale = AdvancedSession(read)
        await stale.add_items(THREE)
        await stale.create_branch_from_turn(2, "stale")
        other = AdvancedSession(read)
        await other.clear_session()
        await other.add_items([*turns("new"), call])
        await other.store_run_usage(result(usage(8)))
        found: dict[str, Any] = {
            "items": stale.get_items,
            "turns": stale.get_conversation_turns,
            "search": lambda stale=stale: stale.find_turns_by_content("ne"),
            "conversation": stale.get_conversation_by_turns,
            "tools": stale.get_tool_usage,
            "usage": lambda stale=stale: stale.get_turn_usage(1),
            "branches": stale.list_branches,
        }
        answer = await found[read]()
        if read in ("turns", "search"):
            answer = [turn["full_content"] for turn in answer]
        elif read == "conversation":
            answer = set(answer)
        elif read == "usage":
            answer = answer["input_tokens"]
        elif read == "branches":
            answer = [(branch["branch_id"], branch["is_current"]) for branch in answer]
        assert answer == expected, read
        assert stale.branch_id == "main", read


async def test_another_object_uses_a_branch_that_was_made_after_a_clear():
    session = AdvancedSession("s")
    await session.clear_session()
    await session.add_items(THREE)
    await session.create_branch_from_turn(2, "fresh")
    other = AdvancedSession("s")
    assert other.branch_id == "main"
    await other.switch_to_branch("fresh")
    await other.add_items(turns("more"))
    assert await other.get_items() == [*THREE[:2], *turns("more")]
    assert await session.get_items() == await other.get_items()


async def test_one_of_many_branches_of_a_name_is_made():
    await filled()
    sessions = [AdvancedSession("s") for _ in range(8)]
    made = await asyncio.gather(
        *(session.create_branch_from_turn(3, "one") for session in sessions),
        return_exceptions=True,
    )
    assert made.count("one") == 1
    assert all("already been used" in str(error) for error in made if error != "one")
    assert await names(sessions[0]) == ["main", "one"]
    generated = await asyncio.gather(
        *(AdvancedSession("s").create_branch_from_turn(2) for _ in range(6))
    )
    assert len(set(generated)) == 6


def test_many_threads_branch_and_write():
    def work(number: int) -> None:
        async def go() -> None:
            session = AdvancedSession("s")
            await session.create_branch_from_turn(3, f"b{number}")
            for step in range(3):
                await session.add_items(turns(f"{number}-{step}"))
            await session.pop_item()

        asyncio.run(go())

    asyncio.run(AdvancedSession("s").add_items(THREE))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))

    async def check() -> None:
        session = AdvancedSession("s")
        assert await session.get_items() == THREE
        assert set(await names(session)) == {"main", *(f"b{number}" for number in range(6))}
        for number in range(6):
            own = turns(*(f"{number}-{step}" for step in range(3)))[:-1]
            assert await session.get_items(branch_id=f"b{number}") == [*THREE[:4], *own]

    asyncio.run(check())


async def test_sessions_and_namespaces_are_apart():
    session = await filled()
    await session.create_branch_from_turn(2, "b")
    for other in (AdvancedSession("s", namespace="n"), AdvancedSession("t"), Session("b")):
        assert await other.get_items() == []
    assert await AdvancedSession("s", namespace="n").list_branches() == []
    tenant = AdvancedSession("s", namespace="n")
    await tenant.add_items(turns("mine"))
    await tenant.create_branch_from_turn(1, "b")
    assert await session.get_items(branch_id="b") == THREE[:2]
    assert await tenant.get_items() == []


async def test_ids_that_begin_alike():
    for session_id in ("s", "s1", "s1b", "s/1"):
        session = await filled(session_id, turns(session_id, "two"))
        await session.create_branch_from_turn(2, "b")
    for session_id in ("s", "s1", "s1b", "s/1"):
        session = AdvancedSession(session_id)
        assert await names(session) == ["main", "b"]
        assert await session.get_items(branch_id="b") == turns(session_id)


@pytest.mark.parametrize("name", [name for name in IDS if len(name) < 1_000])
async def test_any_id_and_any_name(name):
    session = AdvancedSession(name, namespace=name, user_id=name)
    await session.add_items(THREE)
    assert await session.create_branch_from_turn(2, "b" + name) == "b" + name
    assert await names(session) == ["main", "b" + name]
    assert await session.get_items() == THREE[:2]


async def test_an_id_of_the_longest_length():
    session = await filled("x" * 4_096)
    await session.create_branch_from_turn(2, "b")
    assert await names(session) == ["main", "b"]
    with pytest.raises(InvalidName):
        await session.create_branch_from_turn(2, "b" * 4_096)


def test_the_sign_of_branches_is_no_part_of_an_id():
    with pytest.raises(InvalidName, match="session_id"):
        AdvancedSession("a\N{ALTERNATIVE KEY SYMBOL}b")


async def test_the_store_knows_the_tree():
    session = AdvancedSession("s", user_id="ada")
    await session.add_items(THREE)
    await session.create_branch_from_turn(3, "a")
    await session.create_branch_from_turn(2, "b")
    default = stores["default"]
    (a,) = await default.alist_branches("s")
    (b,) = await default.alist_branches(a.session_id)
    assert (a.parent_id, a.user_id, a.item_count) == ("s", "ada", 4)
    assert (b.parent_id, b.user_id, b.item_count) == (a.session_id, "ada", 2)
