"""The SQL functions of the tables on PostgreSQL."""

from parlant_store.sql.functions.scripts import (
    LIMITS,
    MAX_DELETED,
    MAX_DISTANCE,
    OWNER_CLAIM,
    ROW_BYTES,
    UNCHECKED,
    CreateFunctions,
    functions_sql,
    names,
    signatures,
    version,
)

__all__ = [
    "LIMITS",
    "MAX_DELETED",
    "MAX_DISTANCE",
    "OWNER_CLAIM",
    "ROW_BYTES",
    "UNCHECKED",
    "CreateFunctions",
    "functions_sql",
    "names",
    "signatures",
    "version",
]
