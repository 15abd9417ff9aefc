"""Kinds of projects with several schemas in one PostgreSQL."""

from typing import Any

from tests.matrix.projects import CONTRIB, MIDDLEWARE, Caller, Place, Project


class Tenants(Project):
    """django-tenants: a schema for each tenant, set by the engine when a cursor is made."""

    own = ("cloned", "graphs", "triggers")
    without = ("timeout", "held")
    enters_tasks = False
    copies = (Place("default", "copy"),)
    settings = {
        "SHARED_APPS": ["django_tenants", "tests.matrix.tenancy", *CONTRIB, "parlant_store"],
        "TENANT_APPS": [*CONTRIB, "parlant_store"],
        "INSTALLED_APPS": ["django_tenants", "tests.matrix.tenancy", *CONTRIB, "parlant_store"],
        "TENANT_MODEL": "tenancy.Company",
        "TENANT_DOMAIN_MODEL": "tenancy.Domain",
        "DATABASE_ROUTERS": ["django_tenants.routers.TenantSyncRouter"],
        "MIDDLEWARE": ["django_tenants.middleware.main.TenantMainMiddleware", *MIDDLEWARE],
    }

    def databases(self) -> dict[str, Any]:
        return {"default": self.postgresql(ENGINE="django_tenants.postgresql_backend")}

    def prepare(self) -> None:
        from django.core.management import call_command

        from tests.matrix.tenancy.models import Company, Domain

        self.create_databases()
        call_command("migrate_schemas", shared=True, verbosity=0, interactive=False)
        # Django's test clients call the first tenant so.
        names = {"public": ["localhost"], "acme": ["testserver", "127.0.0.1"], "globex": ["globex"]}
        for name, domains in names.items():
            company = Company(schema_name=name, name=name)
            company.save(verbosity=0)
            for domain in domains:
                Domain.objects.create(domain=domain, tenant=company, is_primary=False)

    @property
    def place(self) -> Place:
        return Place("default", "acme")

    def callers(self) -> list[Caller]:
        return [
            Caller(name, Place("default", name), tenant_of(name)) for name in ("acme", "globex")
        ]


def tenant_of(name: str) -> Any:
    def enter() -> Any:
        from django_tenants.utils import schema_context

        return schema_context(name)

    return enter


class SearchPath(Project):
    """The schema by OPTIONS; the public one has tables of the store, too."""

    schema = "shop"

    def databases(self) -> dict[str, Any]:
        return {"default": self.postgresql(OPTIONS={"options": f"-c search_path={self.schema}"})}

    @property
    def place(self) -> Place:
        return Place("default", self.schema)

    def prepare(self) -> None:
        self.create_databases()
        for schema in ("public", self.schema):
            self.migrate(schema)

    def migrate(self, schema: str) -> None:
        from django.core.management import call_command
        from django.db import connection

        with self.connect() as server:
            server.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        own = connection.settings_dict["OPTIONS"]
        connection.close()
        connection.settings_dict["OPTIONS"] = {"options": f"-c search_path={schema}"}
        call_command("migrate", verbosity=0, interactive=False)
        connection.close()
        connection.settings_dict["OPTIONS"] = own


class Renamed(SearchPath):
    """The schema got another name after migrate, and there is a new one of the old name."""

    only = ("renamed",)
    own = only

    def prepare(self) -> None:
        self.create_databases()
        self.migrate("old")
        with self.connect() as server:
            server.execute(f"ALTER SCHEMA old RENAME TO {self.schema}")
        self.migrate("old")
