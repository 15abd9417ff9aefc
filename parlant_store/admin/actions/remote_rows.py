"""Rows of a store that is reached through its contract, and the views that act on them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from itertools import chain
from time import monotonic
from typing import Any

from django.contrib import messages as levels
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import Model
from django.http import HttpRequest, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from parlant_store.admin.actions.actions import DOCUMENT_ACTIONS, SESSION_ACTIONS
from parlant_store.admin.actions.confirmation import Action, log_by_name
from parlant_store.admin.actions.export import document_line, session_line, thread_lines
from parlant_store.admin.actions.local_rows import copy_thread
from parlant_store.admin.actions.selection import TTL, Result, Row, Rows, Selection, items_text
from parlant_store.admin.formatting import joined_name
from parlant_store.admin.views import base
from parlant_store.admin.views.base import (
    call_store,
    decode_names,
    django_time,
    encode_names,
    link,
    on_store,
    result_of,
    show,
)
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.reads import primary_reads
from parlant_store.content.codec import printable
from parlant_store.exceptions import ProtectedRow, StoreError
from parlant_store.models import Document, Session, Thread

MAX_REMOTE_ROWS = 100
"""Limit on the rows of one action: each is a call of the store."""

ACTIONS = {Session: SESSION_ACTIONS, Document: DOCUMENT_ACTIONS}
LISTED: dict[type[Model], tuple[type[Model], ...]] = {
    Session: (Session, Thread),
    Document: (Document,),
}
"""The models of the rows in a list; the checkboxes of each have its name."""

NONE_SELECTED: dict[type[Model], Any] = {
    Session: gettext_lazy("No conversation was selected."),
    Document: gettext_lazy("No document was selected."),
}


class RemoteRows(Rows):
    def __init__(self, store: BaseBackend, model: type[Model], names: Sequence[str]) -> None:
        """``names`` are form data: a namespace, or a collection, and an id."""
        self.store = store
        self.model = model
        self.names = list(dict.fromkeys(names))
        self.places = [decode_names(name, 2) for name in self.names]

    def __len__(self) -> int:
        return len(self.names)

    def now(self) -> datetime:
        return django_time(self.store.clock()) or timezone.now()

    def transaction(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def read(self, *, lock: bool = False) -> list[Row]:
        with primary_reads():
            calls = [self.store.submit(partial(self._get, *place)) for place in self.places]
        until = monotonic() + base.TIMEOUT_SECONDS
        found = [result_of(call, until - monotonic()) for call in calls]
        return [
            Row(key, place, id_, None, getattr(info, "item_count", 0), django_time(info.expires_at))
            for key, ((place, id_), info) in enumerate(zip(self.places, found, strict=True))
            if info is not None
        ]

    def form_data(self, rows: Sequence[Row]) -> list[tuple[str, Any]]:
        return [(str(self.model._meta.model_name), self.names[row.key]) for row in rows]

    def label(self, row: Row) -> str:
        return joined_name(row.place, row.name)

    def notes(self, action: str, rows: Sequence[Row]) -> Iterator[str]:
        if self.model is not Document:
            if self.model is Session:
                yield items_text(rows)
            if action in ("extend", "keep") and self.store.ttl is not None:
                yield str(TTL)
        elif action != "export":
            yield (
                _(
                    "What belongs to a Parlant session stays: to take that along, let the session "
                    "expire now."
                )
                if action == "remove"
                else _("A Parlant session takes its documents along.")
            )

    def set_expiry(
        self, rows: Sequence[Row], at: datetime | None, by: timedelta | None = None
    ) -> Result:
        def set_one(row: Row) -> Any:
            new = at if by is None or at is None else max(at, row.expires_at or at) + by
            if self.model is Document:
                return self.store.set_document_expiry(row.place, row.name or "", new)
            is_thread = self.model is Thread
            set_ = self.store.set_thread_expiry if is_thread else self.store.set_expiry
            return set_(row.name or "", new, namespace=row.place)

        return self._call_each(rows, set_one)

    def delete(self, rows: Sequence[Row]) -> Result:
        def delete_one(row: Row) -> bool:
            if self.model is Document:
                return self.store.delete_one(row.place, {"id": {"$eq": row.name}}) is not None
            is_thread = self.model is Thread
            delete = self.store.delete_thread if is_thread else self.store.delete_session
            return delete(row.name or "", namespace=row.place)

        return self._call_each(rows, delete_one)

    def send_deleted(self, rows: Sequence[Row]) -> None:
        """The store has sent the signals."""

    def lines(self, rows: Sequence[Row]) -> Iterator[str]:
        lines = (line for row in rows for line in call_store(self.store, partial(self._lines, row)))
        # The first line is read now, so that an error becomes a page.
        return chain([next(lines, "")], lines)

    def session_name(self, row: Row) -> SessionName:
        return SessionName(row.place, row.name or "")

    def is_taken(self, name: SessionName) -> bool:
        with primary_reads():
            return call_store(self.store, partial(self._get, *name)) is not None

    def branch(self, source: SessionName, new_id: str) -> Row:
        """Also raise StoreError."""
        if self.model is Thread:
            call_store(self.store, partial(copy_thread, self.store, source, new_id))
        else:
            branch = partial(self.store.branch, source.session_id, new_id)
            call_store(self.store, partial(branch, namespace=source.namespace, replace=False))
        return Row(0, source.namespace, new_id)

    def log(self, request: HttpRequest, rows: Sequence[Row], message: str, flag: int) -> None:
        for row in rows:
            text = f"Store {self.store.alias}: {message}"
            log_by_name(request, self.model, self.label(row), flag, text)

    def _call_each(self, rows: Sequence[Row], call: Callable[[Row], Any]) -> Result:
        """``call`` returns whether the row existed."""
        result = Result()
        for number, row in enumerate(rows):
            try:
                with primary_reads():
                    is_changed = call_store(self.store, partial(call, row))
            except ProtectedRow as exc:
                result |= Result(protected=((self.label(row), printable(exc.protected_by)),))
            except StoreError as exc:
                failed = ((self.label(row), printable(str(exc))),)
                return result | Result(failed=failed, remaining=len(rows) - number)
            else:
                result |= Result((row,)) if is_changed else Result(missing=1)
        return result

    def _get(self, place: str, id_: str) -> Any:
        """Return what the store says of a row; None if there is none."""
        if self.model is Document:
            return self.store.get_document(place, id_)
        get = self.store.get_thread if self.model is Thread else self.store.get_session
        return get(id_, namespace=place)

    def _lines(self, row: Row) -> list[str]:
        if self.model is Thread:
            thread = self.store.get_thread(row.name or "", namespace=row.place)
            return [*thread_lines(self.store, [thread] if thread else [])]
        if self.model is Session:
            return [*map(session_line, self.store.read_sessions([self.session_name(row)]))]
        records = self.store.read_documents(row.place, ids=[row.name or ""])
        return [document_line(row.place, record) for record in records]


def show_rows(
    admin: Any,
    request: HttpRequest,
    store: BaseBackend,
    model: type[Model],
    template: str,
    **context: Any,
) -> TemplateResponse:
    """Return a page of a row, or of several, with the actions that the user may do."""
    name = f"stores_{model._meta.model_name}s"
    models = LISTED[model]
    return show(
        admin,
        request,
        template,
        store_alias=store.alias,
        actions=[action for action in ACTIONS[model] if _is_permitted(action, request, models)],
        change_url=link(admin, f"{name}_change", store=store.alias),
        list_url=link(admin, name, store=store.alias),
        **context,
    )


@on_store(Session, Thread)
def change_sessions(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponseBase:
    return _change(admin, request, store, Session)


@on_store(Document)
def change_documents(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponseBase:
    return _change(admin, request, store, Document)


def _change(
    admin: Any, request: HttpRequest, store: BaseBackend, model: type[Model]
) -> HttpResponseBase:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    name = request.POST.get("action", "")
    action = _action(model, name)
    if action is not None and not _is_permitted(action, request, LISTED[model]):
        raise PermissionDenied
    selected = {one: request.POST.getlist(str(one._meta.model_name)) for one in LISTED[model]}
    if sum(len(set(names)) for names in selected.values()) > MAX_REMOTE_ROWS:
        raise SuspiciousOperation("more was selected than a page lists")
    parts = [RemoteRows(store, one, names) for one, names in selected.items() if names]
    parts = parts or [RemoteRows(store, model, [])]
    list_url, title = _list(admin, parts[0])
    selection = Selection(
        admin=admin,
        request=request,
        parts=parts,
        list_url=list_url,
        is_confirmed=request.POST.get("confirmed") == "yes",
        action=name,
        context={"places": [(link(admin, "stores"), _("Stores")), (list_url, title)]},
    )
    if action is not None and parts[0].names:
        return action.respond(selection)
    selection.show(levels.WARNING, NONE_SELECTED[model] if action else _("No action was selected."))
    return selection.to_list()


def _is_permitted(action: Action, request: HttpRequest, models: Sequence[type[Model]]) -> bool:
    return any(action.is_permitted(request, model) for model in models)


def _action(model: type[Model], name: str) -> Action | None:
    actions = ACTIONS[model]
    return next((each for each in actions if each.remote_name == name), None)


def _list(admin: Any, rows: RemoteRows) -> tuple[str, str]:
    """Return the address and the title of the list of the rows."""
    names = {"alias": rows.store.alias}
    if rows.model is not Document:
        url = link(admin, "stores_sessions", store=rows.store.alias)
        return url, _("Conversations of the store %(alias)s") % names
    place = {"collection": encode_names(rows.places[0][:1])} if rows.places else {}
    url = link(admin, "stores_documents", store=rows.store.alias, **place)
    return url, _("Documents of the store %(alias)s") % names
