"""One process of an agent that remembers: it answers one message and ends.

    python -m project.demo_agent demo-1 "My name is Ada and I live in Lisbon."

The agent, its run, its tool and its session are those of the OpenAI Agents SDK. The model
alone is scripted, so that neither a key nor a network is needed; it knows nothing but the
items that the SDK hands it.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import django
from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool, set_tracing_disabled
from agents.items import TResponseInputItem, TResponseStreamEvent
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

UNKNOWN = "I do not know; nothing that I was given says so."
WEATHER = {"Lisbon": "sunny, 24 degrees", "Oslo": "snow, 3 degrees below zero"}


@function_tool
def weather(city: str) -> str:
    """Today's weather in a city."""
    return f"{city}: {WEATHER.get(city, 'no report')}"


class ScriptedModel(Model):
    """Answers from the items of its input, as a language model would."""

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        *args: Any,
        **kwargs: Any,
    ) -> ModelResponse:
        items: list[Any] = [{"role": "user", "content": input}] if isinstance(input, str) else input
        return ModelResponse(output=[_next(items)], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[TResponseStreamEvent]:
        raise NotImplementedError("the demo's agent does not stream")


agent = Agent(
    name="Demo",
    instructions="Remember what you are told about the user.",
    model=ScriptedModel(),
    tools=[weather],
)


def _next(items: list[Any]) -> ResponseFunctionToolCall | ResponseOutputMessage:
    """The tool call or the message that follows ``items``."""
    last, city = items[-1], _told(items, r"I live in (\w+)")
    if last.get("type") == "function_call_output":
        name = _told(items, r"My name is (\w+)")
        return _message(f"Nice to meet you, {name}. The weather in {last['output']}.")
    if last["content"].endswith("?"):
        return _message(f"You live in {city}." if city else UNKNOWN)
    return _tool_call("weather", city=city) if city else _message("Where do you live?")


def _told(items: list[Any], pattern: str) -> str | None:
    """What the user said last that matches ``pattern``."""
    said = [item["content"] for item in items if item.get("role") == "user"]
    found = re.findall(pattern, "\n".join(said))
    return found[-1] if found else None


def _message(text: str) -> ResponseOutputMessage:
    return ResponseOutputMessage(
        id=f"msg_{uuid4().hex}",
        type="message",
        role="assistant",
        status="completed",
        content=[ResponseOutputText(type="output_text", text=text, annotations=[])],
    )


def _tool_call(name: str, **arguments: str | None) -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(
        type="function_call",
        call_id=f"call_{uuid4().hex}",
        name=name,
        arguments=json.dumps(arguments),
    )


async def answer(session_id: str, message: str) -> str:
    """Let the agent answer ``message`` in the session."""
    from parlant_store.adapters.openai_agents import Session

    result = await Runner.run(agent, message, session=Session(session_id, user_id="ada"))
    return str(result.final_output)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python -m project.demo_agent SESSION_ID MESSAGE")
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    django.setup()
    set_tracing_disabled(True)
    session_id, message = sys.argv[1:]
    text = asyncio.run(answer(session_id, message))
    if text == UNKNOWN:
        sys.exit(f"The agent was asked {message!r} and the session {session_id!r} did not tell it.")
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
