"""The setting PARLANT_STORES.

PARLANT_STORES = {
    alias: {"BACKEND": dotted path of a BaseBackend, "OPTIONS": its keyword arguments},
}
"""

import inspect
import os
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from parlant_store.backends.base import BaseBackend
from parlant_store.exceptions import InvalidStoreError

SETTING = "PARLANT_STORES"
DEFAULT_ALIAS = "default"
DEFAULT_BACKEND = "parlant_store.backends.orm.OrmBackend"
DEFAULT = {
    DEFAULT_ALIAS: {
        "BACKEND": DEFAULT_BACKEND,
        "OPTIONS": {"using": None, "ttl_seconds": None},
    }
}


def configured() -> dict[str, Any]:
    """Return the setting, or DEFAULT if the project has none."""
    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        raise InvalidStoreError(
            "Django is not configured here; a script without a project calls "
            "parlant_store.setup() before it uses a store"
        )
    stores = getattr(settings, SETTING, None)
    if stores is None:
        return DEFAULT
    if not isinstance(stores, dict) or not all(isinstance(alias, str) for alias in stores):
        kind = type(stores).__name__
        del stores  # Error pages show variables, and the settings contain keys.
        raise InvalidStoreError(f"{SETTING} must be a dict of aliases; it is a {kind}")
    return stores


def build(alias: str, description: Any) -> BaseBackend:
    """Return the backend of ``description``; raise InvalidStoreError if it is invalid."""
    try:
        return _build(alias, description)
    except ImproperlyConfigured as exc:
        # Django's error page shows the variables of the frames below, which contain keys.
        error = exc.with_traceback(None)
    del description
    raise error


def _build(alias: str, description: Any) -> BaseBackend:
    where = f"{SETTING}[{alias!r}]"
    if not isinstance(description, dict):
        raise InvalidStoreError(f"{where} must be a dict, not {type(description).__name__}")
    if unknown := sorted(map(str, description.keys() - {"BACKEND", "OPTIONS"})):
        raise InvalidStoreError(f"{where} has {', '.join(unknown)}; it takes BACKEND and OPTIONS")
    options = description.get("OPTIONS", {})
    if not isinstance(options, dict):
        raise InvalidStoreError(f"{where}['OPTIONS'] must be a dict")
    backend = _backend_class(where, description.get("BACKEND", DEFAULT_BACKEND))
    options_of_backend = _options(backend)
    if unknown := sorted(map(str, options.keys() - options_of_backend)):
        raise InvalidStoreError(
            f"{where}['OPTIONS'] has {', '.join(unknown)}, which {backend.__name__} does not "
            f"know; it takes {', '.join(sorted(options_of_backend))}"
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
    """Return the keyword arguments of the constructors of the backend and its base classes."""
    return {
        parameter.name
        for cls in backend.__mro__
        if "__init__" in vars(cls)
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
