"""Failed migrations: documents set aside when their collection was opened, and put back.

They are ``{"document": the original, "reason": text, "collection": name}``, as
parlant_store.adapters.parlant.migration leaves them. The name of the collection in which they are
says where they are from; one that says otherwise itself stays.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any, ClassVar, NamedTuple

from django.contrib import messages
from django.db import connections, router, transaction
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from parlant_store.admin.actions.confirmation import MAX_NAMES, Action, Texts
from parlant_store.admin.actions.selection import MAX_ROWS, Result, Row, Rows, Selection
from parlant_store.admin.documents.lookups import collection_names
from parlant_store.admin.formatting import cut, grouped
from parlant_store.admin.lookups import batches
from parlant_store.backends.columns import stored
from parlant_store.backends.contract.validation import check_collection, check_document
from parlant_store.backends.orm import OrmBackend
from parlant_store.backends.orm.references.deletion import delete_groups, lock_rows
from parlant_store.content import codec
from parlant_store.exceptions import DuplicateDocument, StoreError
from parlant_store.models import Document
from parlant_store.types import FAILED, JSONObject, Replacement, StoredDocument

BATCH = 200
"""Limit on the documents that are put back at once."""


class Original(NamedTuple):
    """What a failed migration has set aside."""

    document: JSONObject
    collection: str
    """What the document says; the name of the collection in which it is decides."""

    reason: str


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


def put_back(keys: Sequence[int], using: str) -> Result:
    """Put the originals back into their collections, where the next opening migrates them again.

    Result.protected has those that stay set aside, with the reasons: another document may have
    taken the id meanwhile. The caller is in a transaction.
    """
    result = Result()
    for batch in batches(keys, BATCH):
        found = Document.objects.using(using).filter(key__in=batch, collection__endswith=FAILED)
        texts = found.annotate(text=Cast("data", TextField())).order_by("key")
        rows = list(texts.values_list("key", "text", "collection"))
        replacements = []
        for failed, row in zip(stored([row[:2] for row in rows]), rows, strict=True):
            checked = _checked(failed, codec.unescape(row[2]))
            if isinstance(checked, Replacement):
                replacements.append(checked)
            else:
                result |= checked
        taken = _taken(replacements, using)
        free = []
        for replacement in replacements:
            place = _place(replacement)
            if place in taken:
                result |= _refused_taken(replacement)
                continue
            if place[1] is not None:
                taken.add(place)
            free.append(replacement)
        result |= _replace(free, using)
    return result


def _checked(failed: StoredDocument, name: str) -> Replacement | Result:
    """Return what goes back from the collection ``name``, or why it stays."""
    original = original_of(failed.document)
    if original is None:
        return _refused(str(failed.key), _("it is no failed migration"))
    collection = name.removesuffix(FAILED)
    named = f"{collection}/{original.document.get('id')}"
    if original.collection != collection:
        return _refused(named, _("it says that it is from another collection"))
    try:
        check_collection(collection)
        check_document(original.document)
    except StoreError as exc:
        return _refused(named, str(exc))
    return Replacement(stored=failed, document=original.document, collection=collection)


def _taken(replacements: list[Replacement], using: str) -> set[tuple[str, str | None]]:
    """Return the places that other documents have."""
    condition = Q()
    for collection in {replacement.collection for replacement in replacements}:
        ids = [_place(each)[1] for each in replacements if each.collection == collection]
        condition |= Q(
            collection=codec.to_column(collection),
            document_id__in=[id_ for id_ in ids if id_ is not None],
        )
    if not condition:
        return set()
    found = Document.objects.using(using).filter(condition)
    # What has expired makes room, as it does for every insertion, unless it is protected.
    expired = found.filter(expires_at__lte=timezone.now()).values_list("key", flat=True)
    connection = connections[using]
    keys = lock_rows(connection, Document, expired)
    delete_groups(connection, Document, [[key] for key in keys])
    return set(found.values_list("collection", "document_id"))


def _replace(replacements: list[Replacement], using: str) -> Result:
    try:
        with transaction.atomic(using=using):
            done = OrmBackend("admin", using=using).replace(replacements)
    except DuplicateDocument:
        if len(replacements) == 1:
            return _refused_taken(replacements[0])
        return reduce(or_, (_replace([replacement], using) for replacement in replacements))
    result = Result()
    for replacement, is_replaced in zip(replacements, done, strict=True):
        collection, id_ = replacement.collection, replacement.document.get("id")
        if is_replaced:
            row = Row(
                replacement.stored.key, codec.printable(collection), id_ and codec.printable(id_)
            )
            result |= Result((row,))
        else:
            result |= _refused(f"{collection}/{id_}", _("somebody changed it meanwhile"))
    return result


def _refused_taken(replacement: Replacement) -> Result:
    name = f"{replacement.collection}/{replacement.document.get('id')}"
    return _refused(name, _("another document has its id"))


def _refused(name: str, why: str) -> Result:
    return Result(protected=((codec.printable(name), codec.printable(why)),))


def _place(replacement: Replacement) -> tuple[str, str | None]:
    """The collection and the id as columns keep them."""
    id_ = replacement.document.get("id")
    return codec.to_column(replacement.collection), id_ and codec.to_column(id_)


class Retry(Action):
    """At most MAX_ROWS rows are moved: the others are left for another time."""

    name = "retry"
    permission = "change"
    title = gettext_lazy("Retry failed migrations")
    texts: ClassVar = {
        Document: Texts(
            gettext_lazy("Retry selected failed migrations"),
            ngettext_lazy(
                "%(number)s document goes back into its collection as it was. The next time that "
                "Parlant opens the collection, it is migrated; if that fails again, it is set "
                "aside "
                "again.",
                "%(number)s documents go back into their collections as they were. The next time "
                "that Parlant opens the collections, they are migrated; those that fail again are "
                "set "
                "aside again.",
                "count",
            ),
            ngettext_lazy(
                "%(number)s document is back in its collection: it is migrated when that is "
                "opened.",
                "%(number)s documents are back in their collections: they are migrated when these "
                "are opened.",
                "count",
            ),
        ),
    }
    ineligible = gettext_lazy("There are more. Do this again for them afterwards.")
    verb = gettext_lazy("Retry")
    log_entry = "Put back to be migrated again."
    is_tool = False

    def __call__(
        self, admin: Any, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase:
        selection = admin.get_selection(request, failed(queryset))
        is_confirmed = request.POST.get("confirmed") == "yes"
        return self.respond(replace(selection, is_confirmed=is_confirmed))

    def refusal(self, selection: Selection) -> Any:
        if not sum(map(len, selection.parts)):
            return gettext_lazy("None of the selected documents is a failed migration.")
        return None

    def eligible(self, part: Rows, rows: list[Row], form: Any = None) -> list[Row]:
        return rows[:MAX_ROWS]

    def apply(self, part: Rows, rows: list[Row], form: Any) -> Result:
        return put_back([row.key for row in rows], router.db_for_write(Document))

    def _show(self, selection: Selection, result: Result) -> None:
        super()._show(selection, result._replace(protected=()))
        if refused := result.protected:
            text = ngettext(
                "%(number)s document stays where it is: %(names)s",
                "%(number)s documents stay where they are: %(names)s",
                len(refused),
            )
            names = "; ".join(f"{cut(name)} ({cut(why)})" for name, why in refused[:MAX_NAMES])
            names += "; …" if refused[MAX_NAMES:] else ""
            values = {"number": grouped(len(refused)), "names": names}
            selection.show(messages.WARNING, text % values)
