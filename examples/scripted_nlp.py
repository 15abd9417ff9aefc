"""A language model for Parlant that follows a script: no key, no network, no chance.

It knows nothing but the prompts that Parlant builds, and answers from their sections: what
was said, what a tool returned, who the customer is and what her variables hold.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from parlant.core.engines.alpha.prompt_builder import BuiltInSection, PromptBuilder
from parlant.core.nlp.embedding import Embedder, EmbeddingResult
from parlant.core.nlp.generation import (
    SchematicGenerationResult,
    SchematicGenerator,
    StreamingTextGenerator,
    T,
)
from parlant.core.nlp.generation_info import GenerationInfo, UsageInfo
from parlant.core.nlp.moderation import ModerationService, NoModeration
from parlant.core.nlp.service import (
    EmbedderHints,
    NLPService,
    SchematicGeneratorHints,
    StreamingTextGeneratorHints,
)
from parlant.core.nlp.tokenization import ZeroEstimatingTokenizer

UNKNOWN = "I do not know; nothing that I was given says so."
ORDER = r"my order (\d+)"


def _section(prompt: PromptBuilder, name: BuiltInSection) -> dict[str, Any]:
    return prompt.sections[name].props if name in prompt.sections else {}


def _events(prompt: PromptBuilder) -> list[dict[str, Any]]:
    """The messages and tool calls of the session, then the tool calls of this turn."""
    told = _section(prompt, BuiltInSection.INTERACTION_HISTORY).get("interaction_events", [])
    staged = _section(prompt, BuiltInSection.STAGED_EVENTS).get("staged_events_as_dict", [])
    return [json.loads(event) for event in [*told, *staged]]


def _asked(prompt: PromptBuilder) -> str:
    """The customer's last message."""
    said = [event for event in _events(prompt) if event["event_source"] == "user"]
    return str(said[-1]["data"]["message"])


def _matches(prompt: PromptBuilder) -> dict[str, Any]:
    """Whether the one guideline of the example applies."""
    applies = re.search(ORDER, _asked(prompt)) is not None
    check = {
        "guideline_id": "1",
        "condition": "",
        "action": "",
        "rationale": "",
        "applies": applies,
        "condition_met_again": applies,
        "should_reapply": applies,
    }
    return {"checks": [check]}


def _was_followed(prompt: PromptBuilder) -> dict[str, Any]:
    return {"checks": [{"guideline_id": "1", "action": "", "guideline_applied": True}]}


def _tool_calls(prompt: PromptBuilder) -> dict[str, Any]:
    orders = re.findall(ORDER, _asked(prompt))
    return {"should_run": bool(orders), "calls": [{"args": {"order": n}} for n in orders]}


def _reply(prompt: PromptBuilder) -> str:
    events = _events(prompt)
    called = [call for e in events if e["event_kind"] == "tool" for call in e["data"]["tool_calls"]]
    name = _section(prompt, BuiltInSection.CUSTOMER_IDENTITY)["customer_name"]
    values = json.loads(_section(prompt, BuiltInSection.CONTEXT_VARIABLES)["context_values"])
    if not _asked(prompt).endswith("?"):
        return f"You are welcome, {name}."
    if not called:
        return UNKNOWN
    number, status = called[-1]["arguments"]["order"], called[-1]["result"]
    if events[-1]["event_kind"] == "tool":
        return f"Order {number} {status}."
    return (
        f"You asked about order {number}, which {status}. "
        f"You are a {values['membership']['value']} member, {name}."
    )


def _draft(prompt: PromptBuilder) -> dict[str, Any]:
    return {
        "last_message_of_user": _asked(prompt),
        "guidelines": [],
        "response_body": _reply(prompt),
    }


# By the names of Parlant's schemas: first what it asks about a new guideline, then in a turn.
ANSWERS: dict[str, Callable[[PromptBuilder], dict[str, Any]]] = {
    "GuidelineContinuousPropositionSchema": lambda _: {"rationale": "", "is_continuous": False},
    "CustomerDependentActionSchema": lambda _: {"action": "", "is_customer_dependent": False},
    "AgentIntentionProposerSchema": lambda _: {"condition": "", "is_agent_intention": False},
    "GenericActionableGuidelineMatchesSchema": _matches,
    "GenericPreviouslyAppliedActionableGuidelineMatchesSchema": _matches,
    "NonConsequentialToolBatchSchema": _tool_calls,
    "CannedResponseDraftSchema": _draft,
    "GenericResponseAnalysisSchema": _was_followed,
}


class ScriptedGenerator(SchematicGenerator[T]):
    id = "scripted"
    max_tokens = 100_000
    tokenizer = ZeroEstimatingTokenizer()

    async def generate(
        self, prompt: str | PromptBuilder, hints: Mapping[str, Any] = {}
    ) -> SchematicGenerationResult[T]:
        assert isinstance(prompt, PromptBuilder)
        name = self.schema.__name__
        if name not in ANSWERS:
            raise NotImplementedError(f"the script has no answer for {name}; add it to ANSWERS")
        return SchematicGenerationResult(
            content=self.schema.model_validate(ANSWERS[name](prompt)),
            info=GenerationInfo(name, self.id, 0, UsageInfo(0, 0)),
        )


class DigestEmbedder(Embedder):
    """Equal texts are near each other, others are not."""

    id = "digest"
    max_tokens = 100_000
    tokenizer = ZeroEstimatingTokenizer()
    dimensions = hashlib.sha256().digest_size

    async def embed(self, texts: list[str], hints: Mapping[str, Any] = {}) -> EmbeddingResult:
        return EmbeddingResult([list(hashlib.sha256(text.encode()).digest()) for text in texts])


class ScriptedNLP(NLPService):
    supports_streaming = False

    async def get_schematic_generator(
        self, t: type[T], hints: SchematicGeneratorHints | None = None
    ) -> SchematicGenerator[T]:
        # Parlant reads the schema back from the generic, which mypy takes for an annotation.
        return ScriptedGenerator[t]()  # type: ignore[valid-type]

    async def get_streaming_text_generator(
        self, hints: StreamingTextGeneratorHints | None = None
    ) -> StreamingTextGenerator:
        raise NotImplementedError("the script does not stream")

    async def get_embedder(self, hints: EmbedderHints | None = None) -> Embedder:
        return DigestEmbedder()

    async def get_moderation_service(self) -> ModerationService:
        return NoModeration()
