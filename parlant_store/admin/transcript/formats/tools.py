"""The arguments and results of each kind of tool: the tools of the Responses API.

openai.types.responses.ResponseInputItemParam, by the type of the item without its "_call".
"""

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from parlant_store.admin.formatting import cut, mappings, text_of
from parlant_store.admin.transcript.entries import Part, code_part, note, text_part
from parlant_store.admin.transcript.formats.content import (
    MAX_PARTS,
    arguments,
    error_text,
    fields,
    image_part,
    json_part,
    lines,
    list_of,
    more,
    outcome,
    parsed,
    parts_of,
)

Item = Mapping[str, Any]

_HIDDEN = {
    *("type", "id", "call_id", "status", "name", "output", "error", "outputs", "caller"),
    *("namespace", "server_label", "fingerprint"),
}


def arguments_of(tool: str, item: Item) -> tuple[Part, ...]:
    """Return the arguments of a call of a tool of this kind."""
    return _GIVEN.get(tool, _anything)(item)


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
    sources = [text_of(each.get("url")) for each in mappings(action.get("sources"))]
    found = (
        *lines(list(queries)[:MAX_PARTS], _("Query")),
        *lines([action.get("pattern")], _("Words looked for")),
        *lines([action.get("url")], _("Page")),
        *lines(sources[:MAX_PARTS], _("Found")),
        *more(len(sources) - MAX_PARTS),
    )
    return found or (json_part(action),)


def _file_search(item: Item) -> tuple[Part, ...]:
    results = mappings(item.get("results"))
    parts = list(lines(list_of(item.get("queries"))[:MAX_PARTS], _("Query")))
    for result in results[:MAX_PARTS]:
        name = text_of(result.get("filename")) or text_of(result.get("file_id"))
        parts.append(text_part(text_of(result.get("text")), cut(name) or _("Found")))
    if not results:
        parts.append(note(_("What it found was not kept.")))
    return (*parts, *more(len(results) - MAX_PARTS))


def _computer(item: Item) -> tuple[Part, ...]:
    done = mappings([item.get("action"), *list_of(item.get("actions"))])
    parts = tuple(text_part(_action(each)) for each in done[:MAX_PARTS])
    checks = safety_checks(item.get("pending_safety_checks"), _("Safety check"))
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


def safety_checks(checks: object, label: str) -> tuple[Part, ...]:
    found = mappings(checks)
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


def results_of(item: Item) -> tuple[Part, ...]:
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


def shell_output(value: object) -> tuple[Part, ...]:
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
