"""What a document belongs to, as links to what exists."""

from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.documents.collections import collection_names
from parlant_store.admin.documents.owners import OWNERS, owned
from parlant_store.admin.formatting import column_name, cut
from parlant_store.admin.options import StoreAdmin
from parlant_store.content.related_documents import SESSIONS, prefix_of, session_prefixes
from parlant_store.models import Document, Session

EVENTS = "events"
"""How the names of the collections end that Parlant keeps these in, beside its sessions."""

KEPT_IN = {"session_id": SESSIONS, "customer_id": "customers", "agent_id": "agents"}
"""How the names of the collections end that hold the sessions, customers and agents."""

CANDIDATES = 10
"""In how many collections of such a name each is looked for, the most alike first."""

_TITLES = {"session_id": _("Session"), "customer_id": _("Customer"), "agent_id": _("Agent")}
_OF_THIS = {
    "session_id": _("All documents of session"),
    "customer_id": _("All documents of customer"),
    "agent_id": _("All documents of agent"),
}


class Link(NamedTuple):
    title: str | Promise
    name: str
    """What is led to: an id, or a collection's name."""

    url: str


class Owner(NamedTuple):
    """A session, a customer or an agent that a document is or belongs to."""

    column: str
    id: str
    """As the columns keep it."""


def links_of(admin: StoreAdmin, document: Document, *, sessions: bool) -> list[Link]:
    """The session, customer and agent of ``document``, and the documents of each.

    admin: whose pages are led to.
    sessions: whether the viewer may see the sessions that are no documents.
    """
    owners = list(_owners(document))
    if not owners:
        return []
    kept = _kept(document, owners)
    links = [link for owner in owners for link in _links(admin, document, owner, kept)]
    ids = [owner.id for owner in owners if owner.column == "session_id"]
    return links + (_sessions(admin, ids) if sessions else [])


def _owners(document: Document) -> Iterator[Owner]:
    """Whom the document belongs to; itself, if others can belong to it."""
    for column in OWNERS:
        id_ = getattr(document, column) or _own_id(document, column)
        if id_:
            yield Owner(column, id_)


def _own_id(document: Document, column: str) -> str | None:
    return document.document_id if document.collection.endswith(KEPT_IN[column]) else None


def _kept(document: Document, owners: list[Owner]) -> dict[Owner, int]:
    """The keys of the documents that the owners themselves are, by one statement."""
    names = collection_names()
    places = {owner: _candidates(document, owner.column, names) for owner in owners}
    conditions = [
        Q(collection__in=collections, document_id=owner.id)
        for owner, collections in places.items()
        if collections
    ]
    if not conditions:
        return {}
    first, *rest = (
        Document.objects.filter(condition).values_list("collection", "document_id", "key")
        for condition in conditions
    )
    keys = {(collection, id_): key for collection, id_, key in first.union(*rest)}
    found: dict[Owner, int] = {}
    for owner, collections in places.items():
        same = (keys[name, owner.id] for name in collections if (name, owner.id) in keys)
        if (key := next(same, None)) is not None:
            found[owner] = key
    return found


def _candidates(document: Document, column: str, names: list[str]) -> list[str]:
    """The collections that may hold the owner, those first that are named most alike.

    A session is in the one collection of sessions to which the document may belong.
    """
    if column == "session_id":
        prefix = prefix_of(document.collection, session_prefixes(names))
        return [] if prefix is None else [prefix + SESSIONS]
    fitting = [name for name in names if name.endswith(KEPT_IN[column])]
    fitting.sort(key=lambda name: _alike(name, document.collection), reverse=True)
    return fitting[:CANDIDATES]


def _alike(name: str, other: str) -> int:
    """With how many characters both begin."""
    pairs = zip(name, other, strict=False)
    return sum(1 for _pair in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _links(
    admin: StoreAdmin, document: Document, owner: Owner, kept: dict[Owner, int]
) -> Iterator[Link]:
    name = cut(column_name(owner.id)) or ""
    key = kept.get(owner)
    if key == document.key:
        yield from _own_links(admin, owner)
        return
    if key is not None:
        url = admin.page_url(Document, key)
        yield Link(_TITLES[owner.column], name, url + _place(document, owner))
    url = admin.list_url(Document, **{owner.column: owner.id})
    yield Link(_OF_THIS[owner.column], name, url)


def _own_links(admin: StoreAdmin, owner: Owner) -> Iterator[Link]:
    """Where the documents of ``owner`` are, on its own page."""
    for place in owned({owner.column: owner.id}):
        collection = column_name(place.collection) or ""
        narrowed = {"collection": place.collection, owner.column: owner.id}
        url = admin.list_url(Document, **narrowed)
        yield Link(_("Its documents in"), collection, url)


def _place(document: Document, owner: Owner) -> str:
    """Where an event is in the transcript of its session."""
    offset = document.data.get("offset") if document.collection.endswith(EVENTS) else None
    if owner.column != "session_id" or type(offset) is not int or offset < 0:
        return ""
    return f"?after={offset - 1}#event-{offset}"


def _sessions(admin: StoreAdmin, ids: list[str]) -> list[Link]:
    """The sessions without a namespace that are no documents, under the same ids."""
    found = Session.objects.filter(namespace="", session_id__in=ids)
    return [
        Link(_("Items of session"), cut(column_name(id_)) or "", admin.page_url(Session, key))
        for key, id_ in found.values_list("key", "session_id")
    ]
