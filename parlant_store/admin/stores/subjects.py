"""What people act on in other stores: sessions and documents, through the contract alone."""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from django.db.models import Model
from django.utils.translation import gettext_lazy

from parlant_store.admin.actions.words import numbered
from parlant_store.admin.formatting import cut
from parlant_store.admin.stores.asking import link, said
from parlant_store.backends.base import BaseBackend
from parlant_store.models import Document, Session


class Chosen(NamedTuple):
    """A session or a document that something is to be done to."""

    name: str
    """As forms say it."""

    place: str
    """The namespace or the collection."""

    id: str

    def __str__(self) -> str:
        names = (cut(self.place), cut(self.id))
        return "/".join(name for name in names if name)


class Subject(ABC):
    """One kind of what stores keep."""

    model: type[Model]

    field: str
    """What forms call a chosen one."""

    title: Any
    nothing_chosen: Any
    questions: ClassVar[dict[str, Any]]
    """What is asked before each action."""

    done: Any
    left: Any

    @abstractmethod
    def list_url(self, admin: Any, store: BaseBackend, chosen: list[Chosen]) -> str:
        """The page that lists them."""

    @abstractmethod
    def end_of(self, store: BaseBackend, chosen: Chosen) -> datetime | None:
        """When it expires; None when that is never, or there is none."""

    @abstractmethod
    def set_end(self, store: BaseBackend, chosen: Chosen, end: datetime | None) -> bool:
        """False when there is none."""

    @abstractmethod
    def delete(self, store: BaseBackend, chosen: Chosen) -> bool:
        """False when there is none."""


class Sessions(Subject):
    model = Session
    field = "session"
    title = gettext_lazy("Sessions of the store %(alias)s")
    nothing_chosen = gettext_lazy("No session was chosen.")
    questions: ClassVar = {
        "expire": numbered(
            "%(number)s session will expire now: nobody reads it from then on, and the next "
            "sweep removes it.",
            "%(number)s sessions will expire now: nobody reads them from then on, and the "
            "next sweep removes them.",
        ),
        "extend": numbered(
            "%(number)s session will expire later than now said, by this many days: %(days)s.",
            "%(number)s sessions will expire later than now said, by this many days: %(days)s.",
        ),
        "keep": numbered(
            "%(number)s session will be kept for ever.",
            "%(number)s sessions will be kept for ever.",
        ),
        "delete": numbered(
            "%(number)s session will be deleted with all its items. It cannot be brought back.",
            "%(number)s sessions will be deleted with all their items. They cannot be brought "
            "back.",
        ),
    }
    done = numbered(
        "%(action)s: done for %(number)s session.",
        "%(action)s: done for %(number)s sessions.",
    )
    left = numbered(
        "%(number)s session was left as it was.",
        "%(number)s sessions were left as they were.",
    )

    def list_url(self, admin: Any, store: BaseBackend, chosen: list[Chosen]) -> str:
        return link(admin, "stores_sessions", store=store.alias)

    def end_of(self, store: BaseBackend, chosen: Chosen) -> datetime | None:
        found = store.get_session(chosen.id, namespace=chosen.place)
        return found.expires_at if found else None

    def set_end(self, store: BaseBackend, chosen: Chosen, end: datetime | None) -> bool:
        return store.set_expiry(chosen.id, end, namespace=chosen.place)

    def delete(self, store: BaseBackend, chosen: Chosen) -> bool:
        return store.delete_session(chosen.id, namespace=chosen.place)


class Documents(Subject):
    model = Document
    field = "document"
    title = gettext_lazy("Documents of the store %(alias)s")
    nothing_chosen = gettext_lazy("No document was chosen.")
    questions: ClassVar = {
        "expire": numbered(
            "%(number)s document will expire now: nobody reads it from then on, and the next "
            "sweep removes it. A Parlant session takes its documents along.",
            "%(number)s documents will expire now: nobody reads them from then on, and the "
            "next sweep removes them. A Parlant session takes its documents along.",
        ),
        "extend": numbered(
            "%(number)s document will expire later than now said, by this many days: %(days)s. "
            "A Parlant session takes its documents along.",
            "%(number)s documents will expire later than now said, by this many days: %(days)s. "
            "A Parlant session takes its documents along.",
        ),
        "keep": numbered(
            "%(number)s document will be kept for ever. A Parlant session takes its documents "
            "along.",
            "%(number)s documents will be kept for ever. A Parlant session takes its documents "
            "along.",
        ),
        "delete": numbered(
            "%(number)s document will be deleted. It cannot be brought back. What belongs to a "
            "Parlant session stays: to take that along, let the session expire now.",
            "%(number)s documents will be deleted. They cannot be brought back. What belongs to "
            "a Parlant session stays: to take that along, let the session expire now.",
        ),
    }
    done = numbered(
        "%(action)s: done for %(number)s document.",
        "%(action)s: done for %(number)s documents.",
    )
    left = numbered(
        "%(number)s document was left as it was.",
        "%(number)s documents were left as they were.",
    )

    def list_url(self, admin: Any, store: BaseBackend, chosen: list[Chosen]) -> str:
        place = {"collection": said([chosen[0].place])} if chosen else {}
        return link(admin, "stores_documents", store=store.alias, **place)

    def end_of(self, store: BaseBackend, chosen: Chosen) -> datetime | None:
        found = store.get_document(chosen.place, chosen.id)
        return found.expires_at if found else None

    def set_end(self, store: BaseBackend, chosen: Chosen, end: datetime | None) -> bool:
        return store.set_document_expiry(chosen.place, chosen.id, end) > 0

    def delete(self, store: BaseBackend, chosen: Chosen) -> bool:
        return store.delete_one(chosen.place, {"id": {"$eq": chosen.id}}) is not None


SESSIONS, DOCUMENTS = Sessions(), Documents()
