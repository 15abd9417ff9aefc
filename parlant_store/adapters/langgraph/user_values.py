"""Deserialization of values that users of Supabase wrote.

LangGraph's serializer imports and calls what the bytes name, unless it is strict: then it
constructs only types that LangGraph lists as safe, and returns the arguments of others.
"""

import json
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import ormsgpack
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from parlant_store.exceptions import UnreadableValue
from parlant_store.types import USER_MARK, TypedBytes

if TYPE_CHECKING:
    from langgraph.checkpoint.serde.base import SerializerProtocol

Names = tuple[str, ...]
"""A module and a class in it."""

MAX_LEVELS = 8
"""Limit on objects inside objects: each level may be arrays that take much of the stack."""

MAX_NAME = 200
"""Limit on the characters of a module or class: LangGraph caches the names of unsafe ones."""

_NAMED = range(6)
"""The codes of msgpack extensions of which the first two elements are a module and a name."""


def load(value: TypedBytes, serde: "SerializerProtocol", allowed: Collection[Names] = ()) -> Any:
    """Return the value, of LangGraph's safe types and those in ``allowed`` only.

    ``serde`` is used for its cipher, if it is an EncryptedSerializer. Raise UnreadableValue if
    the type is not one of LangGraph's, or the bytes are not of that type.
    """
    strict: SerializerProtocol = _Strict(allowed_msgpack_modules=allowed or None)
    if isinstance(serde, EncryptedSerializer):
        strict = EncryptedSerializer(serde.cipher, strict)
    type_ = value.type.removeprefix(USER_MARK)
    try:
        return strict.loads_typed((type_, value.data))
    except Exception as exc:
        raise UnreadableValue(
            f"a value of the type {type_[:MAX_NAME]!r}, which a user wrote, cannot be deserialized"
        ) from exc


class _Strict(JsonPlusSerializer):
    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        type_, value = data
        if type_ == "json":
            # LangChain's reviver constructs objects, also from the environment.
            return json.loads(value)
        if type_ == "msgpack":
            _unpack(value, _checked(MAX_LEVELS))
        return super().loads_typed(data)


def _checked(levels: int) -> Callable[[int, bytes], Any]:
    """Return a hook that checks an extension and the ones in it, and constructs nothing."""

    def check(code: int, data: bytes) -> Any:
        if levels == 0:
            raise ValueError("too many objects are inside one another")
        content = _unpack(data, _checked(levels - 1))
        if code in _NAMED and not all(
            isinstance(name, str) and len(name) <= MAX_NAME for name in content[:2]
        ):
            raise ValueError("an object has no name")

    return check


def _unpack(data: bytes, hook: Callable[[int, bytes], Any]) -> Any:
    return ormsgpack.unpackb(data, ext_hook=hook, option=ormsgpack.OPT_NON_STR_KEYS)
