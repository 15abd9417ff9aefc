"""Sessions, their items and documents for people to find, to read and to end."""

from parlant_store.admin.documents.options import DocumentAdmin
from parlant_store.admin.sessions import SessionAdmin, SessionItemAdmin

__all__ = ["DocumentAdmin", "SessionAdmin", "SessionItemAdmin"]
