"""Tenants that engines such as that of django-tenants store on a connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections


def tenant_of(connection: Any) -> Any:
    """Return the tenant of a connection; None if its engine has no tenants."""
    return connection.tenant if hasattr(connection, "set_tenant") else None


def has_set_tenant(connection: Any) -> bool:
    """Whether it has another tenant than a new connection."""
    if not hasattr(connection, "set_tenant"):
        return False
    new: Any = connections.create_connection(connection.alias)
    return bool(connection.schema_name != new.schema_name)


@contextmanager
def as_tenant(alias: str, tenant: Any) -> Iterator[None]:
    """Give the connection of this thread the tenant of another one."""
    connection: Any = connections[alias]
    before = connection.tenant
    connection.set_tenant(tenant)
    try:
        yield
    finally:
        connection.set_tenant(before)
