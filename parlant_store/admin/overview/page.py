"""What the stores hold, on one page; and where that page and those of other stores hang."""

from functools import partial
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from parlant_store.admin.formatting import grouped
from parlant_store.admin.lookups import COUNTED
from parlant_store.admin.options import StoreAdmin
from parlant_store.admin.overview import sections
from parlant_store.admin.overview.chart import Charts
from parlant_store.admin.readiness import guarded
from parlant_store.admin.stores import actions as store_actions
from parlant_store.admin.stores import documents as store_documents
from parlant_store.admin.stores import pages as stores
from parlant_store.admin.stores import session as store_session
from parlant_store.admin.stores import sweep as store_sweep
from parlant_store.admin.stores.asking import Page, show
from parlant_store.models import Document, Session


def overview(admin: Any, request: HttpRequest) -> HttpResponse:
    """Nothing is read of what may not be seen."""
    models = [model for model in (Session, Document) if admin.may_view(request, model)]
    if not models:
        raise PermissionDenied
    charts = Charts()
    context: dict[str, Any] = {"tables": [], "charts": [], "is_estimate": False}
    if Session in models:
        sections.add_sessions(context, admin, request, charts)
    if Document in models:
        sections.add_documents(context, admin, charts)
    return show(
        admin,
        request,
        "overview.html",
        title=_("Overview"),
        stores=list(sections.store_rows(admin)),
        models=[model._meta.verbose_name_plural for model in models],
        sees_sessions=Session in models,
        sees_documents=Document in models,
        expiring=sections.expiring(admin, models),
        looked_at=grouped(COUNTED),
        **context,
    )


PAGES: dict[str, Page] = {
    "overview": overview,
    "stores": stores.list_stores,
    "stores_sessions": stores.list_sessions,
    "stores_session": store_session.show_session,
    "stores_sessions_change": store_actions.change_sessions,
    "stores_sweep": store_sweep.sweep,
    "stores_documents": store_documents.list_documents,
    "stores_document": store_documents.show_document,
    "stores_documents_change": store_actions.change_documents,
}


class StorePages(StoreAdmin):
    """The pages beside the list of sessions, whose address they follow."""

    def get_urls(self) -> list[URLPattern]:
        pages = [
            path(
                f"{name.replace('_', '/')}/",
                guarded(self, self.admin_site.admin_view(partial(page, self))),
                name=f"parlant_store_session_{name}",
            )
            for name, page in PAGES.items()
        ]
        return pages + super().get_urls()
