"""A register of all collections, also empty ones, and the table_prefix that each belongs to.

The full name of a collection does not determine its prefix: "app_" with "eu_tags" and "app_eu_"
with "tags" are the same name. The register is a collection with a document for each. Its name
ends in "metadata", because retention rules do not apply to such collections.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.reads import primary_reads
from parlant_store.exceptions import AccessDenied, DuplicateDocument
from parlant_store.types import OWNERS


async def is_registered(store: BaseBackend, prefix: str, name: str) -> bool:
    """Whether the collection exists, of this prefix; raise an error if another prefix has it."""
    owner = await _read_owner(store, prefix + name)
    if owner is not None:
        _check(owner, prefix, name)
    return owner is not None


async def register(store: BaseBackend, prefix: str, name: str) -> None:
    """Register the collection for ``prefix``.

    Raises ImproperlyConfigured if it belongs to another prefix. Any number of processes may do
    this at once: the first one wins.
    """
    if await is_registered(store, prefix, name):
        return
    owner = {"id": prefix + name, "table_prefix": prefix, "name": name}
    try:
        await store.ainsert_one(OWNERS, owner)
    except DuplicateDocument:
        await is_registered(store, prefix, name)
    except AccessDenied:
        pass  # A role with access to some documents only cannot register collections.


async def unregister(store: BaseBackend, prefix: str, name: str) -> None:
    """Delete the collection from the register, if it is of this prefix."""
    where = {"id": {"$eq": prefix + name}, "table_prefix": {"$eq": prefix}}
    await store.adelete_one(OWNERS, where)


async def _read_owner(store: BaseBackend, collection: str) -> dict[str, Any] | None:
    with primary_reads():
        return await store.afind_one(OWNERS, {"id": {"$eq": collection}})


def _check(owner: dict[str, Any], prefix: str, name: str) -> None:
    other, other_name = owner.get("table_prefix"), owner.get("name")
    if other == prefix:
        return
    raise ImproperlyConfigured(
        f"the collection {name!r} of table_prefix {prefix!r} would be the collection "
        f"{other_name!r} of table_prefix {other!r}: both are {prefix + name!r} in the store. Give "
        "one of the two databases another table_prefix, so that neither prefix starts with the "
        f"other; or, if {other!r} is no longer used, delete the document {prefix + name!r} from "
        f"the collection {OWNERS!r}"
    )
