"""The operations of a batch as calls of a store."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

from langgraph.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    validate_op_namespace,
)

from parlant_store.adapters.langgraph.filters import where_of
from parlant_store.content.memories import check_namespace
from parlant_store.content.query import kind_of
from parlant_store.content.times import MAX_TTL_SECONDS, as_utc
from parlant_store.exceptions import InvalidFilter, InvalidItem, InvalidLimit, NotSupported
from parlant_store.types import Memory, MemoryChange, NamespaceMatch

NO_VECTORS = (
    "the option index asks for vectors, which this store does not have: leave it out, or pass "
    "index=False; the query of a search finds words in the texts of values"
)

_TYPES = ("prefix", "suffix")


def _ignore(result: Any) -> None:
    pass


class StoreCall(NamedTuple):
    """A call of a method of the store."""

    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    take: Callable[[Any], None] = _ignore
    """Called with the result."""


class Batch:
    """The operations of a batch.

    The reads come before the writes, and the last write of each key counts. Raise ValueError or
    NotSupported if an operation is invalid.
    """

    def __init__(self, ops: Iterable[Op], user_label: int | None) -> None:
        """``user_label``: the place in namespaces of the label that is the id of a user."""
        self.results: list[Result] = []
        self._user_label = user_label
        self._gets: dict[bool, list[tuple[int, GetOp]]] = {}
        self._reads: list[StoreCall] = []
        self._puts: dict[tuple[tuple[str, ...], str], MemoryChange] = {}
        for place, op in enumerate(ops):
            validate_op_namespace(op)
            self.results.append(None)
            self._add(place, op)

    def calls(self) -> list[StoreCall]:
        """Return the calls, in their order: all gets are one, or two, and all puts are one."""
        gets = [self._get(ops, refresh) for refresh, ops in self._gets.items()]
        return [*gets, *self._reads, *self._write()]

    def _add(self, place: int, op: Any) -> None:
        if isinstance(op, GetOp):
            self._gets.setdefault(bool(op.refresh_ttl), []).append((place, op))
        elif isinstance(op, SearchOp):
            self._reads.append(self._search(place, op))
        elif isinstance(op, ListNamespacesOp):
            self._reads.append(self._list(place, op))
        elif isinstance(op, PutOp):
            self._puts[tuple(op.namespace), op.key] = self._change(op)
        else:
            raise InvalidItem(f"{type(op).__name__} is no operation of a store")

    def _get(self, ops: list[tuple[int, GetOp]], refresh: bool) -> StoreCall:
        def take(memories: list[Memory | None]) -> None:
            for (place, _), memory in zip(ops, memories, strict=True):
                self.results[place] = None if memory is None else _item(memory)

        names = [(op.namespace, op.key) for _, op in ops]
        return StoreCall("get_memories", (names,), {"refresh": refresh}, take)

    def _search(self, place: int, op: SearchOp) -> StoreCall:
        def take(memories: list[Memory]) -> None:
            self.results[place] = list(map(_search_item, memories))

        options = {
            "search": op.query,
            "limit": op.limit,
            "offset": op.offset,
            "refresh": bool(op.refresh_ttl),
        }
        return StoreCall(
            "search_memories", (op.namespace_prefix, where_of(op.filter)), options, take
        )

    def _list(self, place: int, op: ListNamespacesOp) -> StoreCall:
        conditions = [_condition(condition) for condition in op.match_conditions or ()]
        options = {"max_depth": op.max_depth, "limit": op.limit, "offset": op.offset}
        take = partial(self.results.__setitem__, place)
        return StoreCall("list_memory_namespaces", (conditions,), options, take)

    def _change(self, op: PutOp) -> MemoryChange:
        if op.index not in (None, False):
            raise NotSupported(NO_VECTORS)
        return MemoryChange(
            namespace=op.namespace,
            key=op.key,
            value=op.value,
            ttl_seconds=seconds(op.ttl),
            user_id=self._user_of(op.namespace),
        )

    def _user_of(self, namespace: Sequence[str]) -> str | None:
        place = self._user_label
        return None if place is None or place >= len(namespace) else namespace[place]

    def _write(self) -> list[StoreCall]:
        changes = [*self._puts.values()]
        return [StoreCall("write_memories", (changes,), {})] if changes else []


def seconds(minutes: Any) -> float | None:
    """Return a ttl of LangGraph in seconds; raise InvalidLimit if it is invalid."""
    if minutes is None:
        return None
    if kind_of(minutes) != "number" or not 0 < minutes <= MAX_TTL_SECONDS // 60:
        raise InvalidLimit(
            "a ttl must be None or a number of minutes above 0 and at most "
            f"{MAX_TTL_SECONDS // 60:,}, not {minutes!r}"
        )
    return cast(float, minutes * 60)


def _condition(condition: MatchCondition) -> NamespaceMatch:
    if condition.match_type not in _TYPES:
        raise InvalidFilter(f"{condition.match_type!r} is no type of match: {' or '.join(_TYPES)}")
    path, is_suffix = condition.path, condition.match_type == "suffix"
    return NamespaceMatch(path=check_namespace(path, condition.match_type), is_suffix=is_suffix)


def _item(memory: Memory) -> Item:
    return Item(**_fields(memory))


def _search_item(memory: Memory) -> SearchItem:
    score = None if memory.score is None else float(memory.score)
    return SearchItem(**_fields(memory), score=score)


def _fields(memory: Memory) -> dict[str, Any]:
    return {
        "namespace": memory.namespace,
        "key": memory.key,
        "value": memory.value,
        "created_at": as_utc(memory.created_at),
        "updated_at": as_utc(memory.updated_at),
    }
