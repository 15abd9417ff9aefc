"""The addresses of the pages beside those of the models."""

from functools import partial

from django.urls import URLPattern, path

from parlant_store.admin.actions import remote_rows
from parlant_store.admin.actions.sweep import sweep
from parlant_store.admin.conversations import remote as remote_conversations
from parlant_store.admin.conversations.remote_session import show_session
from parlant_store.admin.documents import remote as remote_documents
from parlant_store.admin.options import StoreAdmin
from parlant_store.admin.readiness import guarded
from parlant_store.admin.remote_stores import Page
from parlant_store.admin.views.overview import overview
from parlant_store.admin.views.person import download_receipt, show_person
from parlant_store.admin.views.persons import list_persons
from parlant_store.admin.views.stores import list_stores

PAGES: dict[str, Page] = {
    "overview": overview,
    "people": list_persons,
    "person": show_person,
    "person_receipt": download_receipt,
    "stores": list_stores,
    "stores_sessions": remote_conversations.list_sessions,
    "stores_session": show_session,
    "stores_sessions_change": remote_rows.change_sessions,
    "stores_sweep": sweep,
    "stores_documents": remote_documents.list_documents,
    "stores_document": remote_documents.show_document,
    "stores_documents_change": remote_rows.change_documents,
}


class StorePages(StoreAdmin):
    """The pages beside the list of sessions, at addresses below that of the list."""

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
