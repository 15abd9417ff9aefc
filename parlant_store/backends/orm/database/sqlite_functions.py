"""Python functions that statements on SQLite call."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper

_created: WeakKeyDictionary[BaseDatabaseWrapper, tuple[Any, set[str]]] = WeakKeyDictionary()
"""The connection of the driver, and the functions that were created on it."""


def create_function(
    connection: BaseDatabaseWrapper,
    name: str,
    parameters: int,
    function: Callable[..., Any],
    *,
    deterministic: bool = False,
) -> None:
    """Create a function, unless it exists.

    If SQLite replaces one, it compiles all statements again.
    """
    connection.ensure_connection()
    raw, names = _created.get(connection, (None, set[str]()))
    if raw is not connection.connection:
        raw, names = _created[connection] = connection.connection, set[str]()
    if name not in names:
        raw.create_function(name, parameters, function, deterministic=deterministic)
        names.add(name)
