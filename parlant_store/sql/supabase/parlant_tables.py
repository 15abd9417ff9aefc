"""The tables of Parlant's own adapter for Supabase."""

from parlant_store.types import FAILED

_NAME_BYTES = 63
PREFIXES = {
    "parlant_sessions_": ("sessions", "events"),
    "parlant_customers_": ("customers", "customer_tag_associations"),
    "parlant_context_variables_": ("variables", "variable_tag_associations", "values"),
}
"""The prefixes of Parlant's stores on Supabase, each with its collections, the main one first."""


def documented_tables() -> dict[str, str]:
    """Return the tables in the guide of Parlant's Supabase adapter, each with its collection.

    The table of the main collection has the prefix as its name.
    """
    tables = {}
    for prefix, (main, *others) in PREFIXES.items():
        tables[prefix] = prefix + main
        tables[f"{prefix}{FAILED}"] = prefix + main + FAILED
        tables[f"{prefix}metadata"] = f"{prefix}metadata"
        for name in others:
            tables[prefix + name] = prefix + name
            tables[prefix + name + FAILED] = prefix + name + FAILED
    return {truncated(table): collection for table, collection in tables.items()}


def truncated(table: str) -> str:
    """Return the name as PostgreSQL truncates it."""
    return table.encode()[:_NAME_BYTES].decode(errors="ignore")
