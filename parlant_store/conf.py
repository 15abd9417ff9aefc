"""The setting PARLANT_STORES, read in this one place.

PARLANT_STORES = {
    alias: {"BACKEND": dotted path of a BaseBackend, "OPTIONS": its keyword arguments},
}
"""

import inspect
import os
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from parlant_store.backends.base import BaseBackend
from parlant_store.exceptions import InvalidStoreError

SETTING = "PARLANT_STORES"
DEFAULT_ALIAS = "default"
DEFAULT_BACKEND = "parlant_store.backends.orm.OrmBackend"
DEFAULT = {
    DEFAULT_ALIAS: {
        "BACKEND": DEFAULT_BACKEND,
        "OPTIONS": {"using": "default", "ttl_seconds": None},
    }
}


def configured() -> dict[str, Any]:
    """The stores by alias; those of DEFAULT when the project names none."""
    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        raise InvalidStoreError(
            "Django is not configured here; a script without a project calls "
            "parlant_store.setup() before it uses a store"
        )
    stores = getattr(settings, SETTING, None)
    if stores is None:
        return DEFAULT
    if not isinstance(stores, dict) or not all(isinstance(alias, str) for alias in stores):
        raise InvalidStoreError(f"{SETTING} must be a dict of aliases, not {stores!r:.60}")
    return stores


def build(alias: str, description: Any) -> BaseBackend:
    """The backend that ``description`` asks for; raises InvalidStoreError saying what is wrong."""
    where = f"{SETTING}[{alias!r}]"
    if not isinstance(description, dict):
        raise InvalidStoreError(f"{where} must be a dict, not {type(description).__name__}")
    if unknown := sorted(map(str, description.keys() - {"BACKEND", "OPTIONS"})):
        raise InvalidStoreError(f"{where} has {', '.join(unknown)}; it takes BACKEND and OPTIONS")
    options = description.get("OPTIONS", {})
    if not isinstance(options, dict):
        raise InvalidStoreError(f"{where}['OPTIONS'] must be a dict")
    backend = _backend_class(where, description.get("BACKEND", DEFAULT_BACKEND))
    known = _options(backend)
    if unknown := sorted(map(str, options.keys() - known)):
        raise InvalidStoreError(
            f"{where}['OPTIONS'] has {', '.join(unknown)}, which {backend.__name__} does not "
            f"know; it takes {', '.join(sorted(known))}"
        )
    return backend(alias, **options)


def _backend_class(where: str, path: Any) -> type[BaseBackend]:
    try:
        backend = import_string(str(path))
    except ImportError as exc:
        raise InvalidStoreError(f"{where}['BACKEND'] is {path!r}: {exc}") from exc
    if not (isinstance(backend, type) and issubclass(backend, BaseBackend)):
        raise InvalidStoreError(f"{where}['BACKEND'] is {path!r}, which is no store")
    return backend


def _options(backend: type[BaseBackend]) -> set[str]:
    """The keyword arguments of the backend's constructor and of those it extends."""
    return {
        parameter.name
        for cls in backend.__mro__
        if "__init__" in vars(cls)
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
