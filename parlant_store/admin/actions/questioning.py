"""An action asks first, and is done to those whom the question was about."""

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import router
from django.db.models import QuerySet
from django.forms import Form
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from parlant_store.admin.actions import here, words
from parlant_store.admin.actions.chosen import MOST, Row, look
from parlant_store.admin.actions.confirming import (
    FROM_PAGE,
    NAMED,
    confirmation,
    heard_keys,
    page_of,
    said_keys,
)
from parlant_store.admin.actions.doing import Action, Answer, Asked
from parlant_store.admin.actions.lives import count_parts
from parlant_store.admin.actions.words import WORDS, counted
from parlant_store.admin.formatting import column_name, cut, grouped
from parlant_store.admin.options import StoreAdmin
from parlant_store.models import Document, Session


def ask_and_do(
    admin: StoreAdmin, request: HttpRequest, queryset: QuerySet[Any], action: Action
) -> Answer:
    """Answer an action on ``queryset``: with a question first, then by doing it.

    It is done to those whom the question was about, and to no others.
    """
    is_confirmed = request.POST.get("confirmed") == "yes" and "keys" in request.POST
    if is_confirmed:
        keys = heard_keys(request.POST["keys"])
    else:
        # A replica may not have what was written or deleted a moment ago.
        written = queryset.using(router.db_for_write(queryset.model))
        keys = list(written.values_list("pk", flat=True)[: MOST + 1])
    asked = Asked(admin, request, keys)
    if refusal := _too_many(asked) or action.refusal(asked):
        asked.tell(messages.ERROR, refusal)
        return asked.back()
    form = action.form(asked, request.POST if is_confirmed else None)
    if is_confirmed and (form is None or form.is_valid()):
        return action.do(asked, form)
    return _question(asked, action, form)


def _too_many(asked: Asked) -> str | None:
    if len(asked.keys) <= MOST:
        return None
    names = {"number": grouped(MOST), "names": asked.admin.opts.verbose_name_plural}
    return (
        _(
            "More than %(number)s %(names)s were chosen. Narrow the list, or use "
            "manage.py store_expire, which removes any number by a rule, or manage.py store_export."
        )
        % names
    )


def _question(asked: Asked, action: Action, form: Form | None) -> Answer:
    rows = look(asked.model, asked.keys, action.meant(timezone.now()))
    meant = [row for row in rows if row.is_meant]
    if not meant:
        none = words.NONE.get(action.name, words.NOTHING_THERE) if rows else words.NOTHING_THERE
        asked.tell(messages.WARNING, str(none))
        return asked.back() if rows else None
    hidden = [
        ("action", action.name),
        (ACTION_CHECKBOX_NAME, meant[0].key),
        ("keys", said_keys(row.key for row in meant)),
    ]
    if FROM_PAGE in asked.request.POST:
        hidden.append((FROM_PAGE, "yes"))
    return confirmation(
        asked.admin,
        asked.request,
        title=action.title,
        verb=action.verb,
        sentences=list(_sentences(asked, action, rows, meant)),
        hidden=hidden,
        names=_names(asked, meant),
        number=len(meant),
        form=form,
        is_deletion=action.is_deletion,
        back=page_of(asked.admin, asked.request, asked.keys),
    )


def _sentences(asked: Asked, action: Action, rows: list[Row], meant: list[Row]) -> Iterator[str]:
    yield counted(WORDS[asked.model, action.name].question, len(meant))
    if asked.model is Session:
        text = words.ITEMS if len(meant) > 1 else words.ITEMS_OF_ONE
        yield counted(text, sum(row.items for row in meant))
    if asked.model is Document and action.name != "export" and (parts := count_parts(rows)):
        yield counted(words.PARTS, parts)
    if action.name in ("extend", "keep") and asked.model is Session and here.has_ttl():
        yield str(words.MOVED)
    over = sum(row.is_over for row in meant)
    if over and action.name in ("extend", "keep"):
        yield counted(words.REVIVED, over)
    if left := len(rows) - len(meant):
        yield counted(words.LEFT[action.name], left)


def _names(asked: Asked, meant: list[Row]) -> list[str | None]:
    return [
        cut("/".join(filter(None, (column_name(row.place), column_name(row.name) or str(row.key)))))
        for row in meant[:NAMED]
    ]
