"""Serialized states and values, taken apart without making the objects that they name."""

import json
from typing import Any

from parlant_store.transfer.readers.base import Unreadable
from parlant_store.types import JSONObject, TypedBytes


class Encrypted(Unreadable):
    """A state whose values are encrypted together."""


def load(type_: str, data: bytes) -> Any:
    """Return the value; raise Unreadable. Only ``dump`` knows its parts of types of their own."""
    try:
        if type_ == "msgpack":
            return _unpack(data)
        if type_ == "json":
            return json.loads(data)
    except (TypeError, ValueError, RecursionError) as exc:
        raise Unreadable(f"it is no {type_}: {exc}") from exc
    if "+" in type_:
        raise Encrypted("its checkpoints are encrypted, each as a whole with its values")
    raise Unreadable(f"its serialization is {type_!r}, and neither msgpack nor json")


def load_object(type_: str, data: bytes) -> JSONObject:
    value = load(type_, data)
    if not isinstance(value, dict):
        raise Unreadable("it is no object")
    return value


def dump(type_: str, value: Any) -> TypedBytes:
    """Return the value serialized as LangGraph does; the reverse of ``load``. Raise Unreadable."""
    import ormsgpack

    if type_ == "msgpack":
        try:
            data = ormsgpack.packb(value, option=ormsgpack.OPT_NON_STR_KEYS)
        except ormsgpack.MsgpackEncodeError:
            # Such as an integer of more than 64 bits.
            return dump("json", value)
        return TypedBytes("msgpack", data)
    try:
        return TypedBytes("json", json.dumps(value).encode())
    except (TypeError, ValueError, RecursionError) as exc:
        raise Unreadable(f"a part of it cannot be serialized: {exc}") from exc


def _unpack(data: bytes) -> Any:
    import ormsgpack

    return ormsgpack.unpackb(data, ext_hook=ormsgpack.Ext, option=ormsgpack.OPT_NON_STR_KEYS)
