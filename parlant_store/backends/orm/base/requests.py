"""Writes that are done once, however often they are sent."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.types import Revision, UpdateResult

T = TypeVar("T")

_VALUES = {value.__name__: value for value in (Revision, UpdateResult)}
"""What writes return that JSON has no word for."""

ANSWER_SECONDS = 3600
"""For how many seconds an answer is stored under the id of its request."""


class Requests(ABC):
    """How the answers of writes are stored, on a connection of one kind of database."""

    @abstractmethod
    def run(
        self, connection: BaseDatabaseWrapper, request: UUID | None, operation: Callable[[], T]
    ) -> T:
        """Return what ``operation`` returns, or returned before under the id ``request``.

        Errors are not stored. Raises OutcomeUnknown.
        """

    @abstractmethod
    def forget(self, connection: BaseDatabaseWrapper, user_id: str) -> int:
        """Remove the user's requests; return how many there were."""


def is_encodable(result: Any) -> bool:
    """Whether it is what a single write returns."""
    if isinstance(result, list):
        return all(isinstance(each, int) for each in result)
    return result is None or isinstance(result, (int, str, dict, *_VALUES.values()))


def encoded(result: Any) -> str:
    if isinstance(result, (Revision, UpdateResult)):
        return json.dumps([type(result).__name__, asdict(result)])
    return json.dumps([None, result])


def decoded(answer: str) -> Any:
    kind, value = json.loads(answer)
    return value if kind is None else _VALUES[kind](**value)
