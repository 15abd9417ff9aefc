"""Kinds of projects with several databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.matrix import routers
from tests.matrix.projects import Caller, Place, Project

TENANTS = ("acme", "globex")


class ContextRouter(Project):
    """A router that reads a ContextVar, as of tenants with a database each."""

    settings = {"DATABASE_ROUTERS": ["tests.matrix.routers.ContextRouter"]}

    def databases(self) -> dict[str, Any]:
        return {alias: self.postgresql(alias) for alias in ("default", *TENANTS)}

    def callers(self) -> list[Caller]:
        schema = "public" if self.vendor("default") == "postgresql" else ""
        return [Caller(name, Place(name, schema), tenant_of(name)) for name in TENANTS]


class ContextRouterSqlite(ContextRouter):
    def databases(self) -> dict[str, Any]:
        return {alias: self.sqlite(alias) for alias in ("default", *TENANTS)}


def tenant_of(name: str) -> Any:
    @contextmanager
    def enter() -> Iterator[None]:
        token = routers.tenant.set(name)
        try:
            yield
        finally:
            routers.tenant.reset(token)

    return enter


class AppRouter(Project):
    """The store in a database of its own, by a router; the setting PARLANT_STORES is not there."""

    settings = {"DATABASE_ROUTERS": ["tests.matrix.routers.AppRouter"]}
    without = ("timeout", "held")
    """Their options are what they are without settings."""

    def databases(self) -> dict[str, Any]:
        return {alias: self.postgresql(alias) for alias in ("default", "agents")}

    def configuration(self) -> dict[str, Any]:
        settings = super().configuration()
        del settings["PARLANT_STORES"]
        return settings

    @property
    def place(self) -> Place:
        return Place("agents", "public")


class Replica(Project):
    """Whatever Django reads comes from a replica, which got nothing since the migration."""

    settings = {
        "DATABASE_ROUTERS": ["tests.matrix.routers.ReplicaRouter"],
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
    }
    is_in_admin = False

    def databases(self) -> dict[str, Any]:
        return {alias: self.sqlite(alias) for alias in ("default", "replica")}

    def prepare(self) -> None:
        from django.contrib.auth.models import User
        from django.core.management import call_command

        self.create_databases()
        call_command("migrate", database="default", verbosity=0, interactive=False)
        User.objects.using("default").create(username="root", is_staff=True, is_superuser=True)
        with self.sqlite_connection("default") as source, self.sqlite_connection("replica") as copy:
            source.backup(copy)


class ReplicaReads(Project):
    """The store's plain reads may come from a replica that lags."""

    settings = {"DATABASE_ROUTERS": ["tests.matrix.routers.StoreReplicaRouter"]}
    options = {"reads": "router"}
    own = ("reads_follow_the_router",)
    only = ("reads_follow_the_router", "people", "selectools")

    def databases(self) -> dict[str, Any]:
        return {alias: self.postgresql(alias) for alias in ("default", "replica")}


class SecondDatabase(Project):
    """The store in a second database that no router knows."""

    options = {"using": "other"}
    own = ("told_by_a_check",)
    is_in_admin = False

    def databases(self) -> dict[str, Any]:
        return {
            "default": self.postgresql("default"),
            "other": self.postgresql("other"),
        }

    @property
    def place(self) -> Place:
        return Place("other", "public")
