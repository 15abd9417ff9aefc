"""System checks of PARLANT_STORES and of its databases."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, connections
from django.db.migrations.recorder import MigrationRecorder

from parlant_store import conf
from parlant_store.handler import stores

# Supabase's public roles may use the schemas that its API exposes.
_OPEN_TABLES = """
    SELECT c.oid::regclass::text FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
        AND (
            c.relname = ANY (%(names)s) AND pg_table_is_visible(c.oid)
            OR c.relispartition AND EXISTS (
                SELECT FROM pg_partition_ancestors(c.oid) a (oid) JOIN pg_class p USING (oid)
                WHERE p.relname = ANY (%(names)s) AND pg_table_is_visible(p.oid)
            )
        )
        AND EXISTS (
            SELECT FROM pg_roles r
            WHERE r.rolname IN ('anon', 'authenticated')
                AND has_schema_privilege(r.oid, c.relnamespace, 'usage')
                AND (
                    has_any_column_privilege(r.oid, c.oid, 'select, insert, update')
                    OR has_table_privilege(r.oid, c.oid, 'delete, truncate')
                )
        )
    ORDER BY c.relname
"""


@register
def check_stores(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check the setting, and the options of each store."""
    try:
        aliases = list(conf.configured())
    except ImproperlyConfigured as exc:
        return [Error(str(exc), id="parlant_store.E001")]
    messages: list[CheckMessage] = []
    for alias in aliases:
        try:
            messages += stores[alias].check()
        except ImproperlyConfigured as exc:
            messages.append(Error(str(exc), id="parlant_store.E001"))
    return messages


@register(Tags.database)
def check_databases(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the tables, functions and indexes of each store in its database."""
    # migrate runs these checks before it creates the tables.
    if sys.argv[1:2] == ["migrate"] or not databases:
        return []
    messages: list[CheckMessage] = []
    # check_stores reports errors in the setting.
    with suppress(ImproperlyConfigured):
        for alias in conf.configured():
            with suppress(ImproperlyConfigured):
                messages += stores[alias].check_databases(databases)
    return messages


@register(Tags.database)
def check_exposed_tables(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that Supabase's public roles cannot use the tables of the installed apps."""
    return [
        Warning(
            "Everybody who has the public key of the Supabase project, or its users, can use "
            f"{', '.join(names)} in the database {alias!r}: row level security is off.",
            hint="Run what manage.py supabase_rls --lock-django prints, in the SQL editor.",
            id="parlant_store.W004",
        )
        for alias in databases or ()
        if (names := _open_tables(alias))
    ]


def _open_tables(alias: str) -> list[str]:
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return []
    tables = {model._meta.db_table for model in apps.get_models(include_auto_created=True)}
    tables.add(MigrationRecorder.Migration._meta.db_table)
    # check_databases reports a database that cannot be reached.
    with suppress(DatabaseError, InterfaceError), connection.cursor() as cursor:
        cursor.execute(_OPEN_TABLES, {"names": sorted(tables)})
        return [str(name) for (name,) in cursor.fetchall()]
    return []
