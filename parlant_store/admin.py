"""Sessions and documents for people to read; stores write them."""

import json
import re
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import connections, router
from django.db.models import Case, F, Model, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce, Left, NullIf
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from parlant_store import codec
from parlant_store.models import Document, Session, SessionItem

PAGE = 100
"""How many items the page of a session shows."""

SHOWN = 2_000
"""How many characters of an item it shows."""

READ = 10 * SHOWN
"""How many characters of an item's JSON it reads to find them."""

NAME = 80
"""How many characters of a name or a text fit a list."""

PRETTY = 10_000_000
"""How long indented JSON may become; deep nesting makes it far longer than what was stored."""

COUNTED = 10_000
"""How many rows a list counts, and lists."""

PLACES = 1_000
"""In how many namespaces or collections a search looks one by one; else it reads the index."""

SLASHES = 50
"""How many slashes of a search may part the place from the name."""

NOTHING = "-"
"""What pages show for null; Django does so in lists."""


# Names and JSON


def _name(column: str | None) -> str | None:
    """What ``codec.to_column`` was given, or the beginning of it when it was long."""
    if not column:
        return None
    start, shortened, _digest = column.partition("\x01\x03")
    return codec.printable(codec.unescape(start)) + ("…" if shortened else "")


def _session_name(session: Session) -> str:
    names = (_cut(_name(session.namespace)), _cut(_name(session.session_id)))
    return "/".join(name for name in names if name)


def _cut(text: str | None) -> str | None:
    if text is None or len(text) <= NAME:
        return text and codec.printable(text)
    return codec.printable(text[: NAME - 1]) + "…"


def _pretty(value: object) -> str:
    """Indented JSON; lone surrogates stand in it as the escapes that JSON has for them."""
    text = _indented(value) or json.dumps(value, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def _indented(value: object) -> str | None:
    parts, length = [], 0
    try:
        for part in json.JSONEncoder(ensure_ascii=False, indent=2).iterencode(value):
            parts.append(part)
            length += len(part)
            if length > PRETTY:
                return None
    except RecursionError:
        return None
    return "".join(parts)


def _pretty_text(text: str) -> str:
    """JSON text, indented; as it is when it is no JSON."""
    try:
        return _pretty(json.loads(text))
    except (ValueError, RecursionError):
        return codec.printable(text)


def _pre(text: str) -> SafeString:
    return format_html('<pre class="parlant-json" dir="ltr">{}</pre>', text)


def _column(model: type[Model], name: str) -> Any:
    """A name as a column of a list."""
    field = _field(model, name)

    @admin.display(description=field.verbose_name)
    def column(row: Model) -> str | None:
        return _cut(_name(getattr(row, name)))

    column.__name__ = name
    return column


def _full(model: type[Model], name: str) -> Any:
    """A name as a field of a page, at its full length."""
    field = _field(model, name)

    @admin.display(description=field.verbose_name)
    def full(row: Any) -> str:
        names = row.data if isinstance(row, Document) else json.loads(row.full_names or "{}")
        text = names.get(field.column)
        shown = codec.printable(text) if isinstance(text, str) else _name(getattr(row, name))
        return shown or NOTHING

    full.__name__ = name
    return full


def _field(model: type[Model], name: str) -> Any:
    return model._meta.get_field(name)


# Search


def _places(model: type[Model], place: str) -> list[str]:
    """The values of the column that leads an index, by one step into it for each of them."""
    table, column = model._meta.db_table, _field(model, place).column
    sql = (
        f"WITH RECURSIVE places (place) AS (SELECT min({column}) FROM {table} UNION ALL"
        f" SELECT (SELECT min({column}) FROM {table} WHERE {column} > place) FROM places"
        " WHERE place IS NOT NULL) SELECT place FROM places WHERE place IS NOT NULL LIMIT %s"
    )
    with connections[router.db_for_read(model)].cursor() as cursor:
        cursor.execute(sql, (PLACES + 1,))
        return [value for (value,) in cursor.fetchall()]


def _named(model: type[Model], place: str, name: str, term: str) -> list[Q]:
    """Conditions that find ``term`` as a ``name`` in any ``place``, or as place/name.

    The unique index on both columns serves them.
    """
    anywhere, within = Q((name, codec.to_column(term))), Q()
    places = _places(model, place)
    if len(places) <= PLACES:
        anywhere &= Q((f"{place}__in", places))
    for slash in list(re.finditer("/", term))[:SLASHES]:
        before, after = term[: slash.start()], term[slash.end() :]
        within |= Q((place, codec.to_column(before)), (name, codec.to_column(after)))
    return [anywhere, within] if within else [anywhere]


def _sessions_named(term: str) -> list[Q]:
    return _named(Session, "namespace", "session_id", term)


def _keys(model: type[Model], conditions: list[Q]) -> list[int]:
    """The keys of the newest rows that meet one of ``conditions``.

    A union, because OR loses indexes; and a list, because beside an order and a limit
    PostgreSQL may prefer to read the whole table.
    """
    first, *rest = (model._default_manager.filter(condition) for condition in conditions)
    found = first.values_list("key").union(*(matches.values_list("key") for matches in rest))
    return [key for (key,) in found.order_by("-key")[: COUNTED + 1]]


# A session's items


class Entry(NamedTuple):
    """An item on the page of its session."""

    key: int
    position: int
    created_at: datetime
    role: str | None
    name: str | None
    """The function that a call calls."""
    text: str
    is_code: bool
    is_cut: bool


class Transcript(NamedTuple):
    """A page of a session's items, and the positions that the pages beside it begin from."""

    entries: list[Entry]
    before: int | None
    after: int | None


_ENTRY = (
    "key",
    "position",
    "created_at",
    Left("role", NAME + 1),
    Left("text", SHOWN + 1),
    Case(When(Q(text=None) | Q(text=""), then=Left("data", READ + 1))),
)


def _transcript(session: Session, params: QueryDict) -> Transcript:
    before, after = _position(params.get("before")), _position(params.get("after"))
    items = SessionItem.objects.filter(session=session)
    if before is None:
        after = -1 if after is None else after
        entries, more = _entries(items.filter(position__gt=after).order_by("position"))
        earlier, later = after >= 0 and items.filter(position__lte=after).exists(), more
    else:
        entries, more = _entries(items.filter(position__lt=before).order_by("-position"))
        entries.reverse()
        earlier, later = more, items.filter(position__gte=before).exists()
        after = before - 1
    first = entries[0].position if entries else after + 1
    last = entries[-1].position if entries else after
    return Transcript(entries, first if earlier else None, last if later else None)


def _entries(items: QuerySet[SessionItem]) -> tuple[list[Entry], bool]:
    rows = list(items.values_list(*_ENTRY)[: PAGE + 1])
    return [_entry(*row) for row in rows[:PAGE]], len(rows) > PAGE


def _entry(
    key: int, position: int, created_at: datetime, role: str | None, text: str, data: str | None
) -> Entry:
    name = None
    if data is not None:
        name, text = _read(data)
    return Entry(
        key=key,
        position=position,
        created_at=created_at,
        role=_cut(role),
        name=_cut(name),
        text=codec.printable(text[:SHOWN]),
        is_code=data is not None,
        is_cut=len(text) > SHOWN,
    )


def _read(data: str) -> tuple[str | None, str]:
    """The name and the text of an item that is no message, as far as ``data`` goes."""
    try:
        item = json.loads(data)
    except (ValueError, RecursionError):
        return None, data
    match item:
        case {"type": "function_call", "name": str(name), "arguments": str(arguments)}:
            return name, _pretty_text(arguments)
        case {"type": "function_call_output", "output": str(output)}:
            return None, output
    return None, _pretty_text(data)


def _position(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


# The admin


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than ``limit``, because a full count reads the whole table."""

    object_list: QuerySet[Any]
    limit = COUNTED

    @cached_property
    def count(self) -> int:
        return min(self.counted, self.limit)

    @cached_property
    def counted(self) -> int:
        """How many rows there are, or one above ``limit`` when there are more."""
        return self.object_list.order_by().values("pk")[: self.limit + 1].count()

    @property
    def is_bounded(self) -> bool:
        return self.counted > self.limit


class Rows(ChangeList):
    """A list that reads only the columns it shows."""

    model_admin: "StoreAdmin"

    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        return self.model_admin.rows(super().get_queryset(*args, **kwargs))


class StoreAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What the three have in common: read-only, newest first, found by name."""

    actions = None
    ordering = ("-key",)
    sortable_by = ()
    paginator = BoundedPaginator
    show_full_result_count = False
    unread: tuple[str, ...] = ()
    """Columns that lists leave in the database."""

    class Media:
        css: ClassVar = {"all": ["parlant_store/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return Rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return (self.find(queryset, search_term) if search_term else queryset), False

    def rows(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.defer(*self.unread)

    def find(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        """The rows of ``queryset`` that are named ``term``."""
        raise NotImplementedError

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["subtitle"] = self.subtitle(context["original"])
        return super().render_change_form(request, context, *args, **kwargs)

    def subtitle(self, row: Any) -> str | None:
        return _cut(_name(str(row)))

    def may_view(self, request: HttpRequest, model: type[Model]) -> bool:
        """Whether this person may see ``model`` in this admin too."""
        site = self.admin_site
        return site.is_registered(model) and site.get_model_admin(model).has_view_permission(
            request
        )


def _alive(prefix: str = "") -> Q:
    expires_at = f"{prefix}expires_at"
    return Q((expires_at, None)) | Q((f"{expires_at}__gt", timezone.now()))


@admin.register(Session)
class SessionAdmin(StoreAdmin):
    list_display = (
        _column(Session, "session_id"),
        _column(Session, "namespace"),
        _column(Session, "user_id"),
        "item_count",
        "updated_at",
        "expires_at",
    )
    search_fields = ("session_id", "user_id")
    search_help_text = _("A whole session id, namespace/session id, or owner.")
    unread = ("full_names", "metadata", "state")
    fields = readonly_fields = (
        _full(Session, "session_id"),
        _full(Session, "namespace"),
        _full(Session, "user_id"),
        "item_count",
        "created_at",
        "updated_at",
        "expires_at",
        "pretty_metadata",
        "pretty_state",
    )

    def subtitle(self, row: Any) -> str | None:
        return _session_name(row)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        return super().get_queryset(request).filter(_alive())

    def find(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        owned = Q(user_id=codec.to_column(term))
        return queryset.filter(key__in=_keys(Session, [owned, *_sessions_named(term)]))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if self.may_view(request, SessionItem):
            context["transcript"] = _transcript(context["original"], request.GET)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("metadata"))
    def pretty_metadata(self, session: Session) -> str:
        return _pre(_pretty(session.metadata)) if session.metadata else NOTHING

    @admin.display(description=_("state"))
    def pretty_state(self, session: Session) -> str:
        return _pre(_pretty(session.state)) if session.state else NOTHING


@admin.register(SessionItem)
class SessionItemAdmin(StoreAdmin):
    list_display = ("session_name", "position", "short_role", "short_text", "created_at")
    list_display_links = ("position",)
    search_fields = ("session__session_id",)
    search_help_text = _("A whole session id, or namespace/session id.")
    unread = ("role", "text", "data")
    fields = readonly_fields = (
        "session_name",
        "position",
        "full_role",
        "created_at",
        "pretty_data",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[SessionItem]:
        items = super().get_queryset(request).filter(_alive("session__"))
        beside = [f"session__{column}" for column in SessionAdmin.unread]
        return items.select_related("session").defer("text", *beside)

    def rows(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        text = Coalesce(NullIf(F("text"), Value("")), F("data"))
        shown = {"shown_role": Left("role", NAME + 1), "shown_text": Left(text, NAME + 1)}
        found: QuerySet[Any] = super().rows(queryset).annotate(**shown)
        return found

    def find(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        return queryset.filter(session__in=_keys(Session, _sessions_named(term)))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if self.may_view(request, Session):
            context["session_url"] = self._place(context["original"])
        return super().render_change_form(request, context, *args, **kwargs)

    def subtitle(self, row: Any) -> str | None:
        return _("Item {position} of {session}").format(
            position=row.position, session=self.session_name(row)
        )

    @admin.display(description=_("session"))
    def session_name(self, item: SessionItem) -> str | None:
        return _session_name(item.session)

    @admin.display(description=_("role"))
    def short_role(self, item: Any) -> str | None:
        return _cut(item.shown_role)

    @admin.display(description=_("role"))
    def full_role(self, item: SessionItem) -> str:
        return _cut(item.role) or NOTHING

    @admin.display(description=_("text"))
    def short_text(self, item: Any) -> str | None:
        return _cut(item.shown_text)

    @admin.display(description=_("item"))
    def pretty_data(self, item: SessionItem) -> SafeString:
        return _pre(_pretty_text(item.data))

    def _place(self, item: SessionItem) -> str:
        url = reverse(
            "admin:parlant_store_session_change",
            args=[item.session_id],
            current_app=self.admin_site.name,
        )
        return f"{url}?after={item.position - 1}#item-{item.position}"


@admin.register(Document)
class DocumentAdmin(StoreAdmin):
    list_display = (
        _column(Document, "collection"),
        _column(Document, "document_id"),
        _column(Document, "customer_id"),
        _column(Document, "agent_id"),
        _column(Document, "session_id"),
        _column(Document, "version"),
        _column(Document, "creation_utc"),
    )
    list_display_links = (list_display[1],)
    search_fields = ("document_id",)
    search_help_text = _("A whole document id, or collection/document id.")
    unread = ("data",)
    fields = readonly_fields = (
        _full(Document, "collection"),
        _full(Document, "document_id"),
        _full(Document, "customer_id"),
        _full(Document, "agent_id"),
        _full(Document, "session_id"),
        _full(Document, "version"),
        _full(Document, "creation_utc"),
        "updated_at",
        "expires_at",
        "pretty_data",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        return super().get_queryset(request).filter(_alive())

    def find(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        return queryset.filter(
            key__in=_keys(Document, _named(Document, "collection", "document_id", term))
        )

    @admin.display(description=_("document"))
    def pretty_data(self, document: Document) -> SafeString:
        return _pre(_pretty(document.data))
