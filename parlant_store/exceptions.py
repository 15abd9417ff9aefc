"""Every error a store raises.

    StoreError
    ├── InvalidInput            also a ValueError: refused before anything is written
    │   ├── InvalidName         a session_id, namespace, collection, document id or owner
    │   ├── InvalidItem         an item, document or metadata that JSON cannot represent
    │   ├── InvalidFilter       a filter or sort outside the grammar
    │   └── InvalidLimit        a limit or cursor that is out of range
    ├── DuplicateDocument       the collection already has a document with this id
    ├── SessionNotFound         the session does not exist
    ├── SessionExists           another session or thread has the id of a copy
    ├── AccessDenied            the key, token or role has no permission
    ├── UnreadableValue         a value of a checkpoint that a user wrote cannot be deserialized
    ├── NotSupported            the backend does not support the operation
    ├── StoreUnavailable        the database cannot be reached; nothing was done
    │   └── OutcomeUnknown      the response to a write was lost: it may have been done
    └── BackendError            the database refused the call for another reason
        └── ProtectedRow        rows of the project refer to the row to delete

An invalid setting raises Django's ImproperlyConfigured instead. Exceptions of database drivers
become the ``__cause__`` of these errors.
"""

from django.core.exceptions import ImproperlyConfigured


class StoreError(Exception):
    """Base class of all errors of a store."""


class InvalidInput(StoreError, ValueError):
    """An argument is invalid; nothing was written."""


class InvalidName(InvalidInput):
    """A session_id, namespace, collection, document id or owner is invalid."""


class InvalidItem(InvalidInput):
    """JSON cannot represent an item, document or metadata."""


class InvalidFilter(InvalidInput):
    """A filter or sort is outside the grammar."""


class InvalidLimit(InvalidInput):
    """A limit or cursor is out of range."""


class DuplicateDocument(StoreError):
    """The collection already has a document with this id."""


class SessionNotFound(StoreError):
    """The session does not exist, or has expired."""


class SessionExists(StoreError):
    """Another session or thread has the id of a copy that must not replace it."""


class AccessDenied(StoreError):
    """The key or token is invalid, or has no permission."""


class UnreadableValue(StoreError):
    """A value of a checkpoint, which a user of Supabase wrote, cannot be deserialized."""


class NotSupported(StoreError):
    """The backend does not support the operation."""


class StoreUnavailable(StoreError):
    """The database or its API cannot be reached; nothing was written."""


class OutcomeUnknown(StoreUnavailable):
    """The connection broke after a write was sent: it may have been done.

    The call can be repeated safely with the same ``request_id``.
    """


class BackendError(StoreError):
    """The database refused the call."""


class ProtectedRow(BackendError):
    """Rows of the project protect a row from deletion; nothing was written.

    Its ``__cause__`` is Django's ProtectedError or RestrictedError with the rows, or the error of
    the database.
    """

    def __init__(self, message: str, protected_by: str) -> None:
        super().__init__(message)
        self.protected_by = protected_by
        """Model and primary key of protecting rows, as "shop.Rating 7", or the database's error."""

    def __reduce__(self) -> tuple[type, tuple[str, ...]]:
        return type(self), (*self.args, self.protected_by)


class InvalidStoreError(ImproperlyConfigured):
    """The setting PARLANT_STORES has no such store, or an invalid one."""
