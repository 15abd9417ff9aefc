"""The action that puts failed migrations back, with the page that asks before."""

from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connections, router
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from parlant_store.admin.actions.confirmation import confirmation
from parlant_store.admin.documents.failed_migrations import (
    MOST,
    Refused,
    Retried,
    failed_keys,
    retry,
)
from parlant_store.admin.formatting import cut, grouped
from parlant_store.admin.options import StoreAdmin
from parlant_store.backends.orm.references.deletion import writing
from parlant_store.models import Document

NAMED = 10
"""How many of the documents that were refused a message names."""


def ask_and_retry(
    model_admin: StoreAdmin, request: HttpRequest, documents: QuerySet[Any]
) -> HttpResponse | None:
    """Answer the action on ``documents``: with a question first, then by doing it."""
    keys = failed_keys(documents)
    if not keys:
        model_admin.message_user(
            request, _("None of the chosen documents is a failed migration."), messages.ERROR
        )
        return None
    if request.POST.get("confirmed"):
        _do(model_admin, request, keys[:MOST])
        return None
    return _question(model_admin, request, keys)


def _question(model_admin: StoreAdmin, request: HttpRequest, keys: list[int]) -> HttpResponse:
    number = min(len(keys), MOST)
    text = ngettext(
        "%(number)s document goes back into its collection as it was. The next time that Parlant "
        "opens the collection, it is migrated; if that fails again, it is set aside again.",
        "%(number)s documents go back into their collections as they were. The next time that "
        "Parlant opens the collections, they are migrated; those that fail again are set aside "
        "again.",
        number,
    )
    sentences = [text % {"number": grouped(number)}]
    if len(keys) > MOST:
        sentences.append(_("There are more. Do this again for them afterwards."))
    # With select_across the list's own filters choose; Django wants one to be ticked.
    hidden = [
        ("action", "retry"),
        ("select_across", request.POST.get("select_across", "0")),
        *((ACTION_CHECKBOX_NAME, key) for key in request.POST.getlist(ACTION_CHECKBOX_NAME)),
    ]
    title = _("Retry failed migrations")
    return confirmation(
        model_admin,
        request,
        title=title,
        verb=_("Retry"),
        sentences=sentences,
        back_url=request.get_full_path(),
        hidden=hidden,
    )


def _do(model_admin: StoreAdmin, request: HttpRequest, keys: list[int]) -> None:
    with writing(connections[router.db_for_write(Document)]):
        retried = retry(keys)
        user: Any = request.user
        # In English whatever language the page has, as in admin.actions.log.
        note = "Put back to be migrated again."
        LogEntry.objects.log_actions(user.pk, retried.done, CHANGE, note)
    _tell(model_admin, request, retried)


def _tell(model_admin: StoreAdmin, request: HttpRequest, retried: Retried) -> None:
    number = len(retried.done)
    if number:
        text = ngettext(
            "%(number)s document is back in its collection: it is migrated when that is opened.",
            "%(number)s documents are back in their collections: they are migrated when these "
            "are opened.",
            number,
        )
        model_admin.message_user(request, text % {"number": grouped(number)}, messages.SUCCESS)
    if retried.refused:
        model_admin.message_user(request, _refusal(retried.refused), messages.WARNING)


def _refusal(refused: list[Refused]) -> str:
    text = ngettext(
        "%(number)s document stays where it is: %(names)s",
        "%(number)s documents stay where they are: %(names)s",
        len(refused),
    )
    names = "; ".join(f"{cut(name)} ({cut(why)})" for name, why in refused[:NAMED])
    names += "; …" if refused[NAMED:] else ""
    return text % {"number": grouped(len(refused)), "names": names}
