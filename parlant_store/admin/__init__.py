"""Sessions, their items and documents for people to read; stores write them."""

from django.contrib import admin

from parlant_store.admin import sessions
from parlant_store.admin.documents import DocumentAdmin
from parlant_store.admin.items import SessionItemAdmin
from parlant_store.admin.overview import StorePages
from parlant_store.models import Session

__all__ = ["DocumentAdmin", "SessionAdmin", "SessionItemAdmin"]


class SessionAdmin(StorePages, sessions.SessionAdmin):
    """With the pages of the stores beside the list."""


admin.site.unregister(Session)
admin.site.register(Session, SessionAdmin)
