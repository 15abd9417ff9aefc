"""The ids, namespaces and words of memories, which are documents of the collection MEMORIES.

A memory is a value under a key in a namespace, which is a path of labels::

    {"id": "users.42..name", "namespace": ["users", "42"], "key": "name",
     "value": {"text": "Ada"}, "creation_utc": "2030-01-01T00:00:00+00:00"}

Labels are not empty and contain no dot. Therefore the first two dots of an id end the namespace,
and in the order of ids, all memories below a namespace are between "users.42." and "users.42/", the
slash being the next character after the dot: a range of the unique index.

``ttl`` is the number of seconds after which the memory expires, if it does; ``customer_id`` is the
user whose memory it is, if there is one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from parlant_store.content import codec
from parlant_store.content.text_search import words
from parlant_store.exceptions import InvalidName
from parlant_store.types import JSONObject, NamespaceMatch

Namespace = tuple[str, ...]

ANY = "*"
"""Matches any label in the path of a NamespaceMatch."""

_END = ".."
_NEXT = "/"
"""The next character after the dot."""

MAX_NAMESPACE_BYTES = codec.MAX_COLUMN_BYTES - 72
"""A namespace of fewer bytes is whole in the column of an id, which may be shortened."""


def check_namespace(namespace: object, what: str = "namespace") -> Namespace:
    """Return the labels; raise InvalidName unless they are texts without a dot or NUL."""
    if isinstance(namespace, str) or not isinstance(namespace, Sequence):
        raise InvalidName(f"a {what} must be a tuple of labels, not {type(namespace).__name__}")
    for label in namespace:
        codec.check_name(label, f"a label of the {what}")
        if "." in label:
            raise InvalidName(f"a label of the {what} must not contain a dot: {label!r}")
    return tuple(namespace)


def memory_id(namespace: Namespace, key: str) -> str:
    """Return the id of a memory; no other namespace and key have the same."""
    return f"{'.'.join(namespace)}{_END}{key}"


def namespace_of(document_id: str) -> str:
    """Return the namespace in an id, as text with dots between the labels."""
    return document_id.partition(_END)[0]


def labels_of(namespace: str) -> Namespace:
    return tuple(namespace.split(".")) if namespace else ()


class IdRange(NamedTuple):
    """The ids of all memories in a namespace and below, in the form of their column."""

    first: str
    end: str | None
    """The first value after the range; None: unlimited."""

    start: str | None = None
    """What the whole ids also start with, escaped, if it is too long for the column."""


def ids_below(namespace: Namespace) -> IdRange:
    if not namespace:
        return IdRange("", None)
    joined = codec.escape(".".join(namespace))
    if len(joined.encode()) < MAX_NAMESPACE_BYTES:
        return IdRange(f"{joined}.", f"{joined}{_NEXT}")
    start = joined.encode()[:MAX_NAMESPACE_BYTES].decode(errors="ignore")
    return IdRange(start, None, f"{joined}.")


def id_after(column: str, namespace: str, *, below: bool = False) -> str:
    """Return the first possible id after those of a namespace, and with ``below`` all below it.

    ``column`` is the id of one of its memories in the form of the column, ``namespace`` is escaped
    text. If the namespace is too long for the column, this is the next id after ``column``.
    """
    after = f"{namespace}{_NEXT}" if below else f"{namespace}.{_NEXT}"
    is_whole = len(namespace.encode()) < MAX_NAMESPACE_BYTES
    return after if is_whole and after > column else f"{column}\x01"


def prefix_of_all(conditions: Sequence[NamespaceMatch]) -> Namespace:
    """Return the longest path without ANY with which all namespaces start that match."""
    paths = [condition.path for condition in conditions if not condition.is_suffix]
    literal = [path[: path.index(ANY)] if ANY in path else path for path in paths]
    return max(literal, key=len, default=())


def is_match(namespace: Namespace, conditions: Sequence[NamespaceMatch]) -> bool:
    """Whether the labels match all conditions."""
    return all(_matches(namespace, condition) for condition in conditions)


def _matches(namespace: Namespace, condition: NamespaceMatch) -> bool:
    path = condition.path
    if len(path) > len(namespace):
        return False
    labels = namespace[len(namespace) - len(path) :] if condition.is_suffix else namespace
    return all(part in (ANY, label) for part, label in zip(path, labels, strict=False))


def is_memory(document: JSONObject) -> bool:
    """Whether it has the fields of a memory: users of Supabase may write any document."""
    return (
        isinstance(document.get("key"), str)
        and isinstance(document.get("value"), dict)
        and isinstance(document.get("namespace"), list)
        and all(isinstance(label, str) for label in document["namespace"])
    )


def memory_words(value: Any) -> list[str] | None:
    """Return the words of all texts in the value of a memory; None if there are none."""
    return words(" ".join(map(codec.printable, _texts(value)))) or None


def _texts(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, Mapping):
            pending += reversed([*part.values()])
        elif isinstance(part, (list, tuple)):
            pending += reversed(part)
