"""The actions on sessions and documents."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib import messages as levels
from django.contrib.admin.models import ADDITION, DELETION
from django.forms import Form
from django.http import HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from parlant_store.admin.actions.confirmation import NONE_EXIST, Action, Texts
from parlant_store.admin.actions.export import download
from parlant_store.admin.actions.forms import MAX_EXTENSION, NAME_TAKEN, BranchForm, ExtendForm
from parlant_store.admin.actions.selection import Result, Row, Rows, Selection
from parlant_store.admin.formatting import cut
from parlant_store.backends.contract.validation import SessionName
from parlant_store.content.codec import printable
from parlant_store.exceptions import ProtectedRow, SessionExists, SessionNotFound
from parlant_store.models import Document, Session


class Expire(Action):
    name = permission = "expire"
    title = _("Expire now")
    texts: ClassVar = {
        Session: Texts(
            _("Expire selected conversations now"),
            ngettext_lazy(
                "%(number)s conversation expires now: from then on no agent sees it, and the next "
                "sweep removes it.",
                "%(number)s conversations expire now: from then on no agent sees them, and the "
                "next "
                "sweep removes them.",
                "count",
            ),
            ngettext_lazy(
                "%(number)s conversation has expired.",
                "%(number)s conversations have expired.",
                "count",
            ),
        ),
        Document: Texts(
            _("Expire selected documents now"),
            ngettext_lazy(
                "%(number)s document expires now: from then on no agent sees it, and the next "
                "sweep "
                "removes it.",
                "%(number)s documents expire now: from then on no agent sees them, and the next "
                "sweep removes them.",
                "count",
            ),
            ngettext_lazy(
                "%(number)s document has expired.", "%(number)s documents have expired.", "count"
            ),
        ),
    }
    ineligible = ngettext_lazy(
        "%(number)s that was selected has expired already and stays as it is.",
        "%(number)s that were selected have expired already and stay as they are.",
        "count",
    )
    none_eligible = _("Nothing is to be done: what was selected has expired already.")
    log_entry = "Expired now."

    def is_eligible(self, expires_at: datetime | None, now: datetime, form: Any = None) -> bool:
        return expires_at is None or expires_at > now

    def apply(self, part: Rows, rows: list[Row], form: Any) -> Result:
        return part.set_expiry(rows, part.now())


class Extend(Action):
    """Rows that expire in more than a hundred years are not extended, and none is shortened."""

    name = permission = "extend"
    title = _("Extend")
    texts: ClassVar = {
        Session: Texts(
            _("Extend the life of selected conversations"),
            ngettext_lazy(
                "%(number)s conversation expires later.",
                "%(number)s conversations expire later.",
                "count",
            ),
            ngettext_lazy(
                "%(number)s conversation expires later now.",
                "%(number)s conversations expire later now.",
                "count",
            ),
        ),
        Document: Texts(
            _("Extend the life of selected documents"),
            ngettext_lazy(
                "%(number)s document expires later.", "%(number)s documents expire later.", "count"
            ),
            ngettext_lazy(
                "%(number)s document expires later now.",
                "%(number)s documents expire later now.",
                "count",
            ),
        ),
    }
    ineligible = ngettext_lazy(
        "%(number)s that was selected expires later anyway, or never, and stays as it is.",
        "%(number)s that were selected expire later anyway, or never, and stay as they are.",
        "count",
    )
    none_eligible = _("Nothing is to be done: what was selected never expires.")

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
    title = _("Keep for ever")
    texts: ClassVar = {
        Session: Texts(
            _("Keep selected conversations for ever"),
            ngettext_lazy(
                "%(number)s conversation is kept for ever: it never expires.",
                "%(number)s conversations are kept for ever: they never expire.",
                "count",
            ),
            ngettext_lazy(
                "%(number)s conversation is kept for ever.",
                "%(number)s conversations are kept for ever.",
                "count",
            ),
        ),
        Document: Texts(
            _("Keep selected documents for ever"),
            ngettext_lazy(
                "%(number)s document is kept for ever: it never expires.",
                "%(number)s documents are kept for ever: they never expire.",
                "count",
            ),
            ngettext_lazy(
                "%(number)s document is kept for ever.",
                "%(number)s documents are kept for ever.",
                "count",
            ),
        ),
    }
    ineligible = ngettext_lazy(
        "%(number)s that was selected never expires anyway.",
        "%(number)s that were selected never expire anyway.",
        "count",
    )
    none_eligible = _("Nothing is to be done: what was selected never expires anyway.")
    log_entry = "Kept for ever."

    def is_eligible(self, expires_at: datetime | None, now: datetime, form: Any = None) -> bool:
        return expires_at is not None

    def apply(self, part: Rows, rows: list[Row], form: Any) -> Result:
        return part.set_expiry(rows, None)


class Delete(Action):
    name = "remove"

    remote_name = permission = "delete"
    title = _("Delete")
    texts: ClassVar = {
        Session: Texts(
            _("Delete selected conversations"),
            ngettext_lazy(
                "%(number)s conversation is deleted with all its items. It cannot be brought back.",
                "%(number)s conversations are deleted with all their items. They cannot be brought "
                "back.",
                "count",
            ),
            ngettext_lazy(
                "%(number)s conversation was deleted.",
                "%(number)s conversations were deleted.",
                "count",
            ),
        ),
        Document: Texts(
            _("Delete selected documents"),
            ngettext_lazy(
                "%(number)s document is deleted. It cannot be brought back.",
                "%(number)s documents are deleted. They cannot be brought back.",
                "count",
            ),
            ngettext_lazy(
                "%(number)s document was deleted.", "%(number)s documents were deleted.", "count"
            ),
        ),
    }
    log_entry = "Deleted."
    flag = DELETION

    def apply(self, part: Rows, rows: list[Row], form: Any) -> Result:
        return part.delete(rows)


class Export(Action):
    name = permission = "export"
    title = _("Export as JSON Lines")
    texts: ClassVar = {
        Session: Texts(
            _("Export selected conversations"),
            ngettext_lazy(
                "%(number)s conversation is downloaded with all its items, as a line of JSON.",
                "%(number)s conversations are downloaded with all their items, each as a line of "
                "JSON.",
                "count",
            ),
        ),
        Document: Texts(
            _("Export selected documents"),
            ngettext_lazy(
                "%(number)s document is downloaded, as a line of JSON.",
                "%(number)s documents are downloaded, each as a line of JSON.",
                "count",
            ),
        ),
    }
    verb = _("Download")
    log_entry = "Exported."

    def run(self, selection: Selection, form: Any) -> HttpResponseBase:
        found = [(part, part.read()) for part in selection.parts]
        for part, rows in found:
            part.log(selection.request, rows, self.log_entry, self.flag)
        lines = [part.lines(rows) for part, rows in found]
        return download(selection.request, f"{self.model._meta.model_name}s", lines)


class Branch(Action):
    name = permission = "branch"
    title = _("Branch")
    texts: ClassVar = {
        Session: Texts(
            _("Branch the selected conversation"),
            ngettext_lazy(
                "%(number)s conversation is copied, with its items, state, metadata and owner.",
                "%(number)s conversations are copied, with their items, state, metadata and "
                "owners.",
                "count",
            ),
            _("The conversation was copied to %(name)s."),
        ),
    }
    none_eligible = _("A conversation that has expired cannot be branched.")
    flag = ADDITION

    def is_eligible(self, expires_at: datetime | None, now: datetime, form: Any = None) -> bool:
        return expires_at is None or expires_at > now

    def refusal(self, selection: Selection) -> Any:
        if any(part.model is Document for part in selection.parts):
            return _("A conversation of Parlant cannot be branched.")
        if sum(map(len, selection.parts)) != 1:
            return _("Choose one conversation to branch.")
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
            selection.show(levels.WARNING, NONE_EXIST)
            return selection.to_list()
        except (SessionExists, ProtectedRow) as exc:
            is_taken = isinstance(exc, SessionExists)
            selection.show(levels.ERROR, NAME_TAKEN if is_taken else printable(str(exc)))
            return selection.back()
        name = part.label(copy._replace(place=""))
        selection.show(levels.SUCCESS, self.texts[Session].done % {"name": name})
        if selection.page_url:
            return HttpResponseRedirect(selection.admin.page_url(part.model, copy.key))
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
