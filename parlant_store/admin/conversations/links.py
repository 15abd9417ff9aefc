"""The addresses of conversations and of persons, in one admin."""

from typing import Any

from django.http import HttpRequest, QueryDict

from parlant_store.admin.conversations.rows import DocumentRow, SessionRow
from parlant_store.admin.remote_stores import encode_names, link
from parlant_store.backends.columns import name_of
from parlant_store.content import codec
from parlant_store.models import Document, Session

REMOTE_PARAMETERS = ("store", "q", "owner", "agent", "date", "from", "to", "order", "state")


def is_encodable(text: str) -> bool:
    """Whether the text can be in an address: lone surrogates cannot."""
    return text.isprintable() or codec.printable(text) == text


class Links:
    """The pages of the admin that the user may see."""

    def __init__(self, admin: Any, request: HttpRequest) -> None:
        self.admin = admin
        self.request = request

    def session(self, row: SessionRow, alias: str) -> str:
        """Return the page of a session; ``alias`` is the store of another database, or ""."""
        if not alias:
            return str(self.admin.page_url(Session, row.key))
        name = name_of(row.namespace, row.session_id, row.full_names)
        return self.page("stores_session", store=alias, session=encode_names([*name]))

    def document(self, row: DocumentRow, alias: str) -> str:
        """Return the page of a Parlant session."""
        if not alias:
            return str(self.admin.page_url(Document, row.key))
        if row.document_id is None:
            return ""
        names = [codec.unescape(row.collection), codec.unescape(row.document_id)]
        return self.page("stores_document", store=alias, document=encode_names(names))

    def person(self, user_id: str | None) -> str:
        """Return the page of an owner or customer; "" if there is none."""
        if not user_id or not is_encodable(user_id):
            return ""
        return self.page("person", user=user_id)

    def others(self, user_id: str | None) -> str:
        """Return the list of the conversations of a person; "" if there is none."""
        if not user_id or not is_encodable(user_id):
            return ""
        return str(self.admin.list_url(Session, owner=user_id))

    def remote_list(self, params: QueryDict) -> str:
        """Return the list of a remote store that fits the parameters of the local one."""
        names = {name: str(params[name]) for name in REMOTE_PARAMETERS if params.get(name)}
        return self.page("stores_sessions", **names)

    def page(self, name: str, **query: str) -> str:
        return link(self.admin, name, **query)
