"""Every error a store raises.

    StoreError
    ├── InvalidInput            also a ValueError: refused before anything is written
    │   ├── InvalidName         a session_id, namespace, collection, document id or owner
    │   ├── InvalidItem         an item, document or metadata that JSON cannot say
    │   ├── InvalidFilter       a filter or sort outside the grammar
    │   └── InvalidLimit        a limit or cursor that selects nothing sensible
    ├── DuplicateDocument       a document with this id is in the collection already
    ├── SessionNotFound         there is no such session
    ├── AccessDenied            the key, the token or the role may not do this
    ├── NotSupported            this medium has no such feature
    ├── StoreUnavailable        the medium cannot be reached; the call may be repeated later
    └── BackendError            the medium refused the call for another reason

A wrong setting raises Django's ImproperlyConfigured instead. The exception of a
driver never leaves a backend; it is kept as ``__cause__``.
"""

from django.core.exceptions import ImproperlyConfigured


class StoreError(Exception):
    """Root of every error raised by a store."""


class InvalidInput(StoreError, ValueError):
    """The caller's argument was refused; nothing was written."""


class InvalidName(InvalidInput):
    """A session_id, namespace, collection, document id or owner was refused."""


class InvalidItem(InvalidInput):
    """An item, document or metadata holds what JSON cannot say."""


class InvalidFilter(InvalidInput):
    """A filter or sort is outside the grammar."""


class InvalidLimit(InvalidInput):
    """A limit or cursor selects nothing sensible."""


class DuplicateDocument(StoreError):
    """A document with this id is in the collection already."""


class SessionNotFound(StoreError):
    """There is no such session, or it has expired."""


class AccessDenied(StoreError):
    """The key or token was refused, or may not do this."""


class NotSupported(StoreError):
    """This backend has no such feature."""


class StoreUnavailable(StoreError):
    """The medium behind the store cannot be reached."""


class BackendError(StoreError):
    """The medium behind the store refused the call."""


class InvalidStoreError(ImproperlyConfigured):
    """The setting PARLANT_STORES names no such store, or describes it wrongly."""
