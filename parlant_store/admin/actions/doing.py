"""Actions: for which rows each is, what it asks for, and how it is done."""

from datetime import datetime
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.db import router
from django.db.models import Model, Q
from django.forms import Form
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from parlant_store.admin.actions import here, lives, words
from parlant_store.admin.actions.chosen import everything, look, writing
from parlant_store.admin.actions.confirming import NAMED, page_of
from parlant_store.admin.actions.exporting import exported
from parlant_store.admin.actions.forms import BranchForm, ExtendForm
from parlant_store.admin.actions.lives import Change, Done
from parlant_store.admin.actions.log import log
from parlant_store.admin.actions.words import WORDS, counted
from parlant_store.admin.formatting import column_name, cut
from parlant_store.admin.options import StoreAdmin
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.references.deletion import ProtectedGroup
from parlant_store.content.codec import printable
from parlant_store.exceptions import ProtectedRow, SessionNotFound
from parlant_store.models import Session

Answer = HttpResponseBase | None
"""What the admin does with an action: None leads back to the list."""


class Asked(NamedTuple):
    """What somebody wants something to be done to."""

    admin: StoreAdmin
    request: HttpRequest
    keys: list[int]

    @property
    def model(self) -> type[Model]:
        model: type[Model] = self.admin.model
        return model

    def tell(self, level: int, text: str) -> None:
        self.admin.message_user(self.request, text, level)

    def back(self) -> Answer:
        """Where the way leads afterwards; None: to the list."""
        url = page_of(self.admin, self.request, self.keys)
        return HttpResponseRedirect(url) if url else None


class Action:
    """One of them; a class for each."""

    name: str
    title: str | Promise
    verb: str | Promise
    is_deletion = False

    def meant(self, now: datetime) -> Q:
        """For which rows it is."""
        return everything()

    def suits(self, expires_at: datetime | None, now: datetime) -> bool:
        """The same, of a row that was read."""
        return True

    def form(self, asked: Asked, data: Any) -> Form | None:
        """What it asks for; ``data`` are None before somebody has answered."""
        return None

    def refusal(self, asked: Asked) -> str | None:
        """Why it is not for what was chosen."""
        return None

    def do(self, asked: Asked, form: Any) -> Answer:
        raise NotImplementedError


class _Ending(Action):
    """An action that changes when rows expire."""

    def change(self, now: datetime, form: Any) -> Change:
        raise NotImplementedError

    def said(self, form: Any) -> str:
        """What the log says."""
        raise NotImplementedError

    def do(self, asked: Asked, form: Any) -> Answer:
        with writing(router.db_for_write(asked.model)):
            change = self.change(timezone.now(), form)
            done = lives.change(asked.model, asked.keys, change)
            log(asked.request, asked.model, done.rows, CHANGE, self.said(form) + _along(done))
        _tell(asked, self, done)
        return asked.back()


class _ForLive(Action):
    """An action for rows that have not expired."""

    def meant(self, now: datetime) -> Q:
        return lives.is_live(now)

    def suits(self, expires_at: datetime | None, now: datetime) -> bool:
        return expires_at is None or expires_at > now


class Expire(_ForLive, _Ending):
    name = "expire"
    title = verb = gettext_lazy("Expire now")

    def change(self, now: datetime, form: Any) -> Change:
        return lives.expired(now)

    def said(self, form: Any) -> str:
        return "Expired now."


class Extend(_Ending):
    name = "extend"
    title = verb = gettext_lazy("Extend")

    def meant(self, now: datetime) -> Q:
        return lives.can_be_put_off(now)

    def suits(self, expires_at: datetime | None, now: datetime) -> bool:
        return expires_at is not None and expires_at < now + lives.HORIZON

    def form(self, asked: Asked, data: Any) -> Form:
        return ExtendForm(data)

    def change(self, now: datetime, form: Any) -> Change:
        if form.days is None:
            return lives.extended_until(form.cleaned_data["until"])
        return lives.extended(now, form.days)

    def said(self, form: Any) -> str:
        if form.days is None:
            return f"Extended until {form.cleaned_data['until'].isoformat(' ', 'minutes')}."
        return f"Extended by {form.days.days} day{'' if form.days.days == 1 else 's'}."


class Keep(_Ending):
    name = "keep"
    title = verb = gettext_lazy("Keep for ever")

    def meant(self, now: datetime) -> Q:
        return lives.kept().meant

    def suits(self, expires_at: datetime | None, now: datetime) -> bool:
        return expires_at is not None

    def change(self, now: datetime, form: Any) -> Change:
        return lives.kept()

    def said(self, form: Any) -> str:
        return "Kept for ever."


class Remove(Action):
    name = "remove"
    title = verb = gettext_lazy("Delete")
    is_deletion = True

    def do(self, asked: Asked, form: Any) -> Answer:
        with writing(router.db_for_write(asked.model)):
            done = lives.delete(asked.model, asked.keys)
            log(asked.request, asked.model, done.rows, DELETION, f"Deleted.{_along(done)}")
        if asked.model is Session:
            here.tell_deleted(done.rows)
        _tell(asked, self, done)
        return None


class Export(Action):
    name = "export"
    title = gettext_lazy("Export as JSON Lines")
    verb = gettext_lazy("Download")

    def do(self, asked: Asked, form: Any) -> Answer:
        rows = look(asked.model, asked.keys, self.meant(timezone.now()))
        log(asked.request, asked.model, rows, CHANGE, "Exported.")
        return exported(asked.request, asked.model, [row.key for row in rows])


class Branch(_ForLive):
    name = "branch"
    title = verb = gettext_lazy("Branch")

    def refusal(self, asked: Asked) -> str | None:
        return None if len(asked.keys) == 1 else _("Choose one session to branch.")

    def form(self, asked: Asked, data: Any) -> Form | None:
        source = self._source(asked)
        return source and BranchForm(
            data,
            source_id=source.session_id,
            is_taken=lambda id_: here.is_taken(SessionName(source.namespace, id_)),
        )

    def do(self, asked: Asked, form: Any) -> Answer:
        source = self._source(asked)
        try:
            if source is None:
                raise SessionNotFound
            with writing(router.db_for_write(Session)):
                copy = here.branch(source, form.cleaned_data["new_id"])
                message = f"Branched from {cut(source.session_id)}."
                log(asked.request, Session, [copy], ADDITION, message)
        except SessionNotFound:
            asked.tell(messages.WARNING, str(words.NOTHING_THERE))
            return None
        except ProtectedRow as exc:
            asked.tell(messages.ERROR, printable(str(exc)))
            return asked.back()
        except here.Taken:
            asked.tell(messages.ERROR, _("There is a session of this id already."))
            return asked.back()
        name = cut(column_name(copy.name))
        asked.tell(messages.SUCCESS, counted(WORDS[Session, self.name].done, 1, name=name))
        return asked._replace(keys=[copy.key]).back()

    def _source(self, asked: Asked) -> SessionName | None:
        rows = look(Session, asked.keys, self.meant(timezone.now()))
        return here.name_of_row(rows[0]) if rows and rows[0].is_meant else None


ACTIONS: dict[str, Action] = {
    action.name: action for action in (Expire(), Extend(), Keep(), Branch(), Export(), Remove())
}


def _tell(asked: Asked, action: Action, done: Done) -> None:
    """Say what has become of it."""
    if done.rows:
        asked.tell(messages.SUCCESS, counted(WORDS[asked.model, action.name].done, len(done.rows)))
    if done.parts:
        asked.tell(messages.SUCCESS, counted(words.PARTS_DONE, done.parts))
    if done.left:
        asked.tell(messages.WARNING, counted(words.LEFT[action.name], done.left))
    for one in done.kept[:NAMED]:
        asked.tell(messages.ERROR, _protected(asked.model, one))
    if len(done.kept) > NAMED:
        asked.tell(messages.ERROR, counted(words.MORE_PROTECTED, len(done.kept) - NAMED))
    if done.gone:
        asked.tell(messages.WARNING, counted(words.GONE, done.gone))


def _protected(model: type[Model], one: ProtectedGroup) -> str:
    row = model._default_manager.filter(pk=one.keys[0]).first()
    names = {"name": cut(str(row)), "rows": one.protected_by}
    return printable(_("%(name)s stays: it is protected by %(rows)s.") % names)


def _along(done: Done) -> str:
    return f" Documents that went along: {done.parts:,}." if done.parts else ""
