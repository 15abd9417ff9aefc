"""The head of the page of a conversation: who, when, how long and what it cost."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db import router
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from parlant_store.admin.conversations.conversation import FRAMEWORKS, OPENAI, PARLANT
from parlant_store.admin.conversations.links import Links
from parlant_store.admin.conversations.rows import (
    DocumentRow,
    active_time,
    read_agent_name,
    read_persons,
)
from parlant_store.admin.expiry import ago, expiry
from parlant_store.admin.formatting import column_name, grouped
from parlant_store.admin.remote_stores import django_time
from parlant_store.backends.columns import owner_of
from parlant_store.content import codec
from parlant_store.models import Document, Session
from parlant_store.types import SessionInfo


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


class _Values(NamedTuple):
    framework: str
    person: str | None
    agent: str | None
    started: datetime | None
    active: datetime | None
    item_count: int | None
    tokens: int | None
    expires_at: datetime | None
    failed_calls: int | None
    person_name: str | None = None


def session_header(session: Session, links: Links) -> Header:
    owner = owner_of(session.user_id, session.full_names)
    return _header(
        _Values(
            session.framework,
            column_name(session.user_id),
            column_name(session.namespace),
            session.created_at,
            session.updated_at,
            session.item_count,
            session.tokens,
            session.expires_at,
            session.failed_calls,
        ),
        links.person(owner),
        links.others(owner),
    )._replace(is_expired=bool(session.expires_at and session.expires_at <= timezone.now()))


def document_header(document: Document, links: Links) -> Header:
    """Return the head of a Parlant session, with the names of its customer and agent."""
    using = router.db_for_read(Document)
    row = DocumentRow(*(getattr(document, name) for name in DocumentRow._fields[:10]))
    row = row._replace(agent_name=read_agent_name(using, document.pk))
    persons = read_persons(using, [row])
    customer = document.data.get("customer_id")
    person = customer if isinstance(customer, str) else None
    return _header(
        _Values(
            PARLANT,
            column_name(document.customer_id),
            persons.agent(row) or column_name(document.agent_id),
            _time(document.creation_utc),
            active_time(document.active_minute),
            document.item_count,
            None,
            document.expires_at,
            document.failed_calls or 0,
            persons.customer(row),
        ),
        links.person(person),
        links.others(person),
    )


def info_header(info: SessionInfo, links: Links) -> Header:
    """Return the head of a session of a remote store."""
    return _header(
        _Values(
            OPENAI,
            info.user_id and codec.printable(info.user_id),
            codec.printable(info.namespace),
            django_time(info.created_at),
            django_time(info.updated_at),
            info.item_count,
            info.tokens,
            django_time(info.expires_at),
            None,
        ),
        links.person(info.user_id),
        "",
    )


def _header(values: _Values, person_url: str, others_url: str) -> Header:
    return Header(list(_facts(values, person_url)), others_url)


def _facts(values: _Values, person_url: str) -> Iterator[Fact]:
    is_parlant = values.framework == PARLANT
    if values.person:
        label = _("Customer") if is_parlant else _("Owner")
        yield Fact(label, _person(values, person_url), "parlant-person")
    if values.agent:
        label = _("Agent") if is_parlant else _("Namespace")
        yield Fact(label, format_html("<bdi>{}</bdi>", values.agent))
    yield Fact(_("Framework"), FRAMEWORKS.get(values.framework, values.framework))
    if values.started:
        yield Fact(_("Started"), ago(values.started))
    if values.active:
        yield Fact(_("Last activity"), ago(values.active))
    if values.started and values.active:
        yield Fact(_("Duration"), timesince(values.started, values.active, depth=1))
    if values.item_count is not None:
        yield Fact(_("Messages"), grouped(values.item_count))
    tokens = _("unknown") if values.tokens is None else grouped(values.tokens)
    yield Fact(_("Tokens"), tokens)
    yield Fact(_("Expires"), expiry(values.expires_at))
    if values.failed_calls:
        text = ngettext("%(number)s failed call", "%(number)s failed calls", values.failed_calls)
        value = format_html(
            '<a class="parlant-badge parlant-failed-calls" href="#items">{}</a>',
            text % {"number": grouped(values.failed_calls)},
        )
        yield Fact(_("State"), value)


def _person(values: _Values, url: str) -> Any:
    name = values.person_name or values.person
    shown = format_html('<bdi title="{}">{}</bdi>', values.person, name)
    return format_html('<a href="{}">{}</a>', url, shown) if url else shown


def _time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text or "")
    except ValueError:
        return None
