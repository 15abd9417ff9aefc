"""The rows of a page of the list: read for these conversations alone."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import (
    BigIntegerField,
    Case,
    IntegerField,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Concat, Greatest, Left, Length

from parlant_store.admin.conversations.search.names import AGENTS, CUSTOMERS, MAX_NAMES, Names
from parlant_store.admin.formatting import NAME
from parlant_store.admin.lookups import common_length, first_values
from parlant_store.backends.columns import name_of, owner_of
from parlant_store.content import codec
from parlant_store.content.related_documents import SESSIONS
from parlant_store.models import Document, Session, SessionItem
from parlant_store.sql.index_expressions import IndexedField
from parlant_store.sql.json_text import JSONText

MAX_FIRST = 20
"""Limit on the items or events at the start that are searched for the user's first words."""

MAX_LAST = 50
"""Limit on the items or events at the end that are searched for the last message."""

REQUEST, RESPONSE = "mcp_approval_request", "mcp_approval_response"
"""The types of items with a request for an approval, and with its answer."""


class SessionRow(NamedTuple):
    """A session as the list needs it; names are as columns have them."""

    key: int
    namespace: str
    session_id: str
    user_id: str | None
    framework: str
    item_count: int
    failed_calls: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    full_names: str | None
    title: str | None = None
    first_message: str | None = None
    last_message: str | None = None
    waiting: int | None = None
    model: type[Model] = Session

    @property
    def name(self) -> tuple[str, str]:
        return name_of(self.namespace, self.session_id, self.full_names)

    @property
    def owner(self) -> str | None:
        return owner_of(self.user_id, self.full_names)


class DocumentRow(NamedTuple):
    """A Parlant session as the list needs it."""

    key: int
    collection: str
    document_id: str | None
    customer_id: str | None
    agent_id: str | None
    item_count: int | None
    failed_calls: int | None
    active_minute: int | None
    creation_utc: str | None
    expires_at: datetime | None
    title: str | None = None
    first_message: str | None = None
    last_message: str | None = None
    agent_name: str | None = None
    """As the agent's last message has it; servers do not always store their agents."""

    model: type[Model] = Document

    @property
    def name(self) -> tuple[str, str | None]:
        id_ = self.document_id and codec.unescape(self.document_id)
        return codec.unescape(self.collection), id_

    @property
    def prefix(self) -> str:
        return self.collection.removesuffix(SESSIONS)


_SESSION = SessionRow._fields[:11]
_DOCUMENT = DocumentRow._fields[:10]


class _Offset(IndexedField):
    output_field = BigIntegerField()  # type: ignore[assignment]


def read_sessions(using: str, keys: Sequence[int], *, may_read: bool) -> list[SessionRow]:
    """Read sessions; what is in their items only for those who may read them."""
    if not keys:
        return []
    rows = Session.objects.using(using).filter(key__in=keys)
    texts = _item_texts() if may_read else ()
    title = Left(JSONText("metadata", "title"), NAME + 1)
    return [SessionRow(*row) for row in rows.values_list(*_SESSION, title, *texts)]


def read_documents(using: str, keys: Sequence[int]) -> list[DocumentRow]:
    if not keys:
        return []
    rows = _parlant_sessions(using, keys)
    title = Left(JSONText("data", "title"), NAME + 1)
    return [DocumentRow(*row) for row in rows.values_list(*_DOCUMENT, title, *_event_texts())]


def read_agent_name(using: str, key: int) -> str | None:
    """Return the name in the last message of the agent of a Parlant session."""
    rows = _parlant_sessions(using, [key]).values_list(_agent_name(_last_messages()), flat=True)
    name: str | None = rows.first()
    return name


def _parlant_sessions(using: str, keys: Sequence[int]) -> QuerySet[Any]:
    prefix = Left("collection", Length("collection") - len(SESSIONS))
    rows = Document.objects.using(using).filter(key__in=keys)
    return rows.annotate(events_in=Concat(prefix, Value("events")))


class Persons:
    """The names of customers and agents, by collection and id."""

    def __init__(self, rows: Iterable[tuple[str, str, str | None]] = ()) -> None:
        self._names: dict[str, list[tuple[str, str]]] = {}
        for collection, id_, name in rows:
            if name:
                self._names.setdefault(id_, []).append((collection, name))

    def customer(self, row: DocumentRow) -> str | None:
        return self._name(row, CUSTOMERS, row.customer_id)

    def agent(self, row: DocumentRow) -> str | None:
        return self._name(row, AGENTS, row.agent_id) or row.agent_name

    def _name(self, row: DocumentRow, suffix: str, id_: str | None) -> str | None:
        """Return the name in the collection whose name begins most like that of the session."""
        found = [one for one in self._names.get(id_ or "", ()) if one[0].endswith(suffix)]
        if not found:
            return None
        _, name = max(found, key=lambda one: common_length(one[0], row.collection))
        return name


def read_persons(using: str, rows: Sequence[DocumentRow], names: Names | None = None) -> Persons:
    """Read the names of the customers and agents of the rows, in the collections of any prefix.

    names: the names of the collections, if they are known.
    """
    customers = {row.customer_id for row in rows if row.customer_id}
    agents = {row.agent_id for row in rows if row.agent_id}
    if not customers and not agents:
        return Persons()
    if names is None:
        names = Names([], first_values(Document, "collection", MAX_NAMES, using))
    condition = Q(collection__in=names.ending(CUSTOMERS), document_id__in=sorted(customers))
    condition |= Q(collection__in=names.ending(AGENTS), document_id__in=sorted(agents))
    found = Document.objects.using(using).filter(condition)
    name = Left(JSONText("data", "name"), NAME + 1)
    return Persons(found.values_list("collection", "document_id", name))


def active_time(minute: int | None) -> datetime | None:
    """Return the time of a minute since 1970, as Django represents times."""
    if minute is None:
        return None
    time = datetime.fromtimestamp(minute * 60, UTC)
    return time if settings.USE_TZ else time.astimezone().replace(tzinfo=None)


def _item_texts() -> tuple[Any, ...]:
    items = SessionItem.objects.filter(session=OuterRef("key"))
    nested = SessionItem.objects.filter(session=OuterRef(OuterRef("key")))
    start = Subquery(nested.order_by("position").values("position")[:1])
    first = items.filter(role="user", text__gt="", position__lt=start + MAX_FIRST)
    last = items.filter(position__gte=OuterRef("next_position") - MAX_LAST)
    is_text = {"role__in": ("user", "assistant"), "text__gt": ""}
    return (
        _beginning(first.order_by("position"), "text"),
        _beginning(last.filter(**is_text).order_by("-position"), "text"),
        Subquery(_waiting(last)),
    )


def _waiting(items: QuerySet[SessionItem]) -> QuerySet[Any]:
    """Return the number of approvals that are requested and not answered."""
    number = Case(When(role=REQUEST, then=Value(1)), default=Value(-1), output_field=IntegerField())
    found = items.filter(role__in=(REQUEST, RESPONSE)).order_by().values("session")
    return found.annotate(waiting=Sum(number)).values("waiting")


def _event_texts() -> tuple[Any, ...]:
    first = _messages().filter(
        data__source__in=("customer", "customer_ui"), at_offset__lt=MAX_FIRST
    )
    last = _last_messages()
    return (
        _beginning(first.order_by("at_offset"), JSONText("data", "data", "message")),
        _beginning(last.order_by("-at_offset"), JSONText("data", "data", "message")),
        _agent_name(last),
    )


def _agent_name(messages: QuerySet[Any]) -> Subquery:
    said = messages.filter(data__source="ai_agent").order_by("-at_offset")
    return _beginning(said, JSONText("data", "data", "participant", "display_name"))


def _messages() -> QuerySet[Any]:
    return _events(OuterRef("events_in"), OuterRef("document_id")).filter(data__kind="message")


def _last_messages() -> QuerySet[Any]:
    nested = _events(OuterRef(OuterRef("events_in")), OuterRef(OuterRef("document_id")))
    latest = Subquery(nested.order_by("-at_offset").values("at_offset")[:1])
    # An event without an offset has the least number, from which PostgreSQL cannot subtract.
    end = Greatest(latest, Value(0), output_field=BigIntegerField())
    return _messages().filter(at_offset__gt=end - MAX_LAST)


def _events(collection: Any, session_id: Any) -> QuerySet[Any]:
    found = Document.objects.filter(collection=collection, session_id=session_id)
    return found.annotate(at_offset=_Offset("data", "offset"))


def _beginning(rows: QuerySet[Any], text: Any) -> Subquery:
    return Subquery(rows.values(beginning=Left(text, NAME + 1))[:1])
