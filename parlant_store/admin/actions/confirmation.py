"""Actions that ask for confirmation before they change rows, and the log of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from django.contrib import messages as levels
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from parlant_store.admin.actions.selection import MAX_ROWS, Result, Row, Rows, Selection
from parlant_store.admin.formatting import column_name, counted, grouped
from parlant_store.admin.views.base import show
from parlant_store.models import Document, Session, Thread

MAX_ENTRIES = 1_000
"""Limit on the rows of one action that have an entry of their own."""

MAX_NAME = 200
"""The length of object_repr."""

MAX_NAMES = 10
"""Limit on the rows whose names a page shows."""

NONE_EXIST = _("What was selected is there no more.")
RELATED_DONE = ngettext_lazy(
    "%(number)s document of a Parlant session went along.",
    "%(number)s documents of Parlant sessions went along.",
    "count",
)
REVIVED = ngettext_lazy(
    "%(number)s of them has expired, but was not removed yet: it comes back to life.",
    "%(number)s of them have expired, but were not removed yet: they come back to life.",
    "count",
)
MISSING = ngettext_lazy(
    "%(number)s of those you confirmed was there no more.",
    "%(number)s of those you confirmed were there no more.",
    "count",
)
MORE_PROTECTED = ngettext_lazy(
    "%(number)s more stays, because rows of other tables protect it.",
    "%(number)s more stay, because rows of other tables protect them.",
    "count",
)
REMAINING: dict[type[Model], Any] = {
    Session: ngettext_lazy(
        "%(number)s conversation was left as it was.",
        "%(number)s conversations were left as they were.",
        "count",
    ),
    Document: ngettext_lazy(
        "%(number)s document was left as it was.",
        "%(number)s documents were left as they were.",
        "count",
    ),
}
TOO_MANY: dict[type[Model], Any] = {
    Session: _(
        "More than %(number)s conversations were selected. Narrow the list, or use "
        "manage.py store_expire, which removes any number by a rule, or manage.py store_export."
    ),
    Document: _(
        "More than %(number)s documents were selected. Narrow the list, or use "
        "manage.py store_expire, which removes any number by a rule, or manage.py store_export."
    ),
}


def log(
    request: HttpRequest, model: type[Model], rows: Sequence[Row], flag: int, message: str
) -> None:
    """Add an entry for each row, up to MAX_ENTRIES, and one with the number of rows."""
    if not rows:
        return
    user: Any = request.user
    named = [_named(model, row) for row in rows[:MAX_ENTRIES]]
    LogEntry.objects.log_actions(user.pk, named, flag, message)
    if len(rows) > 1:
        log_by_name(request, model, f"{len(rows):,} {model._meta.model_name}s", flag, message)


def log_by_name(
    request: HttpRequest, model: type[Model], name: str, flag: int, message: str
) -> None:
    """Add an entry about something that is no row of ``model`` in this database."""
    user: Any = request.user
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(model, for_concrete_model=False),
        object_repr=name[:MAX_NAME],
        action_flag=flag,
        change_message=message,
    )


def _named(model: type[Model], row: Row) -> Session | Document | Thread:
    place, name = column_name(row.place) or "", column_name(row.name)
    if model is Session:
        return Session(key=row.key, namespace=place, session_id=name or "")
    if model is Thread:
        return Thread(key=row.key, namespace=place, thread_id=name or "")
    return Document(key=row.key, collection=place, document_id=name)


class Texts(NamedTuple):
    """The texts of an action on rows of one model; ``counted`` formats those with a number."""

    description: str | Promise
    question: Any
    done: Any = None


def confirmation(
    admin: Any,
    request: HttpRequest,
    *,
    hidden: Iterable[tuple[str, Any]] = (),
    **context: Any,
) -> TemplateResponse:
    """Return a page with title, sentences and back_url.

    Its form has ``hidden`` and "confirmed"; without ``verb`` it has none.
    """
    context |= {"opts": admin.opts, "hidden": [*hidden, ("confirmed", "yes")]}
    return show(admin, request, "action_confirmation.html", **context)


class Action:
    """An action on selected rows of a list; Django calls it like a function."""

    name: ClassVar[str]
    title: ClassVar[Any]
    permission: ClassVar[str]
    """The permission on the model, without the model's name."""

    texts: ClassVar[Mapping[type[Model], Texts]]
    ineligible: Any = None
    """The text about selected rows that the action is not for."""

    none_eligible: Any = None
    """The text if it is for none of them."""

    verb: Any = ""
    remote_name = ""
    """The value in the forms of remote stores, if it is not the name."""

    log_entry = ""
    """The message for the log, in English whatever the language of the page."""

    flag = CHANGE
    is_tool = True
    """Is it on the page of a row, if the row is eligible?"""

    do_not_call_in_templates = True

    def __init__(self, model: type[Model]) -> None:
        """``model`` is the model of the list."""
        self.model = model
        self.short_description = self.texts[model].description
        self.__name__ = self.name
        self.remote_name = self.remote_name or self.name

    def __call__(
        self, admin: Any, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase:
        return self.respond(admin.get_selection(request, queryset))

    def is_permitted(self, request: HttpRequest, model: type[Model] | None = None) -> bool:
        name = (model or self.model)._meta.model_name
        return request.user.has_perm(f"parlant_store.{self.permission}_{name}")

    def is_eligible(self, expires_at: datetime | None, now: datetime, form: Any = None) -> bool:
        """Whether the action is for a row that expires then; None: never."""
        return True

    def eligible(self, part: Rows, rows: list[Row], form: Any = None) -> list[Row]:
        now = part.now()
        return [row for row in rows if self.is_eligible(row.expires_at, now, form)]

    def refusal(self, selection: Selection) -> Any:
        """Return the reason why the action is not for this selection."""
        for part in selection.parts:
            may_view = selection.admin.may_view(selection.request, part.model)
            if not (may_view and self.is_permitted(selection.request, part.model)):
                return _(
                    "You may not do this to every conversation that you selected. Nothing was "
                    "changed."
                )
        if sum(map(len, selection.parts)) > MAX_ROWS:
            return TOO_MANY[self.model] % {"number": grouped(MAX_ROWS)}
        return None

    def form(self, selection: Selection, data: Any) -> Form | None:
        """Return the form of the confirmation; ``data`` is None before it was sent."""
        return None

    def apply(self, part: Rows, rows: list[Row], form: Any) -> Result:
        raise NotImplementedError

    def log_message(self, form: Any) -> str:
        return self.log_entry

    def respond(self, selection: Selection) -> HttpResponseBase:
        """Ask for confirmation, and then change the rows that the question was about."""
        if refusal := self.refusal(selection):
            selection.show(levels.ERROR, refusal)
            return selection.back()
        form = self.form(selection, selection.request.POST if selection.is_confirmed else None)
        if selection.is_confirmed and (form is None or form.is_valid()):
            return self.run(selection, form)
        return self._question(selection, form)

    def run(self, selection: Selection, form: Any) -> HttpResponseBase:
        total, deleted = Result(), []
        with ExitStack() as stack:
            for part in selection.parts:
                stack.enter_context(part.transaction())
            for part in selection.parts:
                rows = part.read(lock=True)
                eligible = self.eligible(part, rows, form)
                result = self.apply(part, eligible, form)
                along = f" Documents that went along: {result.related:,}." if result.related else ""
                message = self.log_message(form) + along
                part.log(selection.request, result.rows, message, self.flag)
                deleted.append((part, result.rows))
                left = len(rows) - len(eligible), len(part) - len(rows)
                total |= result | Result(ineligible=left[0], missing=left[1])
        if self.flag == DELETION:
            for part, changed in deleted:
                part.send_deleted(changed)
        self._show(selection, total)
        return selection.to_list() if self.flag == DELETION else selection.back()

    def _question(self, selection: Selection, form: Form | None) -> HttpResponseBase:
        found = [(part, part.read()) for part in selection.parts]
        eligible = [(part, rows) for part, all_ in found if (rows := self.eligible(part, all_))]
        number = sum(len(rows) for _part, rows in eligible)
        left = sum(len(rows) for _part, rows in found) - number
        if not number:
            none = self.none_eligible if left else NONE_EXIST
            selection.show(levels.WARNING, none)
            return selection.back() if left else selection.to_list()
        names = [part.label(row) for part, rows in eligible for row in rows[:MAX_NAMES]]
        data = [pair for part, rows in eligible for pair in part.form_data(rows)]
        return confirmation(
            selection.admin,
            selection.request,
            title=self.title,
            verb=self.verb or self.title,
            sentences=[*self._sentences(eligible, number, left)],
            back_url=selection.page_url or selection.list_url,
            hidden=[("action", selection.action or self.name), *selection.form_data, *data],
            names=names[:MAX_NAMES],
            more=max(0, number - MAX_NAMES),
            more_text=grouped(number - MAX_NAMES),
            form=form,
            is_deletion=self.flag == DELETION,
            **selection.context,
        )

    def _sentences(
        self, eligible: list[tuple[Rows, list[Row]]], number: int, left: int
    ) -> Iterator[str]:
        yield counted(self.texts[self.model].question, number)
        for part, rows in eligible:
            yield from part.notes(self.name, rows)
        expired = sum(
            row.expires_at is not None and row.expires_at <= part.now()
            for part, rows in eligible
            for row in rows
        )
        if expired and self.name in ("extend", "keep"):
            yield counted(REVIVED, expired)
        if left:
            yield counted(self.ineligible, left)

    def _show(self, selection: Selection, result: Result) -> None:
        protected = result.protected[:MAX_NAMES]
        more = len(result.protected) - len(protected)
        for name, error in result.failed:
            selection.show(
                levels.ERROR, _("Stopped at %(name)s: %(error)s") % {"name": name, "error": error}
            )
        for level, text, number in (
            (levels.SUCCESS, self.texts[self.model].done, len(result.rows)),
            (levels.SUCCESS, RELATED_DONE, result.related),
            (levels.WARNING, self.ineligible, result.ineligible),
        ):
            if number:
                selection.show(level, counted(text, number))
        for name, by in protected:
            selection.show(
                levels.ERROR,
                _("%(name)s stays: it is protected by %(rows)s.") % {"name": name, "rows": by},
            )
        for level, text, number in (
            (levels.ERROR, MORE_PROTECTED, more),
            (levels.WARNING, MISSING, result.missing),
            (levels.WARNING, REMAINING[self.model], result.remaining),
        ):
            if number:
                selection.show(level, counted(text, number))
