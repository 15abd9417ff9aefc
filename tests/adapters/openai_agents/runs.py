"""Items and results of runs for tests of AdvancedSession."""

from typing import Any

from agents import RunContextWrapper, Usage
from agents.result import RunResult
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

from tests.adapters.scripted_model import ScriptedModel, agent

Items = list[Any]


def turns(*texts: str) -> Items:
    """Return a message of a user and its answer for each text."""
    return [
        {"role": role, "content": content}
        for text in texts
        for role, content in (("user", text), ("assistant", f"{text}, indeed"))
    ]


def usage(tokens: int, *, requests: int = 1, cached: int = 0, reasoning: int = 0) -> Usage:
    return Usage(
        requests=requests,
        input_tokens=tokens,
        output_tokens=1,
        total_tokens=tokens + 1,
        input_tokens_details=InputTokensDetails.model_validate(
            {"cache_write_tokens": 0, "cached_tokens": cached}
        ),
        output_tokens_details=OutputTokensDetails(reasoning_tokens=reasoning),
    )


def result(used: Usage | None) -> RunResult:
    """Return the result of a run that used ``used``."""
    wrapper: Any = RunContextWrapper(context=None)
    wrapper.usage = used
    return RunResult(
        input="in",
        new_items=[],
        raw_responses=[],
        final_output="out",
        input_guardrail_results=[],
        output_guardrail_results=[],
        tool_input_guardrail_results=[],
        tool_output_guardrail_results=[],
        context_wrapper=wrapper,
        _last_agent=agent(ScriptedModel()),
        interruptions=[],
    )
