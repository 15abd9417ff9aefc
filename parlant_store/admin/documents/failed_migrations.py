"""Failed migrations: documents set aside when their collection was opened, and put back.

They are ``{"document": the original, "reason": text, "collection": name}``, as
parlant_store.adapters.parlant.migration leaves them. The name of the collection in which they are
says where they are from; one that says otherwise itself stays.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connections, router, transaction
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.translation import gettext as _

from parlant_store.admin.batches import batches
from parlant_store.admin.documents.collections import collection_names
from parlant_store.backends.columns import stored
from parlant_store.backends.contract.validation import check_collection, check_document
from parlant_store.backends.orm import OrmBackend
from parlant_store.backends.orm.references.deletion import delete_groups, lock_rows
from parlant_store.content import codec
from parlant_store.exceptions import DuplicateDocument, StoreError
from parlant_store.models import Document
from parlant_store.types import FAILED, JSONObject, Replacement, StoredDocument

BATCH = 200


class Original(NamedTuple):
    """What a failed migration has set aside."""

    document: JSONObject
    collection: str
    """What the document says; the name of the collection in which it is decides."""

    reason: str


class Refused(NamedTuple):
    """A document that stays where it is."""

    name: str
    why: str


class Retried(NamedTuple):
    """What became of the chosen ones."""

    done: list[Document]
    """With their keys, and their names as people read them."""

    refused: list[Refused]


def is_failed(document: Document) -> bool:
    return bool(document.collection.endswith(FAILED))


def original_of(data: Any) -> Original | None:
    """None when ``data`` are of another shape."""
    match data:
        case {"document": dict(document), "collection": str(collection), "reason": str(reason)}:
            return Original(document, collection, reason)
    return None


def failed(documents: QuerySet[Any]) -> QuerySet[Any]:
    """Return the failed migrations among ``documents``."""
    names = collection_names(router.db_for_write(Document))
    failed = documents.filter(collection__in=[name for name in names if name.endswith(FAILED)])
    return failed.order_by("collection", "document_id")


def retry(keys: Sequence[int]) -> Retried:
    """Put the originals back into their collections, all in one transaction.

    The next opening of a collection migrates them again. One whose id another document has
    taken meanwhile stays set aside.
    """
    putting = _Putting(router.db_for_write(Document))
    with transaction.atomic(using=putting.alias):
        for batch in batches(keys, BATCH):
            putting.put_back(batch)
    return putting.retried


class _Putting:
    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.retried = Retried([], [])
        self._documents = Document.objects.using(alias)
        self._store = OrmBackend("admin", using=alias)

    def put_back(self, keys: Sequence[int]) -> None:
        chosen = self._documents.filter(key__in=keys, collection__endswith=FAILED)
        texts = chosen.annotate(text=Cast("data", TextField())).order_by("key")
        rows = list(texts.values_list("key", "text", "collection"))
        replacements = []
        for failed, row in zip(stored([row[:2] for row in rows]), rows, strict=True):
            replacement = self._checked(failed, codec.unescape(row[2]))
            if replacement is not None:
                replacements.append(replacement)
        self._replace(self._free(replacements))

    def _checked(self, failed: StoredDocument, name: str) -> Replacement | None:
        """What goes back from the collection ``name``; None when it stays."""
        original = original_of(failed.document)
        if original is None:
            self._refuse(str(failed.key), _("it is no failed migration"))
            return None
        collection = name.removesuffix(FAILED)
        named = _name(collection, original.document)
        if original.collection != collection:
            self._refuse(named, _("it says that it is from another collection"))
            return None
        try:
            check_collection(collection)
            check_document(original.document)
        except StoreError as exc:
            self._refuse(named, str(exc))
            return None
        return Replacement(stored=failed, document=original.document, collection=collection)

    def _free(self, replacements: list[Replacement]) -> list[Replacement]:
        """Those whose id nobody has, neither in their collection nor among themselves."""
        taken, free = self._taken(replacements), []
        for replacement in replacements:
            place = _place(replacement)
            if place in taken:
                self._refuse_taken(replacement)
                continue
            if place[1] is not None:
                taken.add(place)
            free.append(replacement)
        return free

    def _taken(self, replacements: list[Replacement]) -> set[tuple[str, str | None]]:
        condition = Q()
        for collection in {replacement.collection for replacement in replacements}:
            ids = [_place(each)[1] for each in replacements if each.collection == collection]
            condition |= Q(
                collection=codec.to_column(collection),
                document_id__in=[id_ for id_ in ids if id_ is not None],
            )
        if not condition:
            return set()
        there = self._documents.filter(condition)
        # What has expired makes room, as it does for every insertion, unless it is protected.
        expired = there.filter(expires_at__lte=timezone.now()).values_list("key", flat=True)
        connection = connections[self.alias]
        keys = lock_rows(connection, Document, expired)
        delete_groups(connection, Document, [[key] for key in keys])
        return set(there.values_list("collection", "document_id"))

    def _replace(self, replacements: list[Replacement]) -> None:
        try:
            with transaction.atomic(using=self.alias):
                done = self._store.replace(replacements)
        except DuplicateDocument:
            if len(replacements) > 1:
                for replacement in replacements:
                    self._replace([replacement])
                return
            self._refuse_taken(replacements[0])
            return
        for replacement, replaced in zip(replacements, done, strict=True):
            if replaced:
                self.retried.done.append(_as_read(replacement))
            else:
                name = _name(replacement.collection, replacement.document)
                self._refuse(name, _("somebody changed it meanwhile"))

    def _refuse_taken(self, replacement: Replacement) -> None:
        name = _name(replacement.collection, replacement.document)
        self._refuse(name, _("another document has its id"))

    def _refuse(self, name: str, why: str) -> None:
        self.retried.refused.append(Refused(codec.printable(name), codec.printable(why)))


def _place(replacement: Replacement) -> tuple[str, str | None]:
    """The collection and the id as columns keep them."""
    id_ = replacement.document.get("id")
    return codec.to_column(replacement.collection), id_ and codec.to_column(id_)


def _name(collection: str, document: JSONObject) -> str:
    return f"{collection}/{document.get('id')}"


def _as_read(replacement: Replacement) -> Document:
    id_ = replacement.document.get("id")
    return Document(
        key=replacement.stored.key,
        collection=codec.printable(replacement.collection),
        document_id=id_ and codec.printable(id_),
    )
