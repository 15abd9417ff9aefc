"""Short ways to say messages and memories."""

from typing import Any

from selectools.memory import ConversationMemory
from selectools.types import Message, Role


def user(text: str) -> Message:
    return Message(role=Role.USER, content=text)


def assistant(text: str) -> Message:
    return Message(role=Role.ASSISTANT, content=text)


def turns(*numbers: int) -> list[Message]:
    """A question and an answer for each number."""
    return [
        message
        for number in numbers
        for message in (user(f"question {number}"), assistant(f"answer {number}"))
    ]


def memory(*messages: Message, max_messages: int = 100_000, **options: Any) -> ConversationMemory:
    made = ConversationMemory(max_messages=max_messages, **options)
    made.add_many(list(messages))
    return made


def texts(of: Any) -> list[str]:
    return [message.content for message in of.get_history()]
