"""Routers as projects write them."""

from contextvars import ContextVar
from typing import Any

tenant: ContextVar[str] = ContextVar("tenant", default="default")


class ContextRouter:
    """The database of the tenant whose request it is."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return tenant.get() if model._meta.app_label == "parlant_store" else None

    db_for_write = db_for_read


class AppRouter:
    """The store's tables, and no others, in a database of their own."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "agents" if model._meta.app_label == "parlant_store" else None

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return (db == "agents") == (app_label == "parlant_store")


class ReplicaRouter:
    """Whatever is read comes from the replica."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "replica"

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "default"

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True


class StoreReplicaRouter(ReplicaRouter):
    """What the store has is read from the replica."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "replica" if model._meta.app_label == "parlant_store" else None
