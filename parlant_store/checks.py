"""What ``manage.py check`` says about PARLANT_STORES."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from parlant_store import conf
from parlant_store.handler import stores


@register
def check_stores(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Each store can be built, and what it says about itself."""
    try:
        configured = conf.configured()
    except ImproperlyConfigured as exc:
        return [Error(str(exc), id="parlant_store.E001")]
    found: list[CheckMessage] = []
    for alias in configured:
        try:
            found += stores[alias].check()
        except ImproperlyConfigured as exc:
            found.append(Error(str(exc), id="parlant_store.E001"))
    return found
