"""Which tool calls failed, by what the frameworks themselves write.

The text of a tool's own error is not guessed at: it could be any text. The sources are the types
of openai.types.responses, the fixed texts of agents.tool (OpenAI Agents SDK) and of
selectools.agent._tool_executor, and parlant.core.engines.alpha.tool_calling.tool_caller.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

Status = Literal["failed", "rejected"]
"""Of a call that did not succeed: it failed, or a person or a policy did not allow it."""

REJECTION = "Tool execution was not approved."
"""agents.tool.DEFAULT_APPROVAL_REJECTION_MESSAGE"""

PROVIDER_ERROR = "Provider error: "
"""The beginning of the answer that selectools writes if the model's provider failed."""

_ERROR = "An error occurred while running the tool."
_TIMEOUT = re.compile(r"Tool '[^\n]*' timed out after [0-9.e+-]+ seconds\.")
_DENIAL = re.compile(r"Tool '[^\n']*' (?:denied by |rejected by )")
_FAILED = ("failed", "incomplete")
_PARLANT_ERROR = "Tool call error"


def failed_calls(item: Mapping[str, Any]) -> int:
    """Return the number of failed calls that an item of a session tells of."""
    content = item.get("content")
    if type(content) is list:
        blocks = sum(block_status(block) == "failed" for block in content)
        if blocks:
            return blocks
    return int(call_status(item) == "failed")


def failed_data_calls(data: Any) -> int:
    """Return the number of failed calls in the ``data`` of an event of Parlant."""
    calls = data.get("tool_calls") if isinstance(data, Mapping) else None
    if not isinstance(calls, (list, tuple)):
        return 0
    return sum(parlant_call_status(call) == "failed" for call in calls)


def call_status(item: Mapping[str, Any]) -> Status | None:
    """Return the status of a call or of an output; None if it is neither failed nor rejected.

    ``item`` is an item of a session: of the Responses API, of Chat Completions or of selectools.
    Those with several results in ``content`` have a status for each (``block_status``).
    """
    kind = item.get("type")
    if kind is None or kind == "message":
        return _message_status(item)
    if not isinstance(kind, str):
        return None
    if kind == "mcp_approval_response":
        return "rejected" if item.get("approve") is False else None
    if kind.endswith("_output"):
        return _output_status(kind, item)
    if kind.endswith("_call") or kind == "mcp_list_tools":
        has_error = bool(item.get("error")) or item.get("status") in _FAILED
        return "failed" if has_error else None
    return None


def block_status(block: Any) -> Status | None:
    """Return the status of a block in the content of a message: of a tool's result, or None."""
    if not isinstance(block, Mapping):
        return None
    kind = block.get("type")
    if not isinstance(kind, str) or not kind.endswith("tool_result"):
        return None
    content = block.get("content")
    kind = content.get("type") if isinstance(content, Mapping) else None
    is_error = block.get("is_error") is True or (
        isinstance(kind, str) and kind.endswith("tool_result_error")
    )
    return "failed" if is_error else text_status(_text(content))


def parlant_call_status(call: Any) -> Status | None:
    """Return the status of one of the ``tool_calls`` in an event of Parlant."""
    result = call.get("result") if isinstance(call, Mapping) else None
    if not isinstance(result, Mapping):
        return None
    data, metadata = result.get("data"), result.get("metadata")
    details = metadata.get("error_details") if isinstance(metadata, Mapping) else None
    is_error = bool(details) or data == _PARLANT_ERROR or _has_error(data)
    return "failed" if is_error else None


def text_status(text: str | None) -> Status | None:
    """Return the status that a text of an output says, which a framework or a tool wrote."""
    if not text:
        return None
    if text[0] == "{":
        return "failed" if _has_error(_object(text)) else None
    if text == REJECTION:
        return "rejected"
    is_error = text.startswith(_ERROR) or _TIMEOUT.fullmatch(text)
    return "failed" if is_error else None


def is_provider_error(item: Mapping[str, Any]) -> bool:
    """Whether it is the answer that selectools writes if the model's provider failed."""
    content = item.get("content")
    return (
        item.get("role") == "assistant"
        and isinstance(content, str)
        and content.startswith(PROVIDER_ERROR)
    )


def _message_status(item: Mapping[str, Any]) -> Status | None:
    if item.get("role") != "tool":
        return None
    text = _text(item.get("content"))
    if "tool_name" not in item:
        return text_status(text)
    # A message of selectools, which has a tool_result if the call succeeded.
    if item.get("tool_result") is not None:
        return None
    return "rejected" if text and _DENIAL.match(text) else "failed"


def _output_status(kind: str, item: Mapping[str, Any]) -> Status | None:
    output = item.get("output")
    if item.get("status") in _FAILED or item.get("error"):
        return "failed"
    if kind == "shell_call_output":
        return _shell_status(output)
    if kind == "local_shell_call_output":
        code = _object(output).get("exit_code") if isinstance(output, str) else None
        return "failed" if _is_exit_error(code) else text_status(_text(output))
    return text_status(_text(output))


def _shell_status(output: Any) -> Status | None:
    parts = [part for part in output if isinstance(part, Mapping)] if type(output) is list else []
    if any(part.get("stderr") == REJECTION for part in parts):
        return "rejected"
    outcomes = [part.get("outcome") for part in parts]
    has_failed = any(
        isinstance(outcome, Mapping)
        and (outcome.get("type") == "timeout" or _is_exit_error(outcome.get("exit_code")))
        for outcome in outcomes
    )
    return "failed" if has_failed else None


def _is_exit_error(code: Any) -> bool:
    return type(code) is int and code != 0


def _has_error(result: Any) -> bool:
    """Whether a result says that it is an error: by ``error``, or by ``isError`` as in MCP."""
    if not isinstance(result, Mapping):
        return False
    error = result.get("error")
    has_error = error is True or (isinstance(error, (str, Mapping)) and bool(error))
    return has_error or result.get("isError") is True


def _object(text: str) -> Mapping[str, Any]:
    """Return the JSON object in ``text``; an empty one if there is none that may say an error."""
    if '"error"' not in text and '"isError"' not in text and '"exit_code"' not in text:
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(content: Any) -> str | None:
    """Return a text, or that of the only text part."""
    if isinstance(content, str):
        return content
    if type(content) is list and len(content) == 1 and isinstance(content[0], Mapping):
        text = content[0].get("text")
        return text if isinstance(text, str) else None
    return None
