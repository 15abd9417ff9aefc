"""Parlant's ``DocumentDatabase`` (parlant.core.persistence) on a store.

::

    import parlant.sdk as p
    from parlant_store.adapters.parlant import server_stores

    async with p.Server(**server_stores()) as server:
        ...
"""

from parlant_store.adapters.extras import missing_extra

try:
    import parlant.core.persistence.document_database  # noqa: F401
except ImportError as exc:
    raise missing_extra("parlant", "Parlant") from exc

from parlant_store.adapters.parlant.collection import DocumentCollection
from parlant_store.adapters.parlant.database import DocumentDatabase
from parlant_store.adapters.parlant.server import configure_container, server_stores
from parlant_store.adapters.parlant.turns import list_turns

__all__ = [
    "DocumentCollection",
    "DocumentDatabase",
    "configure_container",
    "list_turns",
    "server_stores",
]
