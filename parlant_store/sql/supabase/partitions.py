"""The documents' table partitioned by collection, rendered with no server.

A collection that has a partition can be read and written by its name over the REST API, with
the columns that repeat fields of its documents. All documents are in the one table of the
model all the same.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from importlib import resources

from django.apps import apps
from django.db.migrations.recorder import MigrationRecorder

from parlant_store import codec
from parlant_store.sql.supabase.access import POLICIES, SESSIONS_COLLECTION
from parlant_store.sql.supabase.policies import document_policies_sql
from parlant_store.sql.supabase.schema import dollars, identifier, literal
from parlant_store.types import PROMOTED

_APP = "parlant_store"
_NAME_BYTES = 63
_ROLES = ("anon", "authenticated", "service_role")
_DIGEST_BYTES = 66
"""How many bytes codec.to_column puts after the beginning of a long text."""

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
"""The types of documents' columns, the others that they are made of, and how in SQL's format."""

_GRANTS = """
            select privilege_type as privilege, a.grantee::regrole as grantee
            from pg_class, aclexplode(relacl) a where oid = v_document and a.grantee <> 0
            union all
            select format('%s (%I)', privilege_type, attname), a.grantee::regrole
            from pg_attribute, aclexplode(attacl) a
            where attrelid = v_document and a.grantee <> 0 and not attisdropped
        """


def partitions_sql(schema: str, collections: Sequence[str], *, adopt: bool = False) -> str:
    """Makes each of ``collections`` a partition, after ``tables_sql`` made the tables.

    It is in ``partitions_schema``; in ``schema`` a view has its name, with the promoted columns
    and data, that takes inserts, updates and deletes. The rest is in a default partition.
    Partitions that are there are left alone, and nothing is granted: ``partition_policies_sql``
    does that. With ``adopt``, a table of the name that is there already keeps its rows and
    becomes the partition, if its columns allow it. Raises ValueError for a name that no partition
    can have.
    """
    names = list(dict.fromkeys(collections))
    if not names:
        raise ValueError("No collection is named")
    for name in names:
        _check(name)
    files = ["partitioning", "completion", *(["adoption"] if adopt else []), "partitions"]
    terms = {"collections": _texts(names), "adopt": str(adopt).lower()}
    return "\n".join(_rendered(file, schema, terms) for file in files)


def partition_policies_sql(
    *,
    schema: str,
    policy: str,
    owner_claim: str | None = None,
    sessions_collection: str = SESSIONS_COLLECTION,
) -> str:
    """The policies of documents for each partition that is there, granted to the same roles.

    It is for after ``policies_sql`` with the same arguments; it does nothing to documents that
    are not partitioned. Raises ValueError when an argument is wrong.
    """
    policies = document_policies_sql(
        schema=schema,
        table=_default(),
        policy=policy,
        owner_claim=owner_claim,
        sessions_collection=sessions_collection,
    )
    return _rendered("partition_policies", schema, {"policies": literal(policies)})


def partitions_schema(schema: str) -> str:
    """Where the partitions are of the documents' table in ``schema``."""
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
    """The names of the tables that Django has, or would have."""
    models = apps.get_models(include_auto_created=True)
    return {MigrationRecorder.Migration._meta.db_table, *(model._meta.db_table for model in models)}


def _document() -> str:
    return str(apps.get_model(_APP, "Document")._meta.db_table)


def _default() -> str:
    return f"{_document()}_default"


def _texts(names: Sequence[str]) -> str:
    return ", ".join(map(literal, names))


def _rendered(file: str, schema: str, terms: dict[str, str]) -> str:
    """The text of the .sql file, with what it names."""
    terms = _terms(schema) | terms
    terms["quote"] = dollars("".join(terms.values()))
    text = resources.files(__package__).joinpath(f"{file}.sql").read_text("utf-8")
    return text.format_map(terms)


def _terms(schema: str) -> dict[str, str]:
    document, default, sequence = (
        f"{identifier(schema)}.{identifier(name)}"
        for name in (_document(), _default(), f"{_document()}_key_seq")
    )
    columns = _object(identifier)
    fields = _object(lambda name: f"data -> {literal(name)}")
    return {
        "schema": identifier(schema),
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
        "own_policies": _texts([f"{_APP}_{policy}" for policy in POLICIES]),
        "names": _texts(PROMOTED),
        "new_columns": _object(lambda name: f"new.{identifier(name)}"),
        "old_columns": _object(lambda name: f"old.{identifier(name)}"),
        "view_columns": ", ".join(map(identifier, (*PROMOTED, "data"))),
        "fields": _object(lambda name: f"v_data -> {literal(name)}"),
        "columns_text": literal(columns),
        "fields_text": literal(fields),
        "max_bytes": str(codec.MAX_COLUMN_BYTES),
        "kept_bytes": str(codec.MAX_COLUMN_BYTES - _DIGEST_BYTES),
        "casts": _casts(),
        "grants": _GRANTS,
        "roles": _texts(_ROLES),
        "role_names": ", ".join(_ROLES),
    }


def _object(value: Callable[[str], str]) -> str:
    """A JSON object of the fields that are columns too."""
    pairs = ", ".join(f"{literal(name)}, {value(name)}" for name in PROMOTED)
    return f"jsonb_build_object({pairs})"


def _casts() -> str:
    rows = (
        f"({literal(to)}::regtype, {literal(given)}::regtype, {literal(template)})"
        for to, given, template in _CASTS
    )
    return f"(values {', '.join(rows)}) casts (target, source, template)"
