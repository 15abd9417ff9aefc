"""The tables that Parlant's own Supabase adapter and selectools have their users make."""

LOADED = {
    "parlant_sessions_": "parlant_sessions_sessions",
    "parlant_sessions_metadata": "parlant_sessions_metadata",
    "parlant_sessions_events": "parlant_sessions_events",
    "parlant_customers_": "parlant_customers_customers",
    "parlant_customers_metadata": "parlant_customers_metadata",
    "parlant_customers_customer_tag_associations": "parlant_customers_customer_tag_associations",
    "parlant_context_variables_": "parlant_context_variables_variables",
    "parlant_context_variables_metadata": "parlant_context_variables_metadata",
    "parlant_context_variables_variable_tag_associations": (
        "parlant_context_variables_variable_tag_associations"
    ),
    "parlant_context_variables_values": "parlant_context_variables_values",
}
"""Each table of documents with the collection that it holds."""

LONGEST = "parlant_context_variables_variable_tag_associations_failed_migrations"
FAILED = {
    f"{table}_failed_migrations": f"{collection}_failed_migrations"
    for table, collection in LOADED.items()
    if not table.endswith("metadata")
}
"""Each table of failed migrations; PostgreSQL keeps 63 bytes of the longest name."""

ALL = LOADED | FAILED
SELECTOOLS = "selectools_sessions"


def tables_sql() -> str:
    """The tables with their indexes, row level security and open policies."""
    parts = []
    for table in LOADED:
        parts.append(
            f"create table if not exists {table} (id text not null primary key, version text,"
            " creation_utc text, session_id text, customer_id text, agent_id text,"
            " data jsonb not null default '{}'::jsonb)"
        )
        parts.append(f"create index on {table} (creation_utc)")
        if not table.endswith("metadata"):
            parts.append(f"create index on {table} using gin (data)")
        if table.endswith(("_", "events")):
            parts.append(f"create index on {table} (session_id) where session_id is not null")
    for table in FAILED:
        parts.append(f"create table {table} (id text, data jsonb default '{{}}'::jsonb)")
    for table in ALL:
        parts.append(f"alter table {table} enable row level security")
        parts.append(
            f'create policy "All of {table[:50]}" on {table} for all using (true) with check (true)'
        )
    return ";\n".join(parts)


SELECTOOLS_SQL = f"""
create table public.{SELECTOOLS} (
    session_id text primary key,
    memory_json jsonb not null,
    message_count integer not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
alter table public.{SELECTOOLS} enable row level security"""
