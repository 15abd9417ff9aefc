"""Sessions, their items and documents for people to read; stores write them."""

from parlant_store.admin.documents import DocumentAdmin
from parlant_store.admin.items import SessionItemAdmin
from parlant_store.admin.sessions import SessionAdmin

__all__ = ["DocumentAdmin", "SessionAdmin", "SessionItemAdmin"]
