"""The script that sets up a Supabase project for the stores."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.apps import apps

from parlant_store.sql.computed_columns import COLUMNS, fill_sql
from parlant_store.sql.functions import functions_sql
from parlant_store.sql.supabase.access import Access
from parlant_store.sql.supabase.cron import cron_sql
from parlant_store.sql.supabase.partitions import partition_policies_sql, partitions_sql
from parlant_store.sql.supabase.policies import policies_sql
from parlant_store.sql.supabase.schema import (
    do_block,
    functions_update_sql,
    identifier,
    literal,
    tables_sql,
    update_sql,
)
from parlant_store.sql.triggers import drop_triggers_sql, triggers_sql
from parlant_store.sql.turns import number_turns

PUBLICATION = "supabase_realtime"

_PUBLISHED = ("Document", "Session", "SessionItem")
_NAME_BYTES = 63
_OPTIONS = {"table_prefixes": "table_prefix"}
_DEFAULTS = {field.name: field.default for field in fields(Access) if field.default is not MISSING}
"""The defaults of the access options: the script's header has other values only."""


def supabase_sql(
    *,
    schema: str = "public",
    policy: str = "service",
    collections: Sequence[str] = (),
    adopt: Mapping[str, str] | None = None,
    realtime: bool = False,
    cron: str | None = None,
    transaction: bool = True,
    **options: Any,
) -> str:
    """Return the script for the tables in ``schema``; if it runs again, it changes nothing.

    ``policy`` and ``options`` are those of ``policies_sql``, ``collections`` and ``adopt`` those
    of ``partitions_sql``; without both, nothing is partitioned. ``realtime`` publishes the
    changes of documents, sessions and items. ``cron`` is a schedule of pg_cron for deleting
    expired rows. With ``transaction``, the script is one transaction. The same arguments give
    the same text. Raise ValueError if one of them is wrong.
    """
    _check_schema(schema)
    access: dict[str, Any] = {"schema": schema, "policy": policy, **options}
    parts = [
        f"create schema if not exists {identifier(schema)};",
        update_sql(schema),
        tables_sql(schema),
    ]
    if collections or adopt is not None:
        # Rows that move between partitions are no activity.
        parts.append(drop_triggers_sql(identifier(schema)))
        parts.append(partitions_sql(schema, collections, adopt=adopt))
    parts += [
        functions_update_sql(schema),
        functions_sql(identifier(schema)),
        triggers_sql(identifier(schema)),
        _compute_columns(schema),
        _count_sessions(schema),
        _number_turns(schema),
        policies_sql(**access),
        partition_policies_sql(**access),
    ]
    if realtime:
        parts.append(_realtime_sql(schema))
    if cron is not None:
        parts.append(cron_sql(schema, cron))
    # PostgreSQL sends it after the commit.
    parts.append("notify pgrst, 'reload schema';")
    if transaction:
        parts = ["begin;", *parts, "commit;"]
    adopted = ["=".join(dict.fromkeys(pair)) for pair in (adopt or {}).items()]
    arguments = access | {"collections": collections, "adopt": adopted or adopt is not None}
    header = _header(arguments | {"realtime": realtime, "cron": cron})
    return "\n\n".join(part.strip() for part in [header, *parts]) + "\n"


def without_header(script: str) -> str:
    """Return a script of ``supabase_sql`` without its header."""
    return script.partition("\n\n")[2]


def _header(arguments: dict[str, Any]) -> str:
    """Return a comment with the command that makes the script."""
    options: list[str] = []
    for name, value in arguments.items():
        if not value or value == _DEFAULTS.get(name):
            continue
        options.append(f"--{_OPTIONS.get(name, name).replace('_', '-')}")
        if value is not True:
            options.append(value if isinstance(value, str) else ",".join(value))
    return (
        f"-- The tables and functions of {_package()} on Supabase. Made by\n"
        f"--     python manage.py supabase_sql {shlex.join(options)}\n"
        "-- If it runs again, it changes nothing."
    )


def _package() -> str:
    """Return the name of the package, with its version if it is installed."""
    name = "django-parlant-store"
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def _check_schema(schema: str) -> None:
    """PostgreSQL would truncate a longer name; a newline would end the header's comment."""
    size = len(schema.encode(errors="replace"))
    if not 0 < size <= _NAME_BYTES:
        raise ValueError(f"The schema {schema!r} has {size} bytes; 1 to {_NAME_BYTES} are allowed")
    if not schema.isprintable():
        raise ValueError(f"The schema {schema!r} has characters that cannot be printed")


def _compute_columns(schema: str) -> str:
    """Return statements for rows that no trigger has written."""
    prefix = f"{identifier(schema)}."
    statements = (fill_sql("postgresql", table, prefix) for table in COLUMNS)
    return "\n".join(f"{statement};" for statement in statements)


def _count_sessions(schema: str) -> str:
    call = f"perform {identifier(schema)}.parlant_store_count_sessions();"
    return f"{do_block(f'begin {call} end')};"


def _number_turns(schema: str) -> str:
    tables = ("parlant_store_session", "parlant_store_session_item")
    names = (f"{identifier(schema)}.{identifier(table)}" for table in tables)
    return "\n".join(f"{statement};" for statement in number_turns(*names))


def _realtime_sql(schema: str) -> str:
    """Return a statement that adds the tables to the publication, which must exist."""
    tables = (apps.get_model("parlant_store", model)._meta.db_table for model in _PUBLISHED)
    names = (literal(f"{identifier(schema)}.{identifier(table)}") for table in tables)
    body = f"""declare
    v_publication pg_publication;
    v_table regclass;
begin
    select * into v_publication from pg_publication where pubname = '{PUBLICATION}';
    if not found then
        raise exception 'the publication {PUBLICATION} does not exist'
            using hint = 'Turn Realtime on, or: create publication {PUBLICATION};';
    end if;
    foreach v_table in array array[{", ".join(names)}]::regclass[] loop
        if not v_publication.puballtables and not exists (
            select from pg_publication_rel
            where prpubid = v_publication.oid and prrelid = v_table
        ) then
            execute format('alter publication {PUBLICATION} add table %s', v_table);
        end if;
    end loop;
end"""
    return f"-- Publishes changes of these tables to Supabase Realtime.\n{do_block(body)};"
