"""Migration of documents of old versions when a collection is opened."""

import copy
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

from parlant_store.adapters.parlant.collection import Logger
from parlant_store.backends.base import BaseBackend
from parlant_store.content import query
from parlant_store.exceptions import DuplicateDocument, InvalidInput
from parlant_store.types import FAILED, PROMOTED, JSONObject, Replacement, StoredDocument

Loader = Callable[[JSONObject], Awaitable[JSONObject | None]]

BATCH_SIZE = 200

MAX_PASSES = 5
"""Limit on the passes over documents that other writers change during their migration."""


async def migrate_collection(
    store: BaseBackend, collection: str, loader: Loader, logger: Logger
) -> None:
    """Convert the documents of an old version in ``collection`` with ``loader``.

    One document of each version shows whether the loader changes that version; the loader gets
    all documents without a version. If it returns None or raises an error, the document moves to
    ``<collection>_failed_migrations``, in one transaction, as ``{"document": the original,
    "reason": text, "collection": name}``. A document that another writer changes during its
    migration is read again, never overwritten. Any number of processes may do this at once.
    """
    for sample in await store.alist_versions(collection):
        version = _version(sample.document)
        if version is None or not await _is_current(sample, loader):
            await _Migration(store, collection, loader, logger, version).run()


async def _is_current(sample: StoredDocument, loader: Loader) -> bool:
    try:
        loaded = await loader(copy.deepcopy(sample.document))
    except Exception:
        return False
    return query.same(loaded, sample.document)


class _Migration:
    """The migration of all documents of one version."""

    def __init__(
        self,
        store: BaseBackend,
        collection: str,
        loader: Loader,
        logger: Logger,
        version: str | None,
    ) -> None:
        self._store = store
        self._collection = collection
        self._loader = loader
        self._logger = logger
        self._version = version
        self._migrated = 0
        self._failures = 0

    async def run(self) -> None:
        for _ in range(MAX_PASSES):
            if await self._migrate_all():
                break
        else:
            self._logger.warning(
                f"Other processes keep writing documents of {self._collection} in version "
                f"{self._version!r}: these are left for the next time it is opened"
            )
        if self._migrated:
            self._logger.info(
                f"Migrated {self._migrated} documents of {self._collection} "
                f"from version {self._version!r}"
            )
        if self._failures:
            self._logger.warning(
                f"Moved {self._failures} documents of {self._collection} to "
                f"{self._collection}{FAILED}"
            )

    async def _migrate_all(self) -> bool:
        """Migrate each document once; return False if another writer changed one of them."""
        after, is_complete = None, True
        while True:
            batch = await self._store.aread_version(
                self._collection,
                self._version,
                after=after,
                limit=BATCH_SIZE,
            )
            replacements = [new for stored in batch if (new := await self._replacement(stored))]
            is_complete &= await self._replace(replacements)
            if len(batch) < BATCH_SIZE:
                return is_complete
            after = batch[-1]

    async def _replacement(self, stored: StoredDocument) -> Replacement | None:
        """Return the replacement for the document, or None if its version is current."""
        try:
            loaded = await self._loader(copy.deepcopy(stored.document))
        except Exception as exc:
            return self._failed(stored, f"{type(exc).__name__}: {exc}")
        if loaded is None:
            return self._failed(stored, "the loader refused it")
        if query.same(loaded, stored.document):
            return None
        return Replacement(stored=stored, document=loaded, collection=self._collection)

    async def _replace(self, replacements: list[Replacement]) -> bool:
        try:
            outcomes = await self._store.areplace(replacements)
        except (DuplicateDocument, InvalidInput) as exc:
            if len(replacements) > 1:
                return all([await self._replace([replacement]) for replacement in replacements])
            return await self._replace([self._failed(replacements[0].stored, str(exc))])
        for replacement, replaced in zip(replacements, outcomes, strict=True):
            if replaced and replacement.collection == self._collection:
                self._migrated += 1
            elif replaced:
                self._failures += 1
                self._log_failure(replacement)
        return all(outcomes)

    def _log_failure(self, replacement: Replacement) -> None:
        document = replacement.stored.document
        label = repr(document["id"]) if "id" in document else "a document without an id"
        self._logger.warning(
            f"Could not migrate {label} of {self._collection} from version "
            f"{self._version!r}: {replacement.document['reason']}"
        )

    def _failed(self, stored: StoredDocument, reason: str) -> Replacement:
        """Return the replacement with the reason, found by the same session, customer and agent."""
        owners = {
            field: value
            for field in PROMOTED
            if field not in ("id", "creation_utc")
            and isinstance(value := stored.document.get(field), str)
        }
        document = {
            **owners,
            "id": uuid4().hex,
            "creation_utc": datetime.now(UTC).isoformat(),
            "collection": self._collection,
            "reason": reason,
            "document": stored.document,
        }
        return Replacement(stored=stored, document=document, collection=self._collection + FAILED)


def _version(document: JSONObject) -> str | None:
    version = document.get("version")
    return version if isinstance(version, str) else None
