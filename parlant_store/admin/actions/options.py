"""Options of ModelAdmin classes whose rows have actions."""

import re
from typing import Any, ClassVar

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import SuspiciousOperation
from django.db import router
from django.db.models import QuerySet
from django.forms import CheckboxInput
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from parlant_store.admin.actions.confirmation import Action
from parlant_store.admin.actions.local_rows import LocalRows
from parlant_store.admin.actions.selection import (
    DOCUMENT_PREFIX,
    MAX_KEY,
    MAX_ROWS,
    Selection,
    format_keys,
    parse_keys,
)
from parlant_store.admin.options import StoreAdmin
from parlant_store.models import Document

FROM_PAGE = "from_page"
"""The parameter of requests from the page of the selected row."""

_KEYS = {"keys", "document_keys"}
_VALUE = re.compile(f"({DOCUMENT_PREFIX})?([0-9]{{1,19}})")


class ActionsAdmin(StoreAdmin):
    """Actions on the selected rows of a list, and on one row from its page."""

    actions: Any = ()
    has_parlant_sessions = False
    """Does the list show Parlant sessions too? Values of their checkboxes: DOCUMENT_PREFIX."""

    class Media:
        css: ClassVar = {"all": ["parlant_store/actions.css"]}

    def has_expire_permission(self, request: HttpRequest) -> bool:
        return self._is_permitted(request, "expire")

    def has_extend_permission(self, request: HttpRequest) -> bool:
        return self._is_permitted(request, "extend")

    has_keep_permission = has_extend_permission

    def has_branch_permission(self, request: HttpRequest) -> bool:
        return self._is_permitted(request, "branch")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self._is_permitted(request, "export")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return self._is_permitted(request, "delete")

    def _is_permitted(self, request: HttpRequest, permission: str) -> bool:
        models = ["session", "document"] if self.has_parlant_sessions else [self.opts.model_name]
        return any(request.user.has_perm(f"parlant_store.{permission}_{name}") for name in models)

    def action_checkbox(self, obj: Any) -> SafeString:
        """Return Django's checkbox, labelled with the name of the row, if it has a key here."""
        if not obj.pk:
            return SafeString("")
        label = _("Select %(name)s for an action") % {"name": self.subtitle(obj)}
        checkbox = CheckboxInput({"class": "action-select", "aria-label": label}, lambda _: False)
        return checkbox.render(ACTION_CHECKBOX_NAME, str(obj.pk))

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Move the selected Parlant sessions to ``document_keys``: Django filters by the rest."""
        selected = [_VALUE.fullmatch(each) for each in request.POST.getlist(ACTION_CHECKBOX_NAME)]
        keys = [(match[1], int(match[2])) for match in selected if match]
        if len(keys) < len(selected) or any(key > MAX_KEY for _, key in keys):
            raise SuspiciousOperation("these are no keys")
        documents = {key for prefix, key in keys if prefix}
        if documents:
            data = request.POST.copy()
            # No row has the key 0.
            others = [str(key) for prefix, key in keys if not prefix]
            data.setlist(ACTION_CHECKBOX_NAME, others or ["0"])
            if "document_keys" not in data:
                data["document_keys"] = format_keys(documents)
                data.pop("confirmed", None)
            request.POST = data  # type: ignore[assignment]
        return super().response_action(request, *args, **kwargs)

    def get_selection(self, request: HttpRequest, queryset: QuerySet[Any]) -> Selection:
        """Return the rows of ``queryset``, or those that the confirmed question was about."""
        form = request.POST
        is_confirmed = form.get("confirmed") == "yes" and bool(form.keys() & _KEYS)
        if is_confirmed:
            keys = parse_keys(form["keys"]) if "keys" in form else []
        else:
            # A replica may not have what was written or deleted a moment ago.
            written = queryset.using(router.db_for_write(queryset.model))
            keys = list(written.values_list("pk", flat=True)[: MAX_ROWS + 1])
        parts = [LocalRows(self.model, keys)]
        if self.has_parlant_sessions:
            if form.get("select_across") == "1" and not is_confirmed:
                documents = self.parlant_sessions(request)
            else:
                documents = parse_keys(form["document_keys"]) if "document_keys" in form else []
            parts.append(LocalRows(Document, documents, of_conversations=True))
        parts = [part for part in parts if part.keys] or parts[:1]
        page_url = ""
        if FROM_PAGE in form and sum(map(len, parts)) == 1:
            page_url = self.page_url(parts[0].model, parts[0].keys[0])
        return Selection(
            admin=self,
            request=request,
            parts=parts,
            list_url=request.get_full_path(),
            page_url=page_url,
            is_confirmed=is_confirmed,
            form_data=[(FROM_PAGE, "yes")] if FROM_PAGE in form else [],
        )

    def parlant_sessions(self, request: HttpRequest) -> list[int]:
        """Return the keys of all Parlant sessions of the list, at most MAX_ROWS + 1."""
        return []

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["tools"] = self._tools(request, context["original"])
        context["checkbox_name"], context["from_page"] = ACTION_CHECKBOX_NAME, FROM_PAGE
        return super().render_change_form(request, context, *args, **kwargs)

    def _tools(self, request: HttpRequest, row: Any) -> list[Action]:
        """Return the actions that the user may do and that are for this row."""
        now = timezone.now()
        return [
            action
            for action in self.actions
            if isinstance(action, Action)
            and action.is_tool
            and action.is_permitted(request)
            and action.is_eligible(row.expires_at, now)
        ]
