"""The page of a document: links to related ones, and its JSON as nested <details> elements."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from django.db.models import Q
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from parlant_store.admin.documents.lookups import OWNERS, collection_names, owned, requested_names
from parlant_store.admin.formatting import column_name, cut, pre, pretty
from parlant_store.admin.lookups import common_length
from parlant_store.admin.options import StoreAdmin
from parlant_store.content import codec
from parlant_store.content.related_documents import SESSIONS, prefix_of, session_prefixes
from parlant_store.models import Document, Session

EVENTS = "events"
"""The suffix of the names of collections with Parlant's events."""

OWNER_COLLECTIONS = {"session_id": SESSIONS, "customer_id": "customers", "agent_id": "agents"}
"""The suffixes of the names of collections with the sessions, customers and agents."""

MAX_CANDIDATES = 10
"""Limit on the collections of such a name in which an owner is looked up."""

MAX_DIGITS = 19
"""Limit on the digits of an offset."""

_OWNER = {
    "session_id": _("Session %(name)s"),
    "customer_id": _("Customer %(name)s"),
    "agent_id": _("Agent %(name)s"),
}
_OF_THIS = {
    "session_id": _("All documents of session %(name)s"),
    "customer_id": _("All documents of customer %(name)s"),
    "agent_id": _("All documents of agent %(name)s"),
}
_ITEMS = _("Items of session %(name)s")

MAX_VALUES = 5_000
"""Limit on the values of a tree; JSON with more is shown as text."""

MAX_DEPTH = 40
"""Limit on the levels of a tree; browsers flatten what is nested some hundred levels deep."""

OPEN_DEPTH = 2
OPEN_SIZE = 30
"""Limits on the level and the number of the values that are unfolded at first."""

LONG = 500
"""The number of characters above which a text is folded."""

LONG_SHOWN = 80
Shape = Literal["folded", "open", "text"]
"""How a page shows JSON: long parts folded, all unfolded, or as indented text."""


class Link(NamedTuple):
    text: str | Promise
    """With a place for the name, which is the link."""

    name: str
    """An id, or the name of a collection."""

    url: str

    @property
    def html(self) -> SafeString:
        before, _name, after = str(self.text).partition("%(name)s")
        link = '{}<a href="{}"><bdi>{}</bdi></a>{}'
        return format_html(link, before, self.url, self.name, after)


class Owner(NamedTuple):
    """A session, a customer or an agent that a document is or belongs to."""

    column: str
    id: str
    """The value of the column."""


def links_of(admin: StoreAdmin, document: Document, *, sessions: bool) -> list[Link]:
    """Return links to the session, customer and agent of ``document``, and to their documents.

    sessions: whether the user may view the model Session.
    """
    owners = list(_owners(document))
    if not owners:
        return []
    keys = _owner_keys(document, owners)
    links = [link for owner in owners for link in _links(admin, document, owner, keys)]
    ids = [owner.id for owner in owners if owner.column == "session_id"]
    return links + (_sessions(admin, ids) if sessions else [])


def _owners(document: Document) -> Iterator[Owner]:
    """Return the owners of the document; itself, if it can own others."""
    for column in OWNERS:
        id_ = getattr(document, column) or _own_id(document, column)
        if id_:
            yield Owner(column, id_)


def _own_id(document: Document, column: str) -> str | None:
    return document.document_id if document.collection.endswith(OWNER_COLLECTIONS[column]) else None


def _owner_keys(document: Document, owners: list[Owner]) -> dict[Owner, int]:
    """Return the keys of the documents of the owners themselves, by one statement."""
    names = collection_names()
    places = {owner: _candidates(document, owner.column, names) for owner in owners}
    keys = _keys_of((place, owner.id) for owner, places in places.items() for place in places)
    found: dict[Owner, int] = {}
    for owner, collections in places.items():
        same = (keys[name, owner.id] for name in collections if (name, owner.id) in keys)
        if (key := next(same, None)) is not None:
            found[owner] = key
    return found


def _keys_of(names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return the keys of the documents of these collections and ids."""
    ids = defaultdict(set)
    for collection, id_ in names:
        ids[collection].add(id_)
    conditions = (Q(collection=name, document_id__in=ids[name]) for name in ids)
    rows = [
        Document.objects.filter(condition).values_list("collection", "document_id", "key")
        for condition in conditions
    ]
    if not rows:
        return {}
    return {(collection, id_ or ""): key for collection, id_, key in rows[0].union(*rows[1:])}


def session_links(
    admin: StoreAdmin, request: HttpRequest, documents: Sequence[Any]
) -> dict[int, str]:
    """Return the address of the page of the Parlant session of each document, by its key.

    documents: rows of a list, with the attribute ``shown_offset`` of events.
    """
    owned_by_session = [document for document in documents if document.session_id]
    if not owned_by_session:
        return {}
    prefixes = session_prefixes(requested_names(request))
    places = {}
    for document in owned_by_session:
        prefix = prefix_of(document.collection, prefixes)
        if prefix is not None:
            places[document.key] = (prefix + SESSIONS, document.session_id)
    keys, links = _keys_of(places.values()), {}
    for document in owned_by_session:
        key = keys.get(places.get(document.key, ("", "")))
        if key is not None:
            offset = str(getattr(document, "shown_offset", None) or "")
            is_offset = offset.isascii() and offset.isdigit()
            place = _place(int(offset)) if is_offset and len(offset) < MAX_DIGITS else ""
            links[document.key] = admin.page_url(Document, key) + place
    return links


def _candidates(document: Document, column: str, names: list[str]) -> list[str]:
    """Return the collections that may have the owner, those with the most similar name first.

    A session is in the collection of sessions of the document's prefix.
    """
    if column == "session_id":
        prefix = prefix_of(document.collection, session_prefixes(names))
        return [] if prefix is None else [prefix + SESSIONS]
    candidates = [name for name in names if name.endswith(OWNER_COLLECTIONS[column])]
    candidates.sort(key=lambda name: common_length(name, document.collection), reverse=True)
    return candidates[:MAX_CANDIDATES]


def _person(admin: StoreAdmin, owner: Owner) -> Iterator[Link]:
    """Return a link to the customer's page, unless the column has a part of the id only."""
    if owner.column == "customer_id" and (url := admin.person_url(owner.id)):
        yield Link(_("Everything of customer %(name)s"), cut(column_name(owner.id)) or "", url)


def _links(
    admin: StoreAdmin, document: Document, owner: Owner, keys: dict[Owner, int]
) -> Iterator[Link]:
    name = cut(column_name(owner.id)) or ""
    key = keys.get(owner)
    yield from _person(admin, owner)
    if key == document.key:
        yield from _own_links(admin, owner)
        return
    if key is not None:
        url = admin.page_url(Document, key)
        yield Link(_OWNER[owner.column], name, url + _place(_offset(document, owner)))
    url = admin.list_url(Document, **{owner.column: owner.id})
    yield Link(_OF_THIS[owner.column], name, url)


def _own_links(admin: StoreAdmin, owner: Owner) -> Iterator[Link]:
    """Return links to the documents of ``owner``, on its own page."""
    for place in owned({owner.column: owner.id}):
        collection = column_name(place.collection) or ""
        filters = {"collection": place.collection, owner.column: owner.id}
        url = admin.list_url(Document, **filters)
        yield Link(_("Its documents in %(name)s"), collection, url)


def _offset(document: Document, owner: Owner) -> int | None:
    """Return the offset of an event in the transcript of its session, the owner."""
    offset = document.data.get("offset") if document.collection.endswith(EVENTS) else None
    return offset if owner.column == "session_id" and type(offset) is int else None


def _place(offset: int | None) -> str:
    return "" if offset is None or offset < 0 else f"?after={offset - 1}#event-{offset}"


def _sessions(admin: StoreAdmin, ids: list[str]) -> list[Link]:
    """Return links to the sessions of the same ids in the empty namespace."""
    found = Session.objects.filter(namespace="", session_id__in=ids)
    return [
        Link(_ITEMS, cut(column_name(id_)) or "", admin.page_url(Session, key))
        for key, id_ in found.values_list("key", "session_id")
    ]


def shape_of(text: str | None) -> Shape:
    """Return the shape of the parameter of a request."""
    return "open" if text == "open" else "text" if text == "text" else "folded"


def json_tree(value: Any, shape: Shape = "folded") -> SafeString:
    """Return ``value`` as a tree; as text if it is large."""
    if shape == "text" or not is_foldable(value):
        return pre(pretty(value))
    shown = _Tree(all_open=shape == "open").value(value, depth=0)
    return format_html('<div class="parlant-fold" dir="ltr">{}</div>', shown)


def is_foldable(value: Any) -> bool:
    """Whether ``value`` contains at most MAX_VALUES values."""
    left, waiting = MAX_VALUES, [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, (dict, list)):
            left -= len(inner)
            if left < 0:
                return False
            waiting += inner.values() if isinstance(inner, dict) else inner
    return True


class _Tree:
    def __init__(self, *, all_open: bool) -> None:
        self._all_open = all_open

    def value(self, value: Any, depth: int, label: SafeString | str = "") -> SafeString:
        if isinstance(value, (dict, list)) and value:
            return self._branch(value, depth, label)
        if isinstance(value, str) and len(value) > LONG:
            return self._long(value, label)
        text = format_html('<span class="parlant-{}">{}</span>', _kind(value), _json(value))
        return format_html("{}{}", label, text)

    def _branch(self, value: Any, depth: int, label: SafeString | str) -> SafeString:
        inside = pre(pretty(value)) if depth >= MAX_DEPTH else self._list(value, depth)
        return format_html(
            "<details{}><summary>{}{}</summary>{}</details>",
            _open(self._all_open or (depth < OPEN_DEPTH and len(value) <= OPEN_SIZE)),
            label,
            format_html('<span class="parlant-size">{}</span>', _size(value)),
            inside,
        )

    def _list(self, value: Any, depth: int) -> SafeString:
        parts = self._named(value, depth) if isinstance(value, dict) else self._plain(value, depth)
        return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", parts))

    def _named(self, value: dict[str, Any], depth: int) -> Iterator[tuple[SafeString]]:
        for name, inner in value.items():
            label = format_html('<span class="parlant-key">{}</span>: ', _json(name))
            yield (self.value(inner, depth + 1, label),)

    def _plain(self, value: list[Any], depth: int) -> Iterator[tuple[SafeString]]:
        for inner in value:
            yield (self.value(inner, depth + 1),)

    def _long(self, text: str, label: SafeString | str) -> SafeString:
        length = ngettext("%(count)s character", "%(count)s characters", len(text))
        return format_html(
            "<details{}><summary>{}{} {}</summary>{}</details>",
            _open(self._all_open),
            label,
            format_html('<span class="parlant-string">{}…</span>', _json(text[:LONG_SHOWN])[:-1]),
            format_html('<span class="parlant-size">{}</span>', length % {"count": len(text)}),
            format_html('<p class="parlant-long" dir="auto">{}</p>', codec.printable(text)),
        )


def _open(is_open: bool) -> SafeString:
    return format_html("{}", " open" if is_open else "")


def _kind(value: Any) -> str:
    return "string" if isinstance(value, str) else "value"


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def _size(value: Any) -> str:
    count = len(value)
    if isinstance(value, dict):
        return ngettext("{…} %(count)s field", "{…} %(count)s fields", count) % {"count": count}
    return ngettext("[…] %(count)s value", "[…] %(count)s values", count) % {"count": count}
