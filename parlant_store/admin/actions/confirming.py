"""The page that asks before an action is done, and what its form carries."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.forms import Form
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.functional import Promise

from parlant_store.admin.actions.chosen import MOST
from parlant_store.admin.formatting import grouped
from parlant_store.admin.options import StoreAdmin

NAMED = 10
"""How many of the chosen a page names."""

FROM_PAGE = "from_page"
"""The parameter of those who come from the page of the one that they chose."""

TEMPLATE = "admin/parlant_store/action_confirmation.html"

_KEYS = re.compile(r"\d{1,19}(?:-\d{1,19})?(?:,\d{1,19}(?:-\d{1,19})?)*", re.ASCII)
_LAST = 2**63 - 1


def confirmation(
    admin: StoreAdmin,
    request: HttpRequest,
    *,
    title: str | Promise,
    verb: str | Promise,
    sentences: Sequence[str],
    hidden: Iterable[tuple[str, Any]],
    names: Sequence[str | None] = (),
    number: int = 0,
    form: Form | None = None,
    is_deletion: bool = False,
    back: str | None = None,
) -> TemplateResponse:
    """Ask whether ``sentences`` shall come true; the form says ``hidden`` and "confirmed".

    ``names`` are some of ``number``; ``back`` is where who does not want it goes, by default
    the list.
    """
    request.current_app = admin.admin_site.name
    context = {
        **admin.admin_site.each_context(request),
        "title": title,
        "opts": admin.opts,
        "media": admin.media,
        "verb": verb,
        "sentences": sentences,
        "names": names,
        "more": max(0, number - len(names)),
        "more_text": grouped(number - len(names)),
        "form": form,
        "hidden": [*hidden, ("confirmed", "yes")],
        "is_deletion": is_deletion,
        "back_url": back or request.get_full_path(),
    }
    return TemplateResponse(request, TEMPLATE, context)


def page_of(admin: StoreAdmin, request: HttpRequest, keys: Sequence[int]) -> str | None:
    """The page of the one that was chosen, for those who come from there."""
    if FROM_PAGE not in request.POST or len(keys) != 1:
        return None
    return admin.page_url(admin.model, keys[0])


def said_keys(keys: Iterable[int]) -> str:
    """Keys as a form says them: "3,7-9"."""
    spans: list[list[int]] = []
    for key in sorted(keys):
        if spans and spans[-1][1] == key - 1:
            spans[-1][1] = key
        else:
            spans.append([key, key])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in spans)


def heard_keys(text: str) -> list[int]:
    """What ``said_keys`` was given; raises SuspiciousOperation for anything else."""
    if not _KEYS.fullmatch(text):
        raise SuspiciousOperation("these are no keys")
    keys: list[int] = []
    for span in text.split(","):
        first, _, last = span.partition("-")
        start, end = int(first), int(last or first)
        if not start <= end <= _LAST or len(keys) + end - start >= MOST:
            raise SuspiciousOperation("these are no keys, or too many")
        keys.extend(range(start, end + 1))
    return keys
