"""The related documents of a Parlant session.

The functions of sql/functions/related_documents.sql do the same in SQL.

A Parlant session is a document in a collection whose name is a prefix and "sessions". Its related
documents have its id in ``session_id`` and are in collections of the same prefix.

A collection has one prefix: the longest that its name starts with and that has a collection of
sessions, or of sessions whose migration failed. Beside "parlant_sessions_sessions", the collection
"parlant_sessions_events" has neither the prefix "parlant_" nor "", even if "parlant_sessions" and
"sessions" exist.
"""

from collections.abc import Collection, Iterable

from parlant_store.types import FAILED

SESSIONS = "sessions"
"""The suffix of the names of collections with Parlant's sessions."""

METADATA = "metadata"
"""The suffix of the names of collections with the version of the others."""


def sessions_prefix(collection: str) -> str | None:
    """Return the prefix before "sessions" in the name; None for other collections."""
    return collection.removesuffix(SESSIONS) if collection.endswith(SESSIONS) else None


def session_prefixes(names: Iterable[str]) -> set[str]:
    """Return all prefixes, given the names of all collections."""
    prefixes = (sessions_prefix(name.removesuffix(FAILED)) for name in names)
    return {prefix for prefix in prefixes if prefix is not None}


def prefix_of(collection: str, prefixes: Collection[str]) -> str | None:
    """Return the prefix of the collection among ``prefixes``, or None."""
    name = collection.removesuffix(FAILED)
    beginnings = (name[:length] for length in range(len(name), -1, -1))
    return next((beginning for beginning in beginnings if beginning in prefixes), None)


def collections_by_prefix(
    names: Collection[str], prefixes: Collection[str]
) -> dict[str, list[str]]:
    """Return the names of the collections of each prefix."""
    collections: dict[str, list[str]] = {prefix: [] for prefix in prefixes}
    for name in names:
        prefix = prefix_of(name, prefixes)
        if prefix is not None:
            collections[prefix].append(name)
    return collections
