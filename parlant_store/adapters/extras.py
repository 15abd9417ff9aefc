"""The error for a framework that is not installed."""

from django.core.exceptions import ImproperlyConfigured


def missing_extra(extra: str, what: str) -> ImproperlyConfigured:
    """Says which extra of django-parlant-store brings ``what``."""
    return ImproperlyConfigured(
        f"{what} is not installed; run: pip install 'django-parlant-store[{extra}]'"
    )
