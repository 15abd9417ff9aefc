"""What Supabase's linter refuses, asked of the catalog of a plain PostgreSQL.

The rules are those of splinter (https://github.com/supabase/splinter), by their numbers.
"""

from dataclasses import dataclass
from typing import Any

UNAVOIDABLE: dict[str, set[str]] = {
    "service": set(),
    "owner": {"0027"},
    "open": {"0024", "0026", "0027"},
}
"""What is found all the same, by policy: what users read by its name, pg_graphql shows to them."""

READ_BY_USERS = frozenset(
    f"public.parlant_store_{table}"
    for table in (
        "channel_value",
        "checkpoint",
        "checkpoint_write",
        "session",
        "session_item",
        "thread",
        "thread_message",
    )
)
"""The tables that pg_graphql shows to users with the policy "owner", besides documents."""

SYSTEM = ("pg_catalog", "information_schema", "pg_toast", "auth")


@dataclass(frozen=True, order=True)
class Finding:
    rule: str
    object: str


def findings(cursor: Any, exposed_schemas: tuple[str, ...] = ("public",)) -> list[Finding]:
    """What each rule finds, in order; ``exposed_schemas`` are those of the Data API."""
    cursor.execute("set search_path to ''")
    found = []
    for rule, sql in RULES.items():
        cursor.execute(
            f"with {_VIEWS} {sql}", {"exposed": list(exposed_schemas), "system": list(SYSTEM)}
        )
        found += [Finding(rule, str(name)) for (name,) in cursor.fetchall()]
    cursor.execute("reset search_path")
    return sorted(set(found))


# A table's policies with who they are for and what they say; auth stands before its functions
# because it is not in the search path.
_VIEWS = """
relations as (
    select c.oid, c.oid::regclass as name, relkind, relrowsecurity, reloptions,
        nspname = any (%(exposed)s) as exposed,
        has_any_column_privilege('anon', c.oid, 'select')
            or has_any_column_privilege('authenticated', c.oid, 'select') as readable
    from pg_class c join pg_namespace n on n.oid = relnamespace
    where nspname <> all (%(system)s) and relkind in ('r', 'p', 'v')
),
tables as (select * from relations where relkind in ('r', 'p')),
policies as (
    select t.*, polname, polpermissive, polcmd, polroles,
        pg_get_expr(polqual, polrelid) as read, pg_get_expr(polwithcheck, polrelid) as written
    from pg_policy join tables t on t.oid = polrelid
),
functions as (
    select p.oid, p.oid::regprocedure as name, prosecdef, proconfig,
        nspname = any (%(exposed)s) as exposed
    from pg_proc p join pg_namespace n on n.oid = pronamespace
    where nspname <> all (%(system)s) and not exists (
        select from pg_depend
        where classid = 'pg_proc'::regclass and objid = p.oid and deptype = 'e'
    )
)
"""

_ASKS = r"(auth\.(uid|jwt|role|email)|current_setting)\("
_ALWAYS = r"('true', '1 = 1', '(1 = 1)')"


def _callable(role: str) -> str:
    return (
        "select name from functions where exposed and prosecdef"
        f" and has_function_privilege('{role}', oid, 'execute')"
    )


def _shown(role: str) -> str:
    """Where pg_graphql is installed: it shows the names and columns of what the role may read."""
    return (
        "select c.oid::regclass from pg_class c join pg_namespace n on n.oid = relnamespace"
        " where nspname <> all (%(system)s) and relkind in ('r', 'v', 'm', 'f')"
        f" and has_any_column_privilege('{role}', c.oid, 'select')"
    )


RULES = {
    "0001": """
        select conname || ' of ' || name from pg_constraint join tables t on t.oid = conrelid
        where contype = 'f' and not exists (
            select from pg_index where indrelid = conrelid and indisvalid
            and (string_to_array(indkey::text, ' ')::int2[])[:cardinality(conkey)] = conkey
        )""",
    "0003": f"""
        select polname || ' on ' || name from policies
        where regexp_replace(lower(concat(read, ' ', written)), 'select {_ASKS}', '', 'g')
            ~ '{_ASKS}'""",
    "0004": """
        select name from tables t where relkind = 'r'
        and not exists (select from pg_index where indrelid = t.oid and indisprimary)""",
    "0006": """
        select rolname || ', ' || command || ' on ' || name
        from policies join pg_roles r on r.oid = any (polroles) or polroles = '{0}'
        cross join lateral unnest(
            case polcmd when '*' then array['r', 'a', 'w', 'd'] else array[polcmd::text] end
        ) command
        where polpermissive and rolname not like 'pg\\_%%' and not rolbypassrls
        group by name, rolname, command having count(*) > 1""",
    "0007": "select distinct name from policies where not relrowsecurity",
    "0008": """
        select name from tables t where relrowsecurity
        and not exists (select from pg_policy where polrelid = t.oid)""",
    "0009": """
        select string_agg(indexname, ', ' order by indexname)
        from pg_indexes where schemaname <> all (%(system)s)
        group by schemaname, tablename, replace(indexdef, indexname, '') having count(*) > 1""",
    "0010": """
        select name from relations where relkind = 'v' and readable
        and coalesce(array_to_string(reloptions, ' '), '') !~ 'security_invoker=(1|true|yes|on)'
        """,
    "0011": """
        select name from functions
        where coalesce(array_to_string(proconfig, E'\\n'), '') !~ '(^|\\n)search_path='""",
    "0013": "select name from tables where exposed and not relrowsecurity",
    "0014": """
        select extname from pg_extension join pg_namespace n on n.oid = extnamespace
        where nspname = 'public'""",
    "0015": """
        select polname || ' on ' || name from policies
        where concat(read, ' ', written) ~ '(auth\\.jwt|current_setting)\\(.*user_metadata'""",
    "0023": """
        select distinct name from tables t join pg_attribute on attrelid = t.oid
        where exposed and readable and not relrowsecurity and replace(lower(attname), '-', '_') in (
            'session_id', 'session_key', 'token', 'access_token', 'refresh_token', 'jwt', 'secret',
            'password', 'api_key'
        )""",
    "0024": f"""
        select polname || ' on ' || name from policies
        where relrowsecurity and polpermissive
            and (polroles = '{{0}}' or polroles && array['anon', 'authenticated']::regrole[]::oid[])
            and (
                (polcmd in ('w', 'd', '*') and coalesce(read, 'true') in {_ALWAYS})
                or written in {_ALWAYS}
                or (polcmd = 'a' and written is null)
            )""",
    "0026": _shown("anon"),
    "0027": _shown("authenticated"),
    "0028": _callable("anon"),
    "0029": _callable("authenticated"),
}
