"""Writes that run once, even if they are sent several times."""

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
"""The classes of results that are not JSON."""

ANSWER_SECONDS = 3600
"""How many seconds the answer of a request is stored."""


class Requests(ABC):
    """Stores the answers of writes, for one kind of database."""

    @abstractmethod
    def run(
        self, connection: BaseDatabaseWrapper, request: UUID | None, operation: Callable[[], T]
    ) -> T:
        """Return the result of ``operation``, or the stored one of the id ``request``.

        Errors are not stored. Raise OutcomeUnknown if the answer was lost.
        """

    @abstractmethod
    def forget(self, connection: BaseDatabaseWrapper, user_id: str) -> int:
        """Delete the user's requests; return their number."""


def is_encodable(result: Any) -> bool:
    """Whether it is the result of a single write."""
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
