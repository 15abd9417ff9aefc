"""Memories: values that agents keep beyond a session, each under a key in a namespace."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from parlant_store.types.json_values import JSONObject

MEMORIES = "langgraph_store"
"""The collection with the documents of memories (parlant_store.content.memories)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """A value in a namespace."""

    namespace: tuple[str, ...]

    key: str

    value: JSONObject

    created_at: datetime
    """When its key was first written."""

    updated_at: datetime
    """When its value was last written."""

    score: int | None = None
    """The number of matches of a search by words; None without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryChange:
    """A value to write, or to delete."""

    namespace: tuple[str, ...]

    key: str

    value: Mapping[str, Any] | None
    """The new value; None deletes the memory."""

    ttl_seconds: float | None = None
    """How long after its last use the memory expires; None: never."""

    user_id: str | None = None
    """The user whose memory it is, which is exported and erased with the data of the user."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamespaceMatch:
    """A condition on namespaces: that they start or end with the labels of ``path``."""

    path: tuple[str, ...]
    """"*" stands for any label."""

    is_suffix: bool = False
