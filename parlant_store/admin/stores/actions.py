"""What can be done to the sessions of any store, after a page that asks."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from parlant_store.admin.stores.asking import ask, heard, link, on_store, show
from parlant_store.admin.stores.noting import note
from parlant_store.admin.text import cut, grouped
from parlant_store.backends.base import BaseBackend
from parlant_store.codec import printable
from parlant_store.exceptions import InvalidLimit, StoreError
from parlant_store.models import Session

MOST = 100
"""To how many sessions something is done at once."""

MOST_DAYS = 36_500


class Action(NamedTuple):
    name: str
    title: str | Promise
    permission: str
    """Of sessions, as for those in this database."""

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


class Chosen(NamedTuple):
    """A session that something is to be done to."""

    name: str
    """As forms say it."""

    namespace: str
    session_id: str

    def __str__(self) -> str:
        names = (cut(self.namespace), cut(self.session_id))
        return "/".join(name for name in names if name)


def may_act(request: HttpRequest, action: Action) -> bool:
    return request.user.has_perm(f"parlant_store.{action.permission}_session")


@on_store(Session)
def change_sessions(admin: Any, request: HttpRequest, store: BaseBackend) -> HttpResponse:
    """Asks first; then does what was chosen to each session, until the store fails."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    action = ACTIONS.get(request.POST.get("action", ""))
    back = link(admin, "stores_sessions", store=store.alias)
    if action is None:
        messages.warning(request, _("No action was chosen."))
        return HttpResponseRedirect(back)
    if not may_act(request, action):
        raise PermissionDenied
    chosen = _chosen(request)
    days = _days(request) if action.name == "extend" else None
    if not chosen or days == 0:
        messages.warning(
            request,
            _("No session was chosen.")
            if not chosen
            else _("The number of days must be from 1 to %(most)s.") % {"most": grouped(MOST_DAYS)},
        )
        return HttpResponseRedirect(back)
    if request.POST.get("confirmed") != "yes":
        return _confirm(admin, request, store, action, chosen, days)
    _do(request, store, action, chosen, days or 0)
    return HttpResponseRedirect(back)


def _chosen(request: HttpRequest) -> list[Chosen]:
    names = dict.fromkeys(request.POST.getlist("session"))
    if len(names) > MOST:
        raise SuspiciousOperation("more sessions than a page lists")
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
    action: Action,
    chosen: list[Chosen],
    days: int | None,
) -> HttpResponse:
    return show(
        admin,
        request,
        "store/confirm.html",
        title=_("Sessions of the store %(alias)s") % {"alias": store.alias},
        store_alias=store.alias,
        question=_question(action, len(chosen), days or 0),
        names=[str(session) for session in chosen],
        fields={"action": action.name, "days": str(days or "")},
        chosen=[session.name for session in chosen],
        verb=action.title,
        is_deletion=action.name == "delete",
        back_url=link(admin, "stores_sessions", store=store.alias),
    )


def _question(action: Action, number: int, days: int) -> str:
    match action.name:
        case "expire":
            text = ngettext(
                "%(number)s session will expire now: nobody reads it from then on, and the next "
                "sweep removes it.",
                "%(number)s sessions will expire now: nobody reads them from then on, and the "
                "next sweep removes them.",
                number,
            )
        case "extend":
            text = ngettext(
                "%(number)s session will expire later than now said, by this many days: %(days)s.",
                "%(number)s sessions will expire later than now said, by this many days: %(days)s.",
                number,
            )
        case "keep":
            text = ngettext(
                "%(number)s session will be kept for ever.",
                "%(number)s sessions will be kept for ever.",
                number,
            )
        case _delete:
            text = ngettext(
                "%(number)s session will be deleted with all its items. It cannot be brought back.",
                "%(number)s sessions will be deleted with all their items. They cannot be brought "
                "back.",
                number,
            )
    return text % {"number": grouped(number), "days": grouped(days)}


def _do(
    request: HttpRequest, store: BaseBackend, action: Action, chosen: list[Chosen], days: int
) -> None:
    done = 0
    for session in chosen:
        try:
            is_done = ask(store, partial(_act, store, action, session, timedelta(days=days)))
        except StoreError as exc:
            names = {"name": session, "error": printable(str(exc))}
            messages.error(request, _("Stopped at %(name)s: %(error)s") % names)
            break
        if is_done:
            done += 1
            flag = DELETION if action.name == "delete" else CHANGE
            note(request, Session, store, str(session), flag, action.done.format(days=days))
    _tell(request, action, done, len(chosen) - done)


def _act(store: BaseBackend, action: Action, session: Chosen, days: timedelta) -> bool:
    """False when there is nothing to do: no such session, or one that never expires."""
    name = {"session_id": session.session_id, "namespace": session.namespace}
    match action.name:
        case "delete":
            return store.delete_session(**name)
        case "keep":
            return store.set_expiry(expires_at=None, **name)
        case "extend":
            found = store.get_session(**name)
            if found is None or found.expires_at is None:
                return False
            return store.set_expiry(expires_at=_later(found.expires_at, days), **name)
    return store.set_expiry(expires_at=_aware(store.clock()), **name)


def _later(time: datetime, days: timedelta) -> datetime:
    try:
        return _aware(time) + days
    except OverflowError:
        raise InvalidLimit(_("there is no day so late")) from None


def _aware(time: datetime) -> datetime:
    """``time`` as stores take it; without USE_TZ Django's times say no zone."""
    return time if time.tzinfo else time.astimezone()


def _tell(request: HttpRequest, action: Action, done: int, left: int) -> None:
    if done:
        text = ngettext(
            "%(action)s: done for %(number)s session.",
            "%(action)s: done for %(number)s sessions.",
            done,
        )
        messages.success(request, text % {"action": action.title, "number": grouped(done)})
    if left:
        text = ngettext(
            "%(number)s session was left as it was.",
            "%(number)s sessions were left as they were.",
            left,
        )
        messages.warning(request, text % {"number": grouped(left)})
