"""The head of the page of a conversation, and the addresses of conversations and persons."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from django.db import router
from django.db.models import Model, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from parlant_store.admin.conversations.conversation import LANGGRAPH, PARLANT, Conversation
from parlant_store.admin.conversations.rows import (
    DocumentRow,
    active_time,
    read_agent_name,
    read_persons,
)
from parlant_store.admin.formatting import (
    ago,
    column_name,
    cut,
    expiry,
    grouped,
    joined_name,
    text_of,
)
from parlant_store.admin.views.base import django_time, encode_names, link, parsed_time
from parlant_store.backends.columns import name_of, owner_of, parent_of
from parlant_store.content import codec
from parlant_store.models import Document, Session, Thread
from parlant_store.types import SessionInfo, ThreadInfo

MAX_BRANCHES = 20
"""Limit on the branches in the head of a page."""

REMOTE_PARAMETERS = ("store", "q", "owner", "agent", "date", "from", "to", "order", "state")


class Links:
    """The addresses of pages in one admin, for one user."""

    def __init__(self, admin: Any, request: HttpRequest) -> None:
        self.admin = admin
        self.request = request

    def row(self, row: Any, alias: str) -> str:
        """Return the page of a row; ``alias`` is the store of another database, or ""."""
        if not alias:
            return str(self.admin.page_url(row.model, row.key))
        return self.remote(alias, row.model, *row.name)

    def remote(self, alias: str, model: type[Model], place: str, id_: object) -> str:
        """Return the page of a session, thread or document of a store; "" if it has no id."""
        name = str(model._meta.model_name)
        query = {"store": alias, name: encode_names([place, id_])}
        return self.page(f"stores_{name}", **query) if isinstance(id_, str) else ""

    def person(self, user_id: str | None) -> str:
        """Return the page of an owner or customer; "" if there is none."""
        return self.page("person", user=user_id) if user_id and _is_encodable(user_id) else ""

    def others(self, user_id: str | None) -> str:
        """Return the list of the conversations of a person; "" if there is none."""
        is_linked = user_id and _is_encodable(user_id)
        return str(self.admin.list_url(Session, owner=user_id)) if is_linked else ""

    def remote_list(self, params: QueryDict) -> str:
        """Return the list of a remote store that fits the parameters of the local one."""
        names = {name: str(params[name]) for name in REMOTE_PARAMETERS if params.get(name)}
        return self.page("stores_sessions", **names)

    def page(self, name: str, **query: str) -> str:
        return link(self.admin, name, **query)


def _is_encodable(text: str) -> bool:
    """Whether the text can be in an address: lone surrogates cannot."""
    return text.isprintable() or codec.printable(text) == text


class Fact(NamedTuple):
    """A fact about a conversation."""

    label: str
    value: Any
    kind: str = ""
    """A class of the style sheet."""


class Header(NamedTuple):
    """The head of a page."""

    facts: list[Fact]
    others_url: str = ""
    """The list of the conversations of this person; "" if there is no person."""

    is_expired: bool = False


def session_header(session: Session, links: Links) -> Header:
    owner = owner_of(session.user_id, session.full_names)
    one = Conversation(
        framework=session.framework,
        person=column_name(session.user_id),
        person_url=links.person(owner),
        agent=column_name(session.namespace),
        item_count=session.item_count,
        created_at=session.created_at,
        active_at=session.updated_at,
        expires_at=session.expires_at,
        failed_calls=session.failed_calls,
    )
    is_expired = bool(session.expires_at and session.expires_at <= timezone.now())
    shown = [*facts(one, session.tokens), *_branch_facts(session, links)]
    return Header(shown, links.others(owner), is_expired)


def _branch_facts(session: Session, links: Links) -> Iterator[Fact]:
    """Yield the session of which it is a branch, and its branches."""
    using = router.db_for_read(Session)
    siblings = Session.objects.using(using).filter(namespace=session.namespace)
    parent = parent_of(session.parent_id, session.parent_name)
    if parent is not None:
        key = siblings.filter(session_id=session.parent_id).values_list("key", flat=True).first()
        url = "" if key is None else str(links.admin.page_url(Session, key))
        yield Fact(_("Branch of"), _named_link(parent, url))
    if not getattr(session, "has_branches", True):
        return
    branches = branches_of(partial(getattr, session)).using(using).order_by("created_at", "key")
    rows = branches.only("namespace", "session_id", "full_names")[: MAX_BRANCHES + 1]
    named = [
        (
            name_of(row.namespace, row.session_id, row.full_names).session_id,
            str(links.admin.page_url(Session, row.key)),
        )
        for row in rows
    ]
    yield from _branches(named)


def branches_of(value: Callable[[str], Any]) -> QuerySet[Session]:
    """Return the branches of the session whose fields have the results of ``value``.

    An older one is a branch of an earlier session with the same id.
    """
    return Session.objects.filter(
        namespace=value("namespace"),
        parent_id=value("session_id"),
        created_at__gte=value("created_at"),
    )


def _branches(named: list[tuple[str, str]]) -> Iterator[Fact]:
    """Yield the branches, from their ids and the addresses of their pages."""
    if named:
        shown = [(_named_link(name, url),) for name, url in named[:MAX_BRANCHES]]
        shown += [("…",)] if len(named) > MAX_BRANCHES else []
        yield Fact(_("Branches"), format_html_join(", ", "{}", shown))


def _named_link(session_id: str, url: str) -> str:
    shown = format_html('<bdi title="{0}">{1}</bdi>', codec.printable(session_id), cut(session_id))
    return format_html('<a href="{}">{}</a>', url, shown) if url else shown


def document_header(document: Document, links: Links) -> Header:
    """Return the head of a Parlant session, with the names of its customer and agent."""
    using = router.db_for_read(Document)
    row = DocumentRow(*(getattr(document, name) for name in DocumentRow._fields[:10]))
    row = row._replace(agent_name=read_agent_name(using, document.pk))
    persons = read_persons(using, [row])
    customer = document.data.get("customer_id")
    person = customer if isinstance(customer, str) else None
    one = Conversation(
        framework=PARLANT,
        person=column_name(document.customer_id),
        person_name=persons.customer(row),
        person_url=links.person(person),
        agent=persons.agent(row) or column_name(document.agent_id),
        item_count=document.item_count,
        created_at=parsed_time(document.creation_utc),
        active_at=active_time(document.active_minute),
        expires_at=document.expires_at,
        failed_calls=document.failed_calls,
    )
    return Header(list(facts(one, None)), links.others(person))


def info_header(
    info: SessionInfo, branches: Sequence[SessionInfo], alias: str, links: Links
) -> Header:
    """Return the head of a session of the remote store ``alias``."""
    one = conversation_of(info, links, item_count=info.item_count)
    shown = [*facts(one, info.tokens)]
    if info.parent_id is not None:
        url = links.remote(alias, Session, info.namespace, info.parent_id)
        shown.append(Fact(_("Branch of"), _named_link(info.parent_id, url)))
    named = [
        (each.session_id, links.remote(alias, Session, each.namespace, each.session_id))
        for each in branches
    ]
    return Header([*shown, *_branches(named)])


def conversation_of(info: SessionInfo | ThreadInfo, links: Links, **fields: Any) -> Conversation:
    """Return a session or thread as the contract describes it, with more fields."""
    common: dict[str, Any] = {
        "framework": "",
        "person": info.user_id and codec.printable(info.user_id),
        "person_url": links.person(info.user_id),
        "agent": codec.printable(info.namespace),
        "created_at": django_time(info.created_at),
        "active_at": django_time(info.updated_at),
        "expires_at": django_time(info.expires_at),
    }
    return Conversation(**common | fields)


def listed(info: SessionInfo | ThreadInfo, alias: str, links: Links) -> Conversation:
    """Return a session or thread of the store ``alias`` as lists show it."""
    model: type[Model] = Session
    fields: dict[str, Any] = {"person": cut(info.user_id), "agent": cut(info.namespace)}
    if isinstance(info, ThreadInfo):
        model, id_ = Thread, info.thread_id
        may_read = links.request.user.has_perm("parlant_store.view_checkpoint")
        title = cut(" ".join(info.title.split())) if info.title and may_read else ""
        fields |= {"framework": LANGGRAPH, "item_count": None}
        fields |= {"title": title or "", "waiting": info.waiting}
    else:
        id_, title = info.session_id, cut(text_of(info.metadata.get("title")))
        fields |= {"title": title or "", "item_count": info.item_count}
    return conversation_of(
        info,
        links,
        pk=encode_names([info.namespace, id_]),
        kind=model._meta.model_name,
        url=links.remote(alias, model, info.namespace, id_),
        name=joined_name(info.namespace, id_),
        **fields,
    )


def facts(one: Conversation, tokens: int | None) -> Iterator[Fact]:
    is_parlant = one.framework == PARLANT
    if one.person:
        shown = format_html('<bdi title="{}">{}</bdi>', one.person, one.person_name or one.person)
        person = format_html('<a href="{}">{}</a>', one.person_url, shown)
        label = _("Customer") if is_parlant else _("Owner")
        yield Fact(label, person if one.person_url else shown, "parlant-person")
    if one.agent:
        label = _("Agent") if is_parlant else _("Namespace")
        yield Fact(label, format_html("<bdi>{}</bdi>", one.agent))
    if one.framework:
        yield Fact(_("Framework"), one.framework_name)
    if one.created_at:
        yield Fact(_("Started"), ago(one.created_at))
    if one.active_at:
        yield Fact(_("Last activity"), ago(one.active_at))
    if one.created_at and one.active_at:
        yield Fact(_("Duration"), timesince(one.created_at, one.active_at, depth=1))
    if one.length:
        yield Fact(_("Length"), one.length)
    yield Fact(_("Tokens"), _("unknown") if tokens is None else grouped(tokens))
    yield Fact(_("Expires"), expiry(one.expires_at))
    if one.outcomes:
        badge = '<a class="parlant-badge {}" href="#items">{}</a>'
        yield Fact(_("State"), format_html_join(" ", badge, one.outcomes))
