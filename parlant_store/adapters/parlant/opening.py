"""Opening a collection: documents of old versions are migrated, the others left unread."""

import copy
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

from parlant_store import query
from parlant_store.adapters.parlant.collection import Logger
from parlant_store.adapters.waiting import run
from parlant_store.backends.base import BaseBackend
from parlant_store.exceptions import DuplicateDocument, InvalidInput
from parlant_store.types import FAILED, PROMOTED, JSONObject, Replacement, StoredDocument

Loader = Callable[[JSONObject], Awaitable[JSONObject | None]]

BATCH = 200

MAX_PASSES = 5
"""How often documents are read again that somebody changed while they were migrated."""


async def open_collection(
    store: BaseBackend, collection: str, loader: Loader, logger: Logger
) -> None:
    """Have ``loader`` convert the documents of ``collection`` that are of an old version.

    One document of each version tells whether the loader changes that version; documents
    without one are all shown to it. A document that it refuses (None) or raises on moves to
    ``<collection>_failed_migrations``, in one step, as ``{"document": the original,
    "reason": text, "collection": name}``. What somebody changes meanwhile is read again,
    never overwritten. Any number of processes may open a collection at once.
    """
    for sample in await run(store, store.list_versions, collection):
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
    """The documents of one version on their way to the loader's."""

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
        self._reasons: list[str] = []

    async def run(self) -> None:
        for _ in range(MAX_PASSES):
            if await self._pass_over_all():
                break
        else:
            self._logger.warning(
                f"Others go on writing documents of {self._collection} in version "
                f"{self._version!r}: those are left for the next time it is opened"
            )
        if self._migrated:
            self._logger.info(
                f"Migrated {self._migrated} documents of {self._collection} "
                f"from version {self._version!r}"
            )
        if self._reasons:
            self._logger.warning(
                f"Moved {len(self._reasons)} documents of {self._collection} to "
                f"{self._collection}{FAILED}, the first because: {self._reasons[0]}"
            )

    async def _pass_over_all(self) -> bool:
        """Migrate each document once; False when somebody changed one meanwhile."""
        after, undisturbed = None, True
        while True:
            batch = await run(
                self._store,
                self._store.read_version,
                self._collection,
                self._version,
                after=after,
                limit=BATCH,
            )
            replacements = [new for one in batch if (new := await self._replacement(one))]
            undisturbed &= await self._replace(replacements)
            if len(batch) < BATCH:
                return undisturbed
            after = batch[-1]

    async def _replacement(self, stored: StoredDocument) -> Replacement | None:
        """What is to take the document's place; None when it is current."""
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
            done = await run(self._store, self._store.replace, replacements)
        except (DuplicateDocument, InvalidInput) as exc:
            if len(replacements) > 1:
                return all([await self._replace([one]) for one in replacements])
            return await self._replace([self._failed(replacements[0].stored, str(exc))])
        for replacement, replaced in zip(replacements, done, strict=True):
            if replaced and replacement.collection == self._collection:
                self._migrated += 1
            elif replaced:
                self._reasons.append(replacement.document["reason"])
        return all(done)

    def _failed(self, stored: StoredDocument, reason: str) -> Replacement:
        """The original beside the reason, found under the same people and sessions."""
        found_by = {
            field: value
            for field in PROMOTED
            if field not in ("id", "creation_utc")
            and isinstance(value := stored.document.get(field), str)
        }
        document = {
            **found_by,
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
