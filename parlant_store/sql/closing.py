"""Closes tables and functions that ``migrate`` creates to the public roles of a Supabase project.

In older projects, default privileges grant these roles all that is created in the schema public.
What ``supabase_sql`` and ``supabase_rls`` have opened is not changed.
"""

from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

# The script of the policies was run on a table if the table has the policy of the service role, and
# on a function if its search_path is fixed.
_OPEN = r"""
WITH guests (role) AS (
    SELECT oid FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
), own (oid) AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = current_schema() AND relkind IN ('r', 'p')
        AND relname LIKE 'parlant\_store\_%'
), tables (oid, owner, secured, scripted) AS (
    SELECT c.oid, relowner, relrowsecurity, EXISTS (
        SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = 'parlant_store_service'
    ) FROM pg_class c WHERE relkind IN ('r', 'p') AND (
        oid IN (SELECT oid FROM own)
        OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent IN (SELECT oid FROM own))
    )
), open (kind, name, owner) AS (
    SELECT 'table', oid::regclass::text, owner FROM tables
    WHERE EXISTS (SELECT FROM guests) AND (NOT secured OR NOT scripted AND EXISTS (
        SELECT FROM guests
        WHERE has_any_column_privilege(role, oid, 'select, insert, update, references')
            OR has_table_privilege(role, oid, 'delete, truncate, trigger')
    ))
    UNION ALL
    SELECT 'sequence', s.oid::regclass::text, owner
    FROM tables JOIN pg_depend ON refclassid = 'pg_class'::regclass AND refobjid = tables.oid
    JOIN pg_class s ON classid = 'pg_class'::regclass AND s.oid = objid AND s.relkind = 'S'
    WHERE NOT scripted AND EXISTS (
        SELECT FROM guests WHERE has_sequence_privilege(role, s.oid, 'usage, select, update')
    )
    UNION ALL
    SELECT 'routine', p.oid::regprocedure::text, proowner
    FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
    WHERE nspname = current_schema() AND proname LIKE 'parlant\_store\_%'
        AND (
            prosecdef
            OR coalesce(array_to_string(proconfig, ','), '') !~ '(^|,)search_path='
        )
        AND EXISTS (SELECT FROM guests WHERE has_function_privilege(role, p.oid, 'execute'))
)
SELECT kind, name, pg_has_role(owner, 'usage') AS is_own FROM open
"""

CLOSE = f"""DO $$
DECLARE
    v_kind text;
    v_name text;
    v_guests text := (
        SELECT string_agg(rolname, ', ') FROM pg_roles WHERE rolname IN ('anon', 'authenticated')
    );
BEGIN
    FOR v_kind, v_name IN SELECT kind, name FROM ({_OPEN}) open WHERE is_own LOOP
        IF v_kind = 'table' THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', v_name);
        END IF;
        EXECUTE format('REVOKE ALL ON %s %s FROM public, %s', v_kind, v_name, v_guests);
    END LOOP;
END $$;"""
"""The statement that closes what is open."""


class Open(NamedTuple):
    """A table, sequence or function that anon or authenticated may use but should not."""

    kind: str
    name: str
    is_own: bool
    """Whether the user of the connection may close it."""


def find_open(connection: BaseDatabaseWrapper) -> list[Open]:
    """Return what is open in the schema of the connection; only on PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN)
        return sorted(Open(*row) for row in cursor.fetchall())
