"""The actions on sessions and documents."""

from datetime import datetime
from typing import Any

from django.contrib import messages as levels
from django.contrib.admin.models import ADDITION, DELETION
from django.forms import Form
from django.http import HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy

from parlant_store.admin.actions import messages
from parlant_store.admin.actions.confirmation import Action
from parlant_store.admin.actions.export import download
from parlant_store.admin.actions.forms import MAX_EXTENSION, BranchForm, ExtendForm
from parlant_store.admin.actions.selection import NameTaken, Result, Row, Rows, Selection
from parlant_store.admin.formatting import cut
from parlant_store.backends.contract.validation import SessionName
from parlant_store.content.codec import printable
from parlant_store.exceptions import ProtectedRow, SessionNotFound
from parlant_store.models import Document, Session


class Expire(Action):
    name = permission = "expire"
    title = gettext_lazy("Expire now")
    log_entry = "Expired now."

    def is_eligible(self, expires_at: datetime | None, now: datetime, form: Any = None) -> bool:
        return expires_at is None or expires_at > now

    def apply(self, part: Rows, rows: list[Row], form: Any) -> Result:
        return part.set_expiry(rows, part.now())


class Extend(Action):
    """Rows that expire in more than a hundred years are not extended, and none is shortened."""

    name = permission = "extend"
    title = gettext_lazy("Extend")

    def is_eligible(self, expires_at: datetime | None, now: datetime, form: Any = None) -> bool:
        until = None if form is None else form.end
        return expires_at is not None and expires_at < (until or now + MAX_EXTENSION)

    def form(self, selection: Selection, data: Any) -> ExtendForm:
        return ExtendForm(data, selection.request.POST.get("days"))

    def apply(self, part: Rows, rows: list[Row], form: Any) -> Result:
        return part.set_expiry(rows, form.end or part.now(), form.extension)

    def log_message(self, form: Any) -> str:
        if form.extension is None:
            return f"Extended until {form.end.isoformat(' ', 'minutes')}."
        days = form.extension.days
        return f"Extended by {days} day{'' if days == 1 else 's'}."


class Keep(Action):
    name = "keep"
    permission = "extend"
    title = gettext_lazy("Keep for ever")
    log_entry = "Kept for ever."

    def is_eligible(self, expires_at: datetime | None, now: datetime, form: Any = None) -> bool:
        return expires_at is not None

    def apply(self, part: Rows, rows: list[Row], form: Any) -> Result:
        return part.set_expiry(rows, None)


class Delete(Action):
    name = "remove"
    """Not "delete": has_delete_permission would allow Django's page of deletion."""

    remote_name = permission = "delete"
    title = gettext_lazy("Delete")
    log_entry = "Deleted."
    flag = DELETION

    def apply(self, part: Rows, rows: list[Row], form: Any) -> Result:
        return part.delete(rows)


class Export(Action):
    name = permission = "export"
    title = gettext_lazy("Export as JSON Lines")
    verb = gettext_lazy("Download")
    log_entry = "Exported."

    def run(self, selection: Selection, form: Any) -> HttpResponseBase:
        found = [(part, part.read()) for part in selection.parts]
        for part, rows in found:
            part.log(selection.request, rows, self.log_entry, self.flag)
        lines = [part.lines(rows) for part, rows in found]
        return download(selection.request, f"{self.model._meta.model_name}s", lines)


class Branch(Action):
    name = permission = "branch"
    title = gettext_lazy("Branch")
    flag = ADDITION

    def is_eligible(self, expires_at: datetime | None, now: datetime, form: Any = None) -> bool:
        return expires_at is None or expires_at > now

    def refusal(self, selection: Selection) -> Any:
        if any(part.model is not Session for part in selection.parts):
            return messages.PARLANT_BRANCH
        if sum(map(len, selection.parts)) != 1:
            return messages.ONE_TO_BRANCH
        return super().refusal(selection)

    def form(self, selection: Selection, data: Any) -> Form | None:
        part, source = selection.parts[0], self._source(selection)
        return source and BranchForm(
            data,
            source_id=source.session_id,
            is_taken=lambda id_: part.is_taken(source._replace(session_id=id_)),
        )

    def run(self, selection: Selection, form: Any) -> HttpResponseBase:
        part, source = selection.parts[0], self._source(selection)
        try:
            if source is None:
                raise SessionNotFound
            with part.transaction():
                copy = part.branch(source, form.cleaned_data["new_id"])
                message = f"Branched from {cut(source.session_id)}."
                part.log(selection.request, [copy], message, self.flag)
        except SessionNotFound:
            selection.show(levels.WARNING, messages.NONE_EXIST)
            return selection.to_list()
        except (NameTaken, ProtectedRow) as exc:
            is_taken = isinstance(exc, NameTaken)
            selection.show(levels.ERROR, messages.NAME_TAKEN if is_taken else printable(str(exc)))
            return selection.back()
        name = part.label(copy._replace(place=""))
        selection.show(levels.SUCCESS, self.texts.done % {"name": name})
        if selection.page_url:
            return HttpResponseRedirect(selection.admin.page_url(Session, copy.key))
        return selection.to_list()

    def _source(self, selection: Selection) -> SessionName | None:
        (part,) = selection.parts
        rows = self.eligible(part, part.read())
        return part.session_name(rows[0]) if rows else None


SESSION_ACTIONS: tuple[Action, ...] = tuple(
    kind(Session) for kind in (Expire, Extend, Keep, Branch, Export, Delete)
)
DOCUMENT_ACTIONS: tuple[Action, ...] = tuple(
    kind(Document) for kind in (Expire, Extend, Keep, Export, Delete)
)
