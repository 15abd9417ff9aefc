"""Filters and sorts as SQL, for SQLite and PostgreSQL."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from parlant_store.content import codec
from parlant_store.content.query import AllOf, AnyOf, Compare, Filter, In
from parlant_store.sql.index_expressions import TEXT_FIELDS, indexed_text
from parlant_store.types import PROMOTED, Direction, DocumentCursor

Sql = tuple[str, list[Any]]

CREATED = "COALESCE(creation_utc, '')"
ID = "COALESCE(id, '')"

AFTER = {"asc": ">", "desc": "<"}
NULLS = {"asc": "NULLS FIRST", "desc": "NULLS LAST"}
SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def joined(parts: Iterable[Sql], operator: str, empty: str) -> Sql:
    """Join ``parts``, nested in halves, because SQLite limits the depth of expressions."""
    parts = list(parts)
    if not parts:
        return empty, []
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    left, right = (joined(half, operator, empty) for half in (parts[:middle], parts[middle:]))
    return f"({left[0]} {operator} {right[0]})", left[1] + right[1]


class Renderer(ABC):
    """Renders filters and sorts as SQL of one kind of database."""

    vendor: str

    def __init__(self, column: str = "data", promoted: Sequence[str] = PROMOTED) -> None:
        """``column``: the column with the JSON; ``promoted``: fields that have columns too."""
        self.column = column
        self.promoted = promoted

    def where(self, filter_: Filter) -> Sql:
        """Return the condition of ``filter_``, with its parameters."""
        match filter_:
            case AllOf(parts):
                return joined(map(self.where, parts), "AND", "TRUE")
            case AnyOf(parts):
                return joined(map(self.where, parts), "OR", "FALSE")
            case Compare():
                return self.compare(filter_)
            case In(field, values, negated):
                sql, params = self._in(field, values)
                return (f"({sql}) IS NOT TRUE" if negated else sql), params

    def _in(self, field: str, values: Sequence[Any]) -> Sql:
        texts = [value for value in values if isinstance(value, str)]
        others = [value for value in values if not isinstance(value, str) and value is not None]
        parts: list[Sql] = []
        if texts:
            parts.append(self._text_in(field, texts))
        if others:
            parts.append(self.value_in(field, others))
        if len(texts) + len(others) < len(values):
            parts.append(self.is_null(field))
        return joined(parts, "OR", "FALSE")

    def _text_in(self, field: str, texts: list[str]) -> Sql:
        if field in self.promoted:
            return self.one_of(field, [codec.to_column(text) for text in texts])
        sql, params = self.value_in(field, texts)
        if not self.has_index(field):
            return sql, params
        # The first two conditions use the index, whose expression may be shortened; the last one
        # is exact.
        prefixes = [codec.escape(text)[: self.prefix] for text in texts]
        indexed = indexed_text(self.vendor, self.column, field)
        condition, prefix_params = self.one_of(indexed, prefixes)
        return f"({indexed} IS NOT NULL AND {condition} AND {sql})", prefix_params + params

    prefix: int | None = None
    """The number of characters of a text in an index; None: all of them."""

    def has_index(self, field: str) -> bool:
        """Whether there may be an index on the field as text."""
        return field in TEXT_FIELDS

    @abstractmethod
    def one_of(self, expression: str, texts: list[str]) -> Sql:
        """Return the condition that ``expression`` is one of ``texts``."""

    @abstractmethod
    def value_in(self, field: str, values: Sequence[Any]) -> Sql:
        """Return the condition that the field is one of ``values``, without None."""

    @abstractmethod
    def is_null(self, field: str) -> Sql:
        """Return the condition that the field is null or missing."""

    @abstractmethod
    def compare(self, filter_: Compare) -> Sql:
        """Return the condition that the field is of the operand's kind and compares with it."""

    @abstractmethod
    def sort_keys(self, field: str, direction: Direction) -> list[Sql]:
        """Return expressions that sort by the field: null, booleans, texts, numbers."""

    def order(self, filter_: Filter, direction: Direction) -> str:
        """Return the order of find, for a statement with ``filter_``."""
        return f"{CREATED} {direction}, {ID} {direction}"

    def after(self, cursor: DocumentCursor, direction: Direction) -> Sql:
        """Return the condition for documents after ``cursor`` in the order of find."""
        created, id_ = codec.to_column(cursor.creation_utc), codec.to_column(cursor.id)
        return f"({CREATED}, {ID}) {AFTER[direction]} (%s, %s)", [created, id_]

    def order_by(self, filter_: Filter, sort: Sequence[tuple[str, Direction]]) -> Sql:
        """Return the order of ``sort``, followed by that of find."""
        keys: list[str] = []
        params: list[Any] = []
        for field, direction in sort:
            for sql, key_params in self.sort_keys(field, direction):
                keys.append(sql)
                params += key_params
        return ", ".join([*keys, self.order(filter_, "asc")]), params
