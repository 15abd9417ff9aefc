"""Calls of tools and their outputs: what was asked of each kind of tool, and what it gave.

The tools of the Responses API (openai.types.responses.ResponseInputItemParam), by the type of
the item without its "_call" and "_call_output".
"""

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from parlant_store.admin.formatting import cut
from parlant_store.admin.transcript.attachments import image_part
from parlant_store.admin.transcript.content import (
    MAX_PARTS,
    arguments,
    error_text,
    fields,
    json_part,
    lines,
    list_of,
    more,
    names_of_tools,
    outcome,
    parsed,
    parts_of,
    text_of,
)
from parlant_store.admin.transcript.entries import (
    Answer,
    Call,
    Entry,
    Part,
    Reading,
    Status,
    code_part,
    note,
    text_part,
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

_HIDDEN = {
    *("type", "id", "call_id", "status", "name", "output", "error", "outputs", "caller"),
    *("namespace", "server_label", "fingerprint"),
}


def is_call(type_: str) -> bool:
    return type_.endswith("_call") or type_ == "program"


def is_output(item: Item, type_: str) -> bool:
    return type_.endswith("_output") or item.get("role") in ("tool", "function")


def call_reading(item: Item, type_: str) -> Reading:
    """A call that is an item of its own; what a hosted tool gave is in the item too."""
    tool = type_.removesuffix("_call")
    given = (*_caller(item), *_GIVEN.get(tool, _anything)(item))
    gave = _gave(item)
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
    made = [call for call in list_of(item.get("tool_calls")) if isinstance(call, Mapping)]
    made += [
        block
        for block in list_of(item.get("content"))
        if isinstance(block, Mapping) and block.get("type") in ("tool_use", "server_tool_use")
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
        parts = _shell_output(value)
    else:
        parts = outcome(value)
    checks = _safety_checks(item.get("acknowledged_safety_checks"), _("Acknowledged"))
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
    blocks = [
        block
        for block in list_of(item.get("content"))
        if isinstance(block, Mapping) and block.get("type") == "tool_result"
    ]
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


# What was asked of each tool


def _function(item: Item) -> tuple[Part, ...]:
    return arguments(item.get("arguments")) if "arguments" in item else _anything(item)


def _anything(item: Item) -> tuple[Part, ...]:
    match item:
        case {"arguments": given}:
            return arguments(given)
        case {"input": str(text)} | {"code": str(text)}:
            return (code_part(text),)
    return fields(item, _HIDDEN)


def _web_search(item: Item) -> tuple[Part, ...]:
    action = item.get("action")
    if not isinstance(action, Mapping):
        return _anything(item)
    queries = dict.fromkeys(map(text_of, [action.get("query"), *list_of(action.get("queries"))]))
    sources = [
        text_of(each.get("url"))
        for each in list_of(action.get("sources"))
        if isinstance(each, Mapping)
    ]
    found = (
        *lines(list(queries)[:MAX_PARTS], _("Query")),
        *lines([action.get("pattern")], _("Words looked for")),
        *lines([action.get("url")], _("Page")),
        *lines(sources[:MAX_PARTS], _("Found")),
        *more(len(sources) - MAX_PARTS),
    )
    return found or (json_part(action),)


def _file_search(item: Item) -> tuple[Part, ...]:
    results = [each for each in list_of(item.get("results")) if isinstance(each, Mapping)]
    parts = list(lines(list_of(item.get("queries"))[:MAX_PARTS], _("Query")))
    for result in results[:MAX_PARTS]:
        name = text_of(result.get("filename")) or text_of(result.get("file_id"))
        parts.append(text_part(text_of(result.get("text")), cut(name) or _("Found")))
    if not results:
        parts.append(note(_("What it found was not kept.")))
    return (*parts, *more(len(results) - MAX_PARTS))


def _computer(item: Item) -> tuple[Part, ...]:
    actions = [item.get("action"), *list_of(item.get("actions"))]
    done = [each for each in actions if isinstance(each, Mapping)]
    parts = tuple(text_part(_action(each)) for each in done[:MAX_PARTS])
    checks = _safety_checks(item.get("pending_safety_checks"), _("Safety check"))
    return (*parts, *more(len(done) - MAX_PARTS), *checks) or _anything(item)


def _action(action: Item) -> str:
    """An action on a screen in words."""
    place = {"x": action.get("x"), "y": action.get("y")}
    match action:
        case {"type": "click", "button": str(button)}:
            return _("Click (%(button)s) at %(x)s, %(y)s") % {"button": button, **place}
        case {"type": "click"}:
            return _("Click at %(x)s, %(y)s") % place
        case {"type": "double_click"}:
            return _("Double click at %(x)s, %(y)s") % place
        case {"type": "move"}:
            return _("Move to %(x)s, %(y)s") % place
        case {"type": "scroll"}:
            by = {"right": action.get("scroll_x"), "down": action.get("scroll_y")}
            return _("Scroll at %(x)s, %(y)s by %(right)s, %(down)s") % {**place, **by}
        case {"type": "type", "text": str(text)}:
            return _("Type: %(text)s") % {"text": text}
        case {"type": "keypress", "keys": [*keys]}:
            return _("Press %(keys)s") % {"keys": " + ".join(map(str, keys))}
        case {"type": "drag", "path": [*path]}:
            points = " → ".join(_point(point) for point in path[:MAX_PARTS])
            return _("Drag along %(points)s") % {"points": points}
        case {"type": "screenshot"}:
            return _("Take a screenshot")
        case {"type": "wait"}:
            return _("Wait")
    return json_part(action).text  # type: ignore[return-value]


def _point(point: object) -> str:
    if isinstance(point, Mapping):
        return f"{point.get('x')}, {point.get('y')}"
    return str(point)


def _safety_checks(checks: object, label: str) -> tuple[Part, ...]:
    found = [check for check in list_of(checks) if isinstance(check, Mapping)]
    words = [text_of(check.get("message")) or text_of(check.get("code")) for check in found]
    return lines(words[:MAX_PARTS], label)


def _code(item: Item) -> tuple[Part, ...]:
    code = item.get("code")
    if not isinstance(code, str):
        return (note(_("The code was not kept.")),)
    return (code_part(code),)


def _image_generation(item: Item) -> tuple[Part, ...]:
    prompt = text_of(item.get("revised_prompt")) or text_of(item.get("prompt"))
    return (
        *lines([prompt], _("Prompt")),
        *lines([item.get("size")], _("Size")),
        *lines([item.get("quality")], _("Quality")),
    )


def _shell(item: Item) -> tuple[Part, ...]:
    action = item.get("action")
    if not isinstance(action, Mapping):
        return _anything(item)
    command = action.get("command")
    commands = list_of(action.get("commands"))
    if isinstance(command, list):
        commands = [shlex.join(map(str, command))]
    elif isinstance(command, str):
        commands = [command]
    text = "\n".join(f"$ {line}" for line in map(str, commands[:MAX_PARTS]))
    directory = lines([action.get("working_directory")], _("Directory"))
    return (code_part(text), *more(len(commands) - MAX_PARTS), *directory)


def _patch(item: Item) -> tuple[Part, ...]:
    operation = item.get("operation")
    if not isinstance(operation, Mapping):
        return _anything(item)
    labels = {
        "create_file": _("Create"),
        "update_file": _("Change"),
        "delete_file": _("Delete"),
    }
    type_ = text_of(operation.get("type"))
    path = lines([operation.get("path")], labels.get(type_) or cut(type_) or _("File"))
    diff = operation.get("diff")
    return (*path, code_part(diff)) if isinstance(diff, str) else path


_GIVEN: dict[str, Callable[[Item], tuple[Part, ...]]] = {
    "function": _function,
    "web_search": _web_search,
    "file_search": _file_search,
    "computer": _computer,
    "code_interpreter": _code,
    "image_generation": _image_generation,
    "local_shell": _shell,
    "shell": _shell,
    "apply_patch": _patch,
}

# What tools gave


def _gave(item: Item) -> tuple[Part, ...]:
    """The outputs in the item of a hosted tool."""
    match item:
        case {"type": "image_generation_call", "result": str(data)} if data:
            format_ = text_of(item.get("output_format")) or "png"
            return (image_part(data, f"image/{format_}"),)
        case {"type": "code_interpreter_call", "outputs": [*outputs]}:
            return tuple(
                part for output in outputs[:MAX_PARTS] for part in _code_output(output)
            ) + more(len(outputs) - MAX_PARTS)
    given = (item.get(name) for name in ("output", "outputs"))
    value = next(filter(None, given), None)
    return (*outcome(value), *error_text(item.get("error")))


def _code_output(output: object) -> tuple[Part, ...]:
    match output:
        case {"type": "logs", "logs": str(logs)}:
            return (code_part(logs),)
        case {"type": "image", "url": str(url)}:
            return (image_part(url),)
    return parts_of(output)


def _shell_output(value: object) -> tuple[Part, ...]:
    """What commands printed, and how each ended."""
    inner = parsed(value) if isinstance(value, str) else value
    if isinstance(inner, Mapping) and ("stdout" in inner or "exit_code" in inner):
        inner = [inner]
    if not isinstance(inner, list) or not all(isinstance(each, Mapping) for each in inner):
        return (code_part(value),) if isinstance(value, str) and value else outcome(value)
    parts = [part for each in inner[:MAX_PARTS] for part in _printed(each)]
    return (*parts, *more(len(inner) - MAX_PARTS))


def _printed(command: Item) -> Iterable[Part]:
    for name in ("stdout", "stderr"):
        if isinstance(command.get(name), str) and command[name]:
            yield code_part(command[name], name)
    outcome = command.get("outcome")
    ended = outcome if isinstance(outcome, Mapping) else command
    if ended.get("type") == "timeout":
        yield note(_("Timeout: the command did not end in time."))
    elif isinstance(ended.get("exit_code"), int):
        yield note(_("Exit code %(code)s") % {"code": ended["exit_code"]})
