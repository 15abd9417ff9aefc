"""The action that moves failed migrations back to their collections."""

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy, ngettext

from parlant_store.admin.actions.confirmation import MAX_NAMES, Action
from parlant_store.admin.actions.selection import MAX_ROWS, Result, Row, Rows, Selection
from parlant_store.admin.documents.failed_migrations import failed, retry
from parlant_store.admin.formatting import cut, grouped


class Retry(Action):
    """At most MAX_ROWS rows are moved: the others are left for another time."""

    name = "retry"
    permission = "change"
    title = gettext_lazy("Retry failed migrations")
    verb = gettext_lazy("Retry")
    log_entry = "Put back to be migrated again."
    is_tool = False

    def __call__(
        self, admin: Any, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponseBase:
        selection = admin.get_selection(request, failed(queryset))
        is_confirmed = request.POST.get("confirmed") == "yes"
        return self.respond(replace(selection, is_confirmed=is_confirmed))

    def refusal(self, selection: Selection) -> Any:
        if not sum(map(len, selection.parts)):
            return gettext_lazy("None of the chosen documents is a failed migration.")
        return None

    def eligible(self, part: Rows, rows: list[Row], form: Any = None) -> list[Row]:
        return rows[:MAX_ROWS]

    def apply(self, part: Rows, rows: list[Row], form: Any) -> Result:
        retried = retry([row.key for row in rows])
        moved = tuple(Row(each.key, each.collection, each.document_id) for each in retried.done)
        return Result(moved, protected=tuple(retried.refused))

    def _show(self, selection: Selection, result: Result) -> None:
        super()._show(selection, result._replace(protected=()))
        if refused := result.protected:
            text = ngettext(
                "%(number)s document stays where it is: %(names)s",
                "%(number)s documents stay where they are: %(names)s",
                len(refused),
            )
            names = "; ".join(f"{cut(name)} ({cut(why)})" for name, why in refused[:MAX_NAMES])
            names += "; …" if refused[MAX_NAMES:] else ""
            values = {"number": grouped(len(refused)), "names": names}
            selection.show(messages.WARNING, text % values)
