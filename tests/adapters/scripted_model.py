"""A scripted model for real runs of the OpenAI Agents SDK."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from agents import Agent, Model, ModelResponse, Usage, set_tracing_disabled
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseUsage,
)

set_tracing_disabled(True)

Answer = str | ResponseFunctionToolCall | Exception


class ScriptedModel(Model):
    """Gives the answers of its script in turn and remembers what it was asked.

    An answer is a text, a tool call, an exception to raise, or a function of the input.
    """

    def __init__(self, *script: Answer | Callable[[Any], Answer]) -> None:
        self.script = list(script)
        self.asked: list[Any] = []
        self.usage = Usage()
        self.response_id: str | None = None

    async def get_response(self, system_instructions, input, *args, **kwargs) -> ModelResponse:
        self.asked.append(input)
        answer = self.script.pop(0)
        if callable(answer):
            answer = answer(input)
        if isinstance(answer, Exception):
            raise answer
        output = message(answer) if isinstance(answer, str) else answer
        return ModelResponse(output=[output], usage=self.usage, response_id=self.response_id)

    async def stream_response(self, *args, **kwargs) -> AsyncIterator[Any]:
        response = await self.get_response(*args, **kwargs)
        yield ResponseCompletedEvent(
            type="response.completed",
            sequence_number=0,
            response=Response(
                id="r",
                created_at=0,
                model="scripted",
                object="response",
                output=response.output,
                tool_choice="auto",
                tools=[],
                parallel_tool_calls=False,
                usage=usage_of_response(self.usage),
            ),
        )


def usage_of_response(usage: Usage) -> ResponseUsage | None:
    if not usage.requests:
        return None
    return ResponseUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        input_tokens_details=usage.input_tokens_details,
        output_tokens_details=usage.output_tokens_details,
    )


def message(text: str) -> ResponseOutputMessage:
    content = ResponseOutputText(text=text, type="output_text", annotations=[], logprobs=[])
    return ResponseOutputMessage(
        id="m", content=[content], role="assistant", status="completed", type="message"
    )


def tool_call(name: str, arguments: str = "{}") -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(
        id="f", call_id="call-1", name=name, arguments=arguments, type="function_call"
    )


def agent(model: ScriptedModel, **options: Any) -> Agent[Any]:
    return Agent(name="agent", model=model, **options)
