"""What the stores have of a person: conversations, documents and context variables."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from parlant_store.admin.documents.collections import MAX_COUNT
from parlant_store.admin.expiry import expiry
from parlant_store.admin.formatting import grouped

MAX_CONVERSATIONS = 50
"""Limit on the conversations that are shown of a store."""

MAX_VARIABLES = 500
"""Limit on the context variables whose values are read."""


class StoredConversation(NamedTuple):
    """A session of the person, or a Parlant session."""

    store: str
    name: str
    url: str
    title: str
    framework: str
    length: int | None
    """The number of items; None: unknown."""

    active_at: datetime | None
    expires_at: datetime | None

    @property
    def expires(self) -> SafeString | str:
        return expiry(self.expires_at)


class StoredDocuments(NamedTuple):
    """The documents of the person in a collection."""

    store: str
    collection: str
    amount: str
    url: str


class Variable(NamedTuple):
    """A context variable of the person."""

    store: str
    name: str
    value: str
    url: str


@dataclass
class StoredData:
    """What a store has of a person."""

    store: str
    conversations: list[StoredConversation] = field(default_factory=list)
    documents: list[StoredDocuments] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    name: str | None = None
    """The name in a collection of customers."""

    size: int | None = 0
    """The number of bytes, an estimate; None: unknown."""

    more_conversations: bool = False
    error: str = ""


def amount(count: int) -> str:
    if count <= MAX_COUNT:
        return grouped(count)
    return _("more than %(number)s") % {"number": grouped(MAX_COUNT)}


def string(value: object) -> str:
    return value if isinstance(value, str) else ""
