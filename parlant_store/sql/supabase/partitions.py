"""SQL that partitions the table of documents by collection, rendered without a server.

A collection with a partition can be read and written by its name over the REST API, with the
promoted columns. The table of the model still has all documents.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from django.apps import apps
from django.db.migrations.recorder import MigrationRecorder

from parlant_store.content import codec
from parlant_store.sql.supabase.access import Access
from parlant_store.sql.supabase.adoption import (
    collection_tables,
    collection_tables_sql,
    sessions_terms,
    text_of,
)
from parlant_store.sql.supabase.policies import document_policies_sql
from parlant_store.sql.supabase.schema import dollars, identifier, literal
from parlant_store.types import FAILED, PROMOTED

_APP = "parlant_store"
_NAME_BYTES = 63
_ROLES = ("anon", "authenticated", "service_role")
_DIGEST_BYTES = 66
"""The length of what codec.to_column puts after the beginning of a long text."""

_TIME = "regexp_replace(to_char(%s, 'YYYY-MM-DD\"T\"HH24:MI:SS.US'), '[.]000000$', '') || '+00:00'"
_CASTS = (
    ("text", "varchar", "(%s)::text"),
    ("text", "bpchar", "(%s)::text"),
    ("text", "uuid", "(%s)::text"),
    ("text", "timestamptz", _TIME % "(%s) at time zone 'UTC'"),
    ("text", "timestamp", _TIME % "%s"),
    ("jsonb", "json", "(%s)::jsonb"),
    ("timestamptz", "timestamp", "(%s) at time zone 'UTC'"),
)
"""The types of columns, other types that are converted to them, and the conversion, for format."""

_SUM = f"""coalesce(sum(hashtextextended(
    (%s - array[{", ".join(map(literal, PROMOTED))}])::text, 0
)), 0)"""
"""A checksum of the data of rows without the promoted fields, for format."""

_VIEW = f"""create or replace view %I.%I with (security_invoker = true) as
    select {", ".join(map(identifier, (*PROMOTED, "data")))} from %s
    where expires_at is null or expires_at > now()"""

_PARTITION = """(
            select inhrelid from pg_inherits join pg_class on oid = inhrelid
            where inhparent = v_document and pg_get_expr(relpartbound, oid)
                = 'FOR VALUES IN (''' || replace(v_collection, '''', '''''') || ''')'
        )"""

_GRANTS = """
            select privilege_type as privilege, a.grantee::regrole as grantee
            from pg_class, aclexplode(relacl) a where oid = v_document and a.grantee <> 0
            union all
            select format('%s (%I)', privilege_type, attname), a.grantee::regrole
            from pg_attribute, aclexplode(attacl) a
            where attrelid = v_document and a.grantee <> 0 and not attisdropped
        """


def partitions_sql(
    schema: str, collections: Sequence[str], *, adopt: Mapping[str, str] | None = None
) -> str:
    """Return statements that create a partition for each of ``collections``.

    They run after those of ``tables_sql``. A partition is in ``partitions_schema``. In ``schema``
    there is an updatable view with its name, the promoted columns and data. Other collections are
    in a default partition. Existing partitions are not changed. ``partition_policies_sql`` has
    the grants.

    With ``adopt``, existing tables become partitions with their rows, if their columns allow it,
    and views get their names: tables of ``collections``, of ``documented_tables``, and the keys of
    ``adopt``, whose values are collections. The rows of a table of selectools become sessions.
    Raise ValueError for a name that no partition can have.
    """
    tables = collection_tables(collections, adopt)
    if not tables:
        raise ValueError("There is no collection to partition")
    for name in {*collections, *(adopt or {})}:
        _check(name)
    files = ["partitioning", "completion", "partitions"]
    terms = {"tables": collection_tables_sql(tables), "adopt": str(adopt is not None).lower()}
    if adopt is not None:
        files[2:2] = ["adopted_sessions", "adoption"]
        terms |= sessions_terms(adopt)
    return "\n".join(_rendered(file, schema, terms) for file in files)


def partition_policies_sql(**options: Any) -> str:
    """Return the policies and grants of all partitions of documents.

    They run after those of ``policies_sql`` with the same options, and do nothing if documents are
    not partitioned. Raise ValueError if an option is wrong.
    """
    policies = document_policies_sql(table=_default(), **options)
    terms = {"policies": literal(policies), "is_readable": Access(**options).may_read_partition()}
    return _rendered("partition_policies", options["schema"], terms)


def partitions_schema(schema: str) -> str:
    """Return the schema of the partitions for the tables in ``schema``."""
    name = f"{_APP}_collections"
    if schema == "public":
        return name
    if len(f"{name}_{schema}".encode()) > _NAME_BYTES:
        return f"{name}_{sha256(schema.encode()).hexdigest()[:16]}"
    return f"{name}_{schema}"


def _check(name: str) -> None:
    size = len(name.encode(errors="replace"))
    if not 0 < size <= _NAME_BYTES:
        raise ValueError(
            f"The collection {name!r} has {size} bytes: a partition's name has 1 to {_NAME_BYTES}"
        )
    if not name.isprintable():
        raise ValueError(f"The collection {name!r} has characters that cannot be printed")
    if name.startswith(f"{_APP}_") or name in _tables():
        raise ValueError(f"The collection {name!r} has the name of another table")


def _tables() -> set[str]:
    """Return the names of Django's tables."""
    models = apps.get_models(include_auto_created=True)
    return {MigrationRecorder.Migration._meta.db_table, *(model._meta.db_table for model in models)}


def _table(model: str) -> str:
    return str(apps.get_model(_APP, model)._meta.db_table)


def _document() -> str:
    return _table("Document")


def _default() -> str:
    return f"{_document()}_default"


def _texts(names: Sequence[str]) -> str:
    return ", ".join(map(literal, names))


def _rendered(file: str, schema: str, terms: dict[str, str]) -> str:
    """Return the text of the .sql file with its terms filled in."""
    terms = _terms(schema) | terms
    terms["quote"] = dollars("".join(terms.values()))
    return text_of(file).format_map(terms)


def _terms(schema: str) -> dict[str, str]:
    document, default, sequence = (
        f"{identifier(schema)}.{identifier(name)}"
        for name in (_document(), _default(), f"{_document()}_key_seq")
    )
    columns = _object(identifier)
    fields = _object(lambda name: f"data -> {literal(name)}")
    return {
        "schema": identifier(schema),
        "session_text": literal(f"{identifier(schema)}.{identifier(_table('Session'))}"),
        "item_text": literal(f"{identifier(schema)}.{identifier(_table('SessionItem'))}"),
        "schema_text": literal(schema),
        "partitions": identifier(partitions_schema(schema)),
        "partitions_text": literal(partitions_schema(schema)),
        "document": document,
        "document_text": literal(document),
        "default": default,
        "default_name": identifier(_default()),
        "default_text": literal(default),
        "sequence": sequence,
        "sequence_text": literal(sequence),
        "names": _texts(PROMOTED),
        "new_columns": _object(lambda name: f"new.{identifier(name)}"),
        "old_columns": _object(lambda name: f"old.{identifier(name)}"),
        "view": literal(_VIEW),
        "partition": _PARTITION,
        "sum": literal(_SUM),
        "now": _TIME % "(now() at time zone 'UTC')",
        "failed": literal(FAILED),
        "fields": _object(lambda name: f"v_data -> {literal(name)}"),
        "columns": columns,
        "columns_text": literal(columns),
        "fields_text": literal(fields),
        "max_bytes": str(codec.MAX_COLUMN_BYTES),
        "prefix_bytes": str(codec.MAX_COLUMN_BYTES - _DIGEST_BYTES),
        "casts": _casts(),
        "grants": _GRANTS,
        "roles": _texts(_ROLES),
        "role_names": ", ".join(_ROLES),
    }


def _object(value: Callable[[str], str]) -> str:
    """Return SQL for a JSON object of the promoted fields."""
    pairs = ", ".join(f"{literal(name)}, {value(name)}" for name in PROMOTED)
    return f"jsonb_build_object({pairs})"


def _casts() -> str:
    rows = (
        f"({literal(target)}::regtype, {literal(source)}::regtype, {literal(template)})"
        for target, source, template in _CASTS
    )
    return f"(values {', '.join(rows)}) casts (target, source, template)"
