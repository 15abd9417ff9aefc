"""Pieces of sessions whose items a window must not part, as frameworks write them."""

from typing import Any, NamedTuple

Item = dict[str, Any]


class Piece(NamedTuple):
    """Items, and pairs of places: the second is never read without the first."""

    items: list[Item]
    pairs: list[tuple[int, int]]


def user(text: str = "q") -> Item:
    return {"role": "user", "content": text}


def answer(text: str = "a") -> Item:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": "msg", "type": "message", "role": "assistant", "content": content}


def reasoning(id_: str) -> Item:
    return {"type": "reasoning", "id": f"rs_{id_}", "summary": []}


def call(id_: str, type_: str = "function_call", **fields: Any) -> Item:
    return {"type": type_, "id": f"i_{id_}", "call_id": id_, **fields}


def output(id_: str, type_: str = "function_call_output", **fields: Any) -> Item:
    return {"type": type_, "call_id": id_, "output": "o", **fields}


def blocks(role: str, *parts: Item) -> Item:
    return {"role": role, "content": list(parts)}


def pieces(n: str = "1") -> dict[str, Piece]:
    """The pieces, each with ids that end in ``n``."""
    a, b = f"a{n}", f"b{n}"
    by_program = {"caller": {"type": "program", "caller_id": a}}
    found = {
        f"{kind} call": Piece([call(a, f"{kind}_call"), output(a, f"{kind}_call_output")], [(0, 1)])
        for kind in ("function", "computer", "shell", "local_shell", "apply_patch", "custom_tool")
    }
    found |= {
        "a call of a type that is new": Piece(
            [call(a, "hologram_call"), output(a, "hologram_call_output")], [(0, 1)]
        ),
        "local shell, by the call's call_id": Piece(
            [call(a, "local_shell_call"), {"type": "local_shell_call_output", "id": a}], [(0, 1)]
        ),
        "local shell, by the call's id": Piece(
            [call(a, "local_shell_call"), {"type": "local_shell_call_output", "id": f"i_{a}"}],
            [(0, 1)],
        ),
        "tool search": Piece(
            [call(a, "tool_search_call"), output(a, "tool_search_output")], [(0, 1)]
        ),
        "tool search of the server": Piece(
            [
                {"type": "tool_search_call", "id": f"tsc_{n}", "call_id": None},
                {"type": "tool_search_output", "id": f"tso_{n}", "call_id": None, "tools": []},
            ],
            [(0, 1)],
        ),
        "program": Piece(
            [
                call(a, "program"),
                call(b, **by_program),
                output(b, **by_program),
                output(a, "program_output"),
            ],
            [(0, 1), (0, 2), (1, 2), (0, 3)],
        ),
        "approval": Piece(
            [
                {"type": "mcp_approval_request", "id": a},
                {"type": "mcp_approval_response", "approval_request_id": a, "approve": True},
                {"type": "mcp_call", "id": b, "approval_request_id": a, "output": "o"},
            ],
            [(0, 1), (0, 2)],
        ),
        "two calls at once": Piece([call(a), call(b), output(a), output(b)], [(0, 2), (1, 3)]),
        "two calls at once, answered in another order": Piece(
            [call(a), call(b), output(b), output(a)], [(1, 2), (0, 3)]
        ),
        "reasoning": Piece([reasoning(n), answer()], [(0, 1)]),
        "reasoning in two items": Piece(
            [reasoning(n), reasoning(f"x{n}"), call(a), output(a)], [(0, 1), (1, 2), (2, 3), (0, 2)]
        ),
        "reasoning before two calls": Piece(
            [reasoning(n), call(a), call(b), output(a), output(b)],
            [(0, 1), (0, 2), (1, 3), (2, 4)],
        ),
        "reasoning before tools of the server": Piece(
            [
                reasoning(n),
                {"type": "web_search_call", "id": f"ws_{n}"},
                {"type": "code_interpreter_call", "id": f"ci_{n}"},
                answer(),
            ],
            [(0, 1), (0, 2), (0, 3)],
        ),
        "tools of an MCP server": Piece(
            [{"type": "mcp_list_tools", "id": a, "tools": []}, call(b, "mcp_call")], []
        ),
        "chat completions": Piece(
            [
                {"role": "assistant", "content": None, "tool_calls": [{"id": a}, {"id": b}]},
                {"role": "tool", "tool_call_id": a, "content": "o"},
                {"role": "tool", "tool_call_id": b, "content": "o"},
            ],
            [(0, 1), (0, 2)],
        ),
        "chat completions without ids": Piece(
            [
                {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]},
                {"role": "tool", "content": "o"},
            ],
            [(0, 1)],
        ),
        "chat completions of old": Piece(
            [
                {"role": "assistant", "content": None, "function_call": {"name": f"f{n}"}},
                {"role": "function", "name": f"f{n}", "content": "o"},
            ],
            [(0, 1)],
        ),
        "Anthropic's blocks": Piece(
            [
                blocks("assistant", {"type": "tool_use", "id": a}, {"type": "tool_use", "id": b}),
                blocks("user", {"type": "tool_result", "tool_use_id": a}),
                blocks("user", {"type": "tool_result", "tool_use_id": b}),
            ],
            [(0, 1), (0, 2)],
        ),
        "an item at the provider": Piece(
            [{"type": "item_reference", "id": f"fc_{n}"}, output(a)], [(0, 1)]
        ),
        "a message meanwhile": Piece([call(a), user("well?"), output(a)], [(0, 2)]),
        "a question": Piece([user()], []),
        "an answer": Piece([answer()], []),
        "instructions": Piece([{"role": "developer", "content": "rules"}], []),
        "tools that are added": Piece([{"type": "additional_tools", "role": "developer"}], []),
        "a compaction": Piece([{"type": "compaction", "encrypted_content": "x"}], []),
        "something": Piece([{"n": n}], []),
    }
    return found


NAMES = sorted(pieces())


def joined(names: list[str]) -> Piece:
    """A session of these pieces, with a message of a user between some of them."""
    whole = Piece([], [])
    for number, name in enumerate(names):
        piece, first = pieces(str(number))[name], len(whole.items)
        whole.items.extend(piece.items)
        whole.pairs.extend((first + one, first + other) for one, other in piece.pairs)
    return whole


def parted(piece: Piece, window: list[Item]) -> list[tuple[int, int]]:
    """The pairs of which ``window`` holds the second item alone."""
    start = len(piece.items) - len(window)
    return [(one, other) for one, other in piece.pairs if one < start <= other]
