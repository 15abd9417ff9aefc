"""What can be done to sessions and documents of any store, after a page that asks."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from parlant_store.admin.actions.words import counted
from parlant_store.admin.formatting import grouped
from parlant_store.admin.stores.asking import ask, heard, on_store, show
from parlant_store.admin.stores.noting import note
from parlant_store.admin.stores.subjects import DOCUMENTS, SESSIONS, Chosen, Subject
from parlant_store.backends.base import BaseBackend
from parlant_store.backends.reads import primary_reads
from parlant_store.content.codec import printable
from parlant_store.content.times import as_utc
from parlant_store.exceptions import InvalidLimit, ProtectedRow, StoreError

MOST = 100
"""To how many of them something is done at once."""

MOST_DAYS = 36_500


class Action(NamedTuple):
    name: str
    title: str | Promise
    permission: str
    """As for those in this database."""

    done: str
    """What the log says, in English as everywhere in it."""


ACTIONS = {
    action.name: action
    for action in (
        Action("expire", gettext_lazy("Expire now"), "expire", "Expired now."),
        Action("extend", gettext_lazy("Extend by days"), "extend", "Extended by days: {days}."),
        Action("keep", gettext_lazy("Keep for ever"), "extend", "Kept for ever."),
        Action("delete", gettext_lazy("Delete"), "delete", "Deleted."),
    )
}


def allowed(request: HttpRequest, subject: Subject) -> list[Action]:
    """What the user may do."""
    return [action for action in ACTIONS.values() if _may_act(request, action, subject)]


@on_store(SESSIONS.model)
def change_sessions(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    return _change(admin, request, store, SESSIONS)


@on_store(DOCUMENTS.model)
def change_documents(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    return _change(admin, request, store, DOCUMENTS)


def _change(admin: Any, request: HttpRequest, store: BaseBackend, subject: Subject) -> HttpResponse:
    """Asks first; then does what was chosen to each, until the store fails."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    action = ACTIONS.get(request.POST.get("action", ""))
    if action is not None and not _may_act(request, action, subject):
        raise PermissionDenied
    chosen = _chosen(request, subject)
    back = subject.list_url(admin, store, chosen)
    if action is None:
        messages.warning(request, _("No action was chosen."))
        return HttpResponseRedirect(back)
    if not chosen:
        messages.warning(request, subject.nothing_chosen)
        return HttpResponseRedirect(back)
    days = _days(request) if action.name == "extend" else None
    if days == 0:
        text = _("The number of days must be from 1 to %(most)s.")
        messages.warning(request, text % {"most": grouped(MOST_DAYS)})
        return HttpResponseRedirect(back)
    if request.POST.get("confirmed") != "yes":
        return _confirm(admin, request, store, subject, action, chosen, days)
    _do(request, store, subject, action, chosen, days or 0)
    return HttpResponseRedirect(back)


def _may_act(request: HttpRequest, action: Action, subject: Subject) -> bool:
    return request.user.has_perm(f"parlant_store.{action.permission}_{subject.field}")


def _chosen(request: HttpRequest, subject: Subject) -> list[Chosen]:
    names = dict.fromkeys(request.POST.getlist(subject.field))
    if len(names) > MOST:
        raise SuspiciousOperation("more was chosen than a page lists")
    return [Chosen(name, *heard(name, 2)) for name in names]


def _days(request: HttpRequest) -> int:
    """What the form says; 0 when that is no good number."""
    text = request.POST.get("days", "")
    days = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return days if days <= MOST_DAYS else 0


def _confirm(
    admin: Any,
    request: HttpRequest,
    store: BaseBackend,
    subject: Subject,
    action: Action,
    chosen: list[Chosen],
    days: int | None,
) -> HttpResponse:
    question = subject.questions[action.name]
    return show(
        admin,
        request,
        "store/confirm.html",
        title=action.title,
        store_alias=store.alias,
        place=subject.title % {"alias": store.alias},
        question=counted(question, len(chosen), days=grouped(days or 0)),
        names=[str(one) for one in chosen],
        fields={"action": action.name, "days": str(days or "")},
        field=subject.field,
        chosen=[one.name for one in chosen],
        verb=action.title,
        is_deletion=action.name == "delete",
        back_url=subject.list_url(admin, store, chosen),
    )


def _do(
    request: HttpRequest,
    store: BaseBackend,
    subject: Subject,
    action: Action,
    chosen: list[Chosen],
    days: int,
) -> None:
    done = 0
    for one in chosen:
        try:
            with primary_reads():
                act = partial(_act, store, subject, action, one, timedelta(days=days))
                is_done = ask(store, act)
        except ProtectedRow as exc:
            messages.error(request, printable(str(exc)))
            continue
        except StoreError as exc:
            names = {"name": one, "error": printable(str(exc))}
            messages.error(request, _("Stopped at %(name)s: %(error)s") % names)
            break
        if is_done:
            done += 1
            flag = DELETION if action.name == "delete" else CHANGE
            note(request, subject.model, store, str(one), flag, action.done.format(days=days))
    left = len(chosen) - done
    if done:
        messages.success(request, counted(subject.done, done, action=action.title))
    if left:
        messages.warning(request, counted(subject.left, left))


def _act(
    store: BaseBackend, subject: Subject, action: Action, one: Chosen, days: timedelta
) -> bool:
    """False when there is nothing to do: it is not there, or never expires."""
    match action.name:
        case "delete":
            return subject.delete(store, one)
        case "keep":
            return subject.set_end(store, one, None)
        case "extend":
            end = subject.end_of(store, one)
            return end is not None and subject.set_end(store, one, _later(end, days))
    return subject.set_end(store, one, as_utc(store.clock()))


def _later(time: datetime, days: timedelta) -> datetime:
    try:
        return as_utc(time) + days
    except OverflowError:
        raise InvalidLimit(_("there is no day so late")) from None
