"""Calls of tools and their outputs: items of their own, and those in messages."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from parlant_store.admin.formatting import cut, mappings, text_of
from parlant_store.admin.transcript.entries import Answer, Call, Entry, Part, Reading, Status, note
from parlant_store.admin.transcript.formats.content import (
    MAX_PARTS,
    arguments,
    error_text,
    lines,
    list_of,
    names_of_tools,
    outcome,
)
from parlant_store.admin.transcript.formats.tools import (
    arguments_of,
    results_of,
    safety_checks,
    shell_output,
)
from parlant_store.content.failures import block_status, call_status

Item = Mapping[str, Any]

HEADINGS: Any = {
    "web_search": gettext_lazy("Web search"),
    "file_search": gettext_lazy("File search"),
    "computer": gettext_lazy("Computer"),
    "code_interpreter": gettext_lazy("Code interpreter"),
    "image_generation": gettext_lazy("Image generation"),
    "local_shell": gettext_lazy("Shell"),
    "shell": gettext_lazy("Shell"),
    "apply_patch": gettext_lazy("Patch"),
    "mcp": gettext_lazy("Tool call"),
    "tool_search": gettext_lazy("Tool search"),
    "program": gettext_lazy("Program"),
    "function": gettext_lazy("Tool call"),
    "custom_tool": gettext_lazy("Tool call"),
}

UNFINISHED = ("in_progress", "searching", "generating", "interpreting", "calling", "incomplete")
"""What the status of a call or a message says when it was never completed."""


def is_call(type_: str) -> bool:
    return type_.endswith("_call") or type_ == "program"


def is_output(item: Item, type_: str) -> bool:
    return type_.endswith("_output") or item.get("role") in ("tool", "function")


def call_reading(item: Item, type_: str) -> Reading:
    """A call that is an item of its own; what a hosted tool gave is in the item too."""
    tool = type_.removesuffix("_call")
    given = (*_caller(item), *arguments_of(tool, item))
    gave = results_of(item)
    outputs = (Entry(_("Tool output"), "tool", parts=gave),) if gave else ()
    status = _status(item)
    if status == "incomplete" and not outputs:
        given = (*given, note(_("It was not completed.")))
    is_waiting = "call_id" in item or type_ == "function_call"
    ids = tuple(filter(None, (text_of(item.get("call_id")), text_of(item.get("id")))))
    call = Call(None, given, outputs, ids if is_waiting and not outputs else None, status=status)
    heading = HEADINGS.get(tool) or cut(type_) or _("Tool call")
    return Reading(Entry(heading, "tool", name=_tool_name(item), calls=(call,)))


def message_calls(item: Item) -> tuple[Call, ...]:
    """The calls in a message: of chat completions, selectools and Anthropic's blocks."""
    made = mappings(item.get("tool_calls"))
    made += [
        block
        for block in mappings(item.get("content"))
        if block.get("type") in ("tool_use", "server_tool_use")
    ]
    if isinstance(item.get("function_call"), Mapping):
        made.append(item["function_call"])
    return tuple(map(_made_call, made[:MAX_PARTS]))


def number_of_calls(item: Item) -> int:
    return len(list_of(item.get("tool_calls")))


def output_reading(item: Item) -> Reading:
    """An output that is an item or a message of its own."""
    given = (item.get(name) for name in ("output", "content", "tool_result", "result", "tools"))
    value = next(filter(None, given), None)
    type_ = text_of(item.get("type"))
    if type_ == "tool_search_output":
        parts = names_of_tools(value)
    elif type_ in ("shell_call_output", "local_shell_call_output"):
        parts = shell_output(value)
    else:
        parts = outcome(value)
    checks = safety_checks(item.get("acknowledged_safety_checks"), _("Acknowledged"))
    name = text_of(item.get("tool_name")) or text_of(item.get("name"))
    entry = Entry(
        _("Tool output"),
        "tool",
        name=cut(name),
        parts=(*parts, *checks) or (note(_("It is empty.")),),
        status=call_status(item) or "",
    )
    return Reading(None, (Answer(_answered_id(item), entry),))


def block_answers(item: Item) -> tuple[Answer, ...]:
    """The outputs in a user's message (anthropic.types.ToolResultBlockParam)."""
    content = mappings(item.get("content"))
    blocks = [block for block in content if block.get("type") == "tool_result"]
    return tuple(
        Answer(
            text_of(block.get("tool_use_id")),
            Entry(
                _("Tool output"),
                "tool",
                parts=outcome(block.get("content")) or (note(_("It is empty.")),),
                status=block_status(block) or "",
            ),
        )
        for block in blocks[:MAX_PARTS]
    )


def approval_request(item: Item) -> Reading:
    id_ = text_of(item.get("id"))
    call = Call(None, arguments(item.get("arguments")), ids=(id_,) if id_ else (), is_approval=True)
    return Reading(Entry(_("Approval request"), "tool", name=_tool_name(item), calls=(call,)))


def approval_response(item: Item) -> Reading:
    is_approved = item.get("approve") is True
    entry = Entry(
        _("Approved") if is_approved else _("Rejected"),
        "tool",
        parts=lines([item.get("reason")], _("Reason")),
        status="" if is_approved else "rejected",
    )
    return Reading(None, (Answer(text_of(item.get("approval_request_id")), entry),))


def listed_tools(item: Item) -> Reading:
    """The tools of an MCP server."""
    error = error_text(item.get("error"))
    return Reading(
        Entry(
            _("Tools of an MCP server"),
            "event",
            name=cut(text_of(item.get("server_label"))),
            parts=(*names_of_tools(item.get("tools")), *error),
            status="failed" if error else "",
        )
    )


def _answered_id(item: Item) -> str:
    names = ["tool_call_id", "call_id", *([] if "role" in item else ["id"])]
    return next((text_of(item.get(name)) for name in names if item.get(name)), "")


def _tool_name(item: Item) -> str | None:
    """The name of the tool, with its server or its namespace in front."""
    names = (item.get("server_label"), item.get("namespace"), item.get("name"))
    return cut(".".join(filter(None, map(text_of, names)))) or None


def _status(item: Item) -> Status:
    if outcome := call_status(item):
        return outcome
    return "incomplete" if item.get("status") in UNFINISHED else ""


def _caller(item: Item) -> Iterable[Part]:
    if isinstance(item.get("caller"), Mapping) and item["caller"].get("type") == "program":
        yield note(_("Called by a program."))


def _made_call(call: Item) -> Call:
    """One of a message's calls."""
    inner = next(
        (call[name] for name in ("function", "custom") if isinstance(call.get(name), Mapping)), call
    )
    names = ("arguments", "parameters", "args", "input")
    given = next((inner[name] for name in names if name in inner), None)
    id_ = text_of(call.get("id"))
    name = cut(text_of(inner.get("name")))
    return Call(name, arguments(given), ids=(id_,) if id_ else ())
