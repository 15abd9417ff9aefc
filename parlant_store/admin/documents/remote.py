"""The pages of the documents of remote stores."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from parlant_store.admin.actions.remote_rows import show_rows
from parlant_store.admin.documents.columns import Column, cell, columns_of_documents
from parlant_store.admin.documents.page import json_tree, shape_of
from parlant_store.admin.formatting import cut, expiry, grouped
from parlant_store.admin.views.base import (
    call_store,
    decode_names,
    django_time,
    encode_names,
    link,
    on_store,
    show,
)
from parlant_store.backends.base import BaseBackend
from parlant_store.content import codec
from parlant_store.models import Document
from parlant_store.types import DocumentCursor, JSONObject

PAGE = 50
"""How many documents a page lists."""

COLLECTIONS = 500
"""How many collections a page names."""


class Cell(NamedTuple):
    title: Any
    text: str | None
    url: str = ""


class Row(NamedTuple):
    """A document in a list."""

    name: str
    """The value in forms and addresses; "" for a document without an id."""

    url: str
    id: str | None
    cells: list[Cell]
    json: SafeString | str
    """The content of a document without a page."""


@on_store(Document)
def list_documents(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    """List the documents of a collection, or the collections."""
    text = request.GET.get("collection")
    if text is None:
        return _collections(admin, request, store)
    (collection,) = decode_names(text, 1)
    cursor = None
    if after := request.GET.get("after"):
        creation_utc, id_ = decode_names(after, 2)
        cursor = DocumentCursor(creation_utc=creation_utc or "", id=id_ or "")
    wanted = request.GET.get("id", "")
    find = partial(store.find, collection, direction="desc", limit=PAGE, cursor=cursor)
    page = call_store(store, partial(find, {"id": {"$eq": wanted}}) if wanted else find)
    last = page.next_cursor
    columns = columns_of_documents(collection, page.documents)
    columns = tuple(column for column in columns if column.name != "document_id")
    place = {"store": store.alias, "collection": text}
    return show_rows(
        admin,
        request,
        store,
        Document,
        "store/documents.html",
        title=_("Documents of the store %(alias)s") % {"alias": store.alias},
        subtitle=cut(collection),
        collection=codec.printable(collection),
        name=text,
        columns=[column.title for column in columns],
        rows=[_row(admin, place, document, columns) for document in page.documents],
        wanted=wanted,
        is_first=not after,
        next_url=link(
            admin, "stores_documents", **place, after=encode_names([last.creation_utc, last.id])
        )
        if last
        else "",
        page_url=link(admin, "stores_documents", **place),
    )


@on_store(Document)
def show_document(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    name = request.GET.get("document", "")
    collection, id_ = decode_names(name, 2)
    info = call_store(store, partial(store.get_document, collection, id_))
    if info is None:
        raise Http404(_("There is no such document, or it has expired."))
    shape = shape_of(request.GET.get("json"))
    place = {"store": store.alias, "collection": encode_names([collection])}
    return show_rows(
        admin,
        request,
        store,
        Document,
        "store/document.html",
        title=_("Document of the store %(alias)s") % {"alias": store.alias},
        subtitle=cut(id_),
        collection=codec.printable(collection),
        id=codec.printable(id_),
        name=name,
        updated_at=django_time(info.updated_at),
        expires=expiry(django_time(info.expires_at)),
        json=json_tree(info.document, shape),
        json_shape=shape,
        documents_url=link(admin, "stores_documents", **place),
    )


def _collections(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    names = call_store(store, store.list_collections)
    return show(
        admin,
        request,
        "store/collections.html",
        title=_("Documents of the store %(alias)s") % {"alias": store.alias},
        store_alias=store.alias,
        collections=[
            (
                cut(name),
                link(admin, "stores_documents", store=store.alias, collection=encode_names([name])),
            )
            for name in names[:COLLECTIONS]
        ],
        more=grouped(len(names) - COLLECTIONS) if len(names) > COLLECTIONS else "",
    )


def _row(admin: Any, place: dict[str, str], document: JSONObject, columns: Sequence[Column]) -> Row:
    id_ = document.get("id")
    has_page = isinstance(id_, str)
    name = encode_names([*decode_names(place["collection"], 1), id_]) if has_page else ""
    return Row(
        name,
        link(admin, "stores_document", store=place["store"], document=name) if has_page else "",
        cut(id_) if has_page else None,
        [_cell(admin, document, column) for column in columns],
        "" if has_page else json_tree(document),
    )


def _cell(admin: Any, document: JSONObject, column: Column) -> Cell:
    customer = document.get("customer_id") if column.name == "customer_id" else None
    url = admin.person_url(codec.to_column(customer)) if isinstance(customer, str) else ""
    return Cell(column.title, cell(document, column), url)
