"""What can be done to sessions and documents, each by those who have its permission."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.forms import CheckboxInput
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.actions.confirming import FROM_PAGE
from parlant_store.admin.actions.doing import ACTIONS, Action, Answer
from parlant_store.admin.actions.questioning import ask_and_do
from parlant_store.admin.options import StoreAdmin


class ActionsAdmin(StoreAdmin):
    """Actions on what a list has chosen, and on one from its page."""

    actions: Any = ("expire", "extend", "keep", "export", "remove")

    class Media:
        css: ClassVar = {"all": ["parlant_store/actions.css"]}

    @admin.action(
        permissions=["expire"], description=_("Expire selected %(verbose_name_plural)s now")
    )
    def expire(self, request: HttpRequest, queryset: QuerySet[Any]) -> Answer:
        return ask_and_do(self, request, queryset, ACTIONS["expire"])

    @admin.action(
        permissions=["extend"], description=_("Extend the life of selected %(verbose_name_plural)s")
    )
    def extend(self, request: HttpRequest, queryset: QuerySet[Any]) -> Answer:
        return ask_and_do(self, request, queryset, ACTIONS["extend"])

    @admin.action(
        permissions=["extend"], description=_("Keep selected %(verbose_name_plural)s for ever")
    )
    def keep(self, request: HttpRequest, queryset: QuerySet[Any]) -> Answer:
        return ask_and_do(self, request, queryset, ACTIONS["keep"])

    @admin.action(permissions=["branch"], description=_("Branch the selected %(verbose_name)s"))
    def branch(self, request: HttpRequest, queryset: QuerySet[Any]) -> Answer:
        return ask_and_do(self, request, queryset, ACTIONS["branch"])

    @admin.action(permissions=["export"], description=_("Export selected %(verbose_name_plural)s"))
    def export(self, request: HttpRequest, queryset: QuerySet[Any]) -> Answer:
        return ask_and_do(self, request, queryset, ACTIONS["export"])

    @admin.action(permissions=["remove"], description=_("Delete selected %(verbose_name_plural)s"))
    def remove(self, request: HttpRequest, queryset: QuerySet[Any]) -> Answer:
        return ask_and_do(self, request, queryset, ACTIONS["remove"])

    def action_checkbox(self, obj: Any) -> SafeString:
        """As Django's, with a name that people can read."""
        label = _("Select %(name)s for an action") % {"name": self.subtitle(obj)}
        checkbox = CheckboxInput({"class": "action-select", "aria-label": label}, lambda _: False)
        return checkbox.render(ACTION_CHECKBOX_NAME, str(obj.pk))

    def has_expire_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "expire")

    def has_extend_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "extend")

    def has_branch_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "branch")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "export")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Django's own; has_delete_permission would let its page of deletion in."""
        return self._may(request, "delete")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context["tools"] = self._tools(request, context["original"])
        context["checkbox_name"], context["from_page"] = ACTION_CHECKBOX_NAME, FROM_PAGE
        return super().render_change_form(request, context, *args, **kwargs)

    def _tools(self, request: HttpRequest, row: Any) -> list[Action]:
        """The actions that this person may do and that are for this one."""
        now = timezone.now()
        permitted = [ACTIONS[name] for name in self.get_actions(request) if name in ACTIONS]
        return [action for action in permitted if action.suits(row.expires_at, now)]

    def _may(self, request: HttpRequest, action: str) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.{action}_{self.opts.model_name}")
