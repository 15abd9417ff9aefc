"""What comes instead of a page when the database has not all that the pages read."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, router, transaction
from django.db.transaction import TransactionManagementError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from parlant_store.backends.orm.checks import check_contents
from parlant_store.content import codec
from parlant_store.exceptions import StoreError
from parlant_store.models import Session

View = Callable[..., HttpResponseBase]

_ERRORS = (DatabaseError, InterfaceError, StoreError, TransactionManagementError)


def guarded(admin: Any, view: View) -> View:
    """``view``, or a page that says what the database misses, when that makes it fail."""

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            with _savepoints():
                response = view(request, *args, **kwargs)
        except _ERRORS as exc:
            return _instead(admin, request, exc)
        if isinstance(response, TemplateResponse) and not response.is_rendered:
            _guard_rendering(admin, request, response)
        return response

    return page


def _guard_rendering(admin: Any, request: HttpRequest, response: TemplateResponse) -> None:
    """Lists are read when they are rendered."""
    render = response.render

    def guarded_render() -> HttpResponseBase:
        try:
            with _savepoints():
                return render()
        except _ERRORS as exc:
            return _instead(admin, request, exc).render()

    response.render = guarded_render  # type: ignore[method-assign,assignment]


def _instead(admin: Any, request: HttpRequest, exc: Exception) -> TemplateResponse:
    """The page that says what is missing; raises ``exc`` when nothing is."""
    findings = [
        finding
        for alias in _aliases()
        for finding in check_contents(f"the database {alias!r}", connections[alias])
    ]
    if not findings:
        raise exc
    request.current_app = admin.admin_site.name
    context = admin.admin_site.each_context(request) | {
        "title": _("The database is not ready"),
        "opts": admin.opts,
        "findings": [
            (codec.printable(finding.msg), codec.printable(finding.hint or ""))
            for finding in findings
        ],
        "error": codec.printable(str(exc).strip()),
    }
    return TemplateResponse(request, "admin/parlant_store/not_ready.html", context)


def _aliases() -> list[str]:
    """The databases that the pages read and write."""
    return list(dict.fromkeys([router.db_for_read(Session), router.db_for_write(Session)]))


def _savepoints() -> ExitStack:
    """What keeps a failure from breaking the transaction of a request that is in one."""
    stack = ExitStack()
    for alias in _aliases():
        if connections[alias].in_atomic_block:
            stack.enter_context(transaction.atomic(using=alias))
    return stack
