"""The page of a person: what the stores have, and its export and erasure."""

from collections.abc import Sequence
from functools import partial
from io import BytesIO
from tempfile import TemporaryFile
from time import monotonic
from typing import Any, NamedTuple

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION
from django.core import signing
from django.core.exceptions import ImproperlyConfigured, PermissionDenied, SuspiciousOperation
from django.db.models import Model
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import gettext as _

from parlant_store.admin.actions.confirmation import log_by_name
from parlant_store.admin.conversations.header import Links
from parlant_store.admin.formatting import cut
from parlant_store.admin.views.base import (
    TIMEOUT_SECONDS,
    configured_stores,
    error_message,
    is_local,
    link,
    show,
)
from parlant_store.admin.views.person_data import StoredData, local_data, read_data, remote_data
from parlant_store.admin.views.stores import viewed_models
from parlant_store.content import codec
from parlant_store.exceptions import InvalidName, StoreError
from parlant_store.handler import stores
from parlant_store.models import Session, Thread
from parlant_store.personal_data import PersonalData
from parlant_store.receipts import ExportedLines, Report, receipt

EXPORT, ERASE = (
    [f"parlant_store.{action}_{model}" for model in ("session", "document", "thread")]
    for action in ("export", "delete")
)
PERMISSIONS = {"export": EXPORT, "erase": ERASE}
"""The permissions for each action."""

MAX_SECONDS = 20.0
"""The time after which an erasure stops, which can be repeated."""

MAX_IDS = 1_000
"""Limit on the ids in a receipt; with more rows, it has their number only."""

TYPES = {"json": "application/json", "jsonl": "application/x-ndjson"}

SALT = "parlant_store.receipt"


class Result(NamedTuple):
    """What was erased from a store."""

    report: Report
    receipt: str
    signed: str
    """The receipt in a form; what the user of the admin sends back must be what it was."""


def show_person(admin: Any, request: HttpRequest) -> HttpResponse:
    models = viewed_models(admin, request)
    user = _user(request)
    if request.method == "POST":
        return _act(admin, request, user)
    found = stored_data(admin, request, user, models)
    conversations = [one for data in found for one in data.conversations]
    conversations.sort(key=lambda one: one.active_at.timestamp() if one.active_at else 0.0)
    sizes = [data.size for data in found if data.size]
    name = next((data.name for data in found if data.name), None)
    return show(
        admin,
        request,
        "person.html",
        title=name or cut(user),
        subtitle=cut(user) if name else None,
        user_id=codec.printable(user),
        conversations=conversations[::-1],
        documents=[one for data in found for one in data.documents],
        variables=[one for data in found for one in data.variables],
        size=filesizeformat(sum(sizes)) if sizes else "",
        partial=[data.store for data in found if data.more_conversations],
        errors=[(data.store, data.error) for data in found if data.error],
        list_url=_list_url(admin, user, models),
        people_url=link(admin, "people"),
        actions=[name for name in PERMISSIONS if _may(request, name)],
    )


def stored_data(
    admin: Any, request: HttpRequest, user: str, models: list[type[Model]]
) -> list[StoredData]:
    """Return the data of ``user`` in the local database and in each remote store.

    Remote stores are called in parallel. models: which of Session and Document the user of the
    admin may view.
    """
    until, links = monotonic() + TIMEOUT_SECONDS, Links(admin, request)
    local, remote, found = "", [], list[StoredData]()
    for alias, store, error in configured_stores():
        if store is None:
            found.append(StoredData(alias, error=error, size=None))
        elif is_local(store):
            local = local or alias
        else:
            remote.append((store, store.submit(partial(read_data, store, user, models))))
    found.insert(0, local_data(links, local, user, models, admin.access(request)))
    return found + [remote_data(links, *one, until) for one in remote]


def _list_url(admin: Any, user: str, models: list[type[Model]]) -> str:
    is_listed = Session in models or Thread in models
    return admin.list_url(Session, owner=codec.printable(user)) if is_listed else ""


def _user(request: HttpRequest) -> str:
    """Return the id, which the address has as columns store it: not every id can be in one."""
    try:
        return codec.check_name(codec.unescape(request.GET.get("user", "")), "user")
    except InvalidName as exc:
        raise Http404(str(exc)) from exc


def _may(request: HttpRequest, action: str) -> bool:
    return request.user.has_perms(PERMISSIONS[action])


def _act(admin: Any, request: HttpRequest, user: str) -> HttpResponse:
    """Ask for confirmation; then export or erase the data in the selected stores."""
    action = request.POST.get("action", "")
    if action not in PERMISSIONS:
        raise SuspiciousOperation("there is no such action")
    if not _may(request, action):
        raise PermissionDenied
    if request.POST.get("confirmed") != "yes":
        return _confirm(admin, request, user, action)
    selected = [alias for alias in stores if alias in request.POST.getlist("store")]
    if not selected:
        messages.warning(request, _("No store was selected."))
        return HttpResponseRedirect(request.get_full_path())
    return (
        _export(request, user, selected)
        if action == "export"
        else _erase(admin, request, user, selected)
    )


def _confirm(admin: Any, request: HttpRequest, user: str, action: str) -> HttpResponse:
    is_erasure = action == "erase"
    return show(
        admin,
        request,
        "person_confirmation.html",
        title=_("Erase all data of this person") if is_erasure else _("Export all data"),
        user_id=codec.printable(user),
        action=action,
        is_erasure=is_erasure,
        aliases=list(stores),
        people_url=link(admin, "people"),
        back_url=request.get_full_path(),
    )


def _export(request: HttpRequest, user: str, aliases: Sequence[str]) -> HttpResponse:
    """Return JSON Lines with a receipt, as store_export writes them."""
    file = TemporaryFile("w+", encoding="ascii")  # noqa: SIM115
    lines, failed = ExportedLines(file), []
    for alias in aliases:
        try:
            for record in PersonalData(stores[alias], user).exported():
                lines.write({"store": alias, **record})
        except (StoreError, ImproperlyConfigured) as exc:
            failed.append(alias)
            error = {"alias": alias, "error": codec.printable(str(exc))}
            text = _("The export is not complete: the store %(alias)s failed: %(error)s") % error
            messages.error(request, text)
    lines.end(user, aliases, failed)
    for alias in aliases:
        note = "Failed to export the data of the person." if alias in failed else "Exported."
        log_by_name(request, Session, codec.printable(user), CHANGE, f"Store {alias}: {note}")
    file.seek(0)
    response: HttpResponse = _download(file.detach(), "person", "jsonl")
    return response


def _erase(admin: Any, request: HttpRequest, user: str, aliases: Sequence[str]) -> HttpResponse:
    until = monotonic() + MAX_SECONDS
    reports = [_erase_store(alias, user, until) for alias in aliases]
    name = codec.printable(user)
    for report in reports:
        done = f"Erased: {report.sessions:,} sessions, {report.documents:,} documents."
        log_by_name(request, Session, name, DELETION, f"Store {report.store}: {done}")
    return show(
        admin,
        request,
        "person_receipts.html",
        title=_("Receipts of the erasure"),
        user_id=codec.printable(user),
        results=[_result(user, report) for report in reports],
        is_stopped=monotonic() > until,
        people_url=link(admin, "people"),
        person_url=request.get_full_path(),
        receipt_url=link(admin, "person_receipt"),
    )


def _erase_store(alias: str, user: str, until: float) -> Report:
    report = Report(alias)
    try:
        report.erase(stores[alias], user, lambda: monotonic() > until)
    except (StoreError, ImproperlyConfigured) as exc:
        report.error = error_message(exc)
    return report


def _result(user: str, report: Report) -> Result:
    text = receipt("erase", user, [report], ids=len(report.found) <= MAX_IDS)
    signed = signing.dumps({"store": report.store, "text": text}, salt=SALT, compress=True)
    return Result(report, text, signed)


def download_receipt(admin: Any, request: HttpRequest) -> HttpResponse:
    """Return the receipt that a form of ours has, as a file."""
    if not _may(request, "erase"):
        raise PermissionDenied
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        signed = signing.loads(request.POST.get("receipt", ""), salt=SALT)
    except signing.BadSignature as exc:
        raise SuspiciousOperation("the receipt has no valid signature") from exc
    response: HttpResponse = _download(
        BytesIO(signed["text"].encode()), f"receipt-{signed['store']}", "json"
    )
    return response


def _download(file: Any, name: str, extension: str) -> Any:
    time = timezone.now().strftime("%Y-%m-%d-%H%M%S")
    name = f"{name}-{time}.{extension}"
    return FileResponse(file, as_attachment=True, filename=name, content_type=TYPES[extension])
