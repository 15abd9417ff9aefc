"""The error for a framework that is not installed."""

from django.core.exceptions import ImproperlyConfigured


def missing_extra(extra: str, what: str) -> ImproperlyConfigured:
    """Return the error that names the extra of django-parlant-store to install."""
    return ImproperlyConfigured(
        f"{what} is not installed; run: pip install 'django-parlant-store[{extra}]'"
    )
