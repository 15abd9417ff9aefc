"""What there is in a database besides rows."""

from tests.sql.supabase.databases import Database

# Each lists what the schema %(schema)s has, save what Django notes of its migrations.
STRUCTURE = {
    "columns": """
        select relname, relkind, relpersistence, reloptions, attnum, attname, attnotnull,
            format_type(atttypid, atttypmod), attidentity, attgenerated, attstorage,
            attcompression, collname, pg_get_expr(adbin, adrelid), col_description(c.oid, attnum)
        from pg_class c join pg_attribute a on attrelid = c.oid
        left join pg_attrdef d on adrelid = c.oid and adnum = attnum
        left join pg_collation l on l.oid = attcollation
        where relnamespace = to_regnamespace(quote_ident(%(schema)s)) and attnum > 0
            and relkind <> 'i' and not attisdropped and relname not like 'django%%'""",
    "sequences": """
        select sequencename, data_type, start_value, min_value, max_value, increment_by, cycle,
            cache_size
        from pg_sequences where schemaname = %(schema)s and sequencename not like 'django%%'""",
    "indexes": """
        select indexdef, indisprimary, indisunique, indisvalid
        from pg_indexes join pg_index on indexrelid = format('%%I.%%I', schemaname, indexname)
            ::regclass where schemaname = %(schema)s and tablename not like 'django%%'""",
    "constraints": """
        select conrelid::regclass::text, conname, contype, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = to_regnamespace(quote_ident(%(schema)s))
            and conrelid::regclass::text not like '%%django%%'""",
    # Supabase wants them to fix their search_path; those of migrate follow the caller's, and none
    # runs as its owner before a script of the policies closed it.
    "functions": """
        select regexp_replace(
            pg_get_functiondef(oid), E'\\n (SET search_path TO [^\\n]*|SECURITY DEFINER)', '', 'g')
        from pg_proc
        where pronamespace = to_regnamespace(quote_ident(%(schema)s))""",
    "triggers": """
        select pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = tgrelid
        where relnamespace = to_regnamespace(quote_ident(%(schema)s)) and not tgisinternal""",
    "types": """
        select typname, typtype from pg_type
        where typnamespace = to_regnamespace(quote_ident(%(schema)s))
            and typname not like '%%django%%'""",
}
SECURITY = {
    "relations": """
        select relname, relacl::text, relrowsecurity, relforcerowsecurity, relreplident
        from pg_class
        where relnamespace = to_regnamespace(quote_ident(%(schema)s))
            and relname not like 'django%%'""",
    "functions": """
        select oid::regprocedure::text, proacl::text, prosecdef from pg_proc
        where pronamespace = to_regnamespace(quote_ident(%(schema)s))""",
    "policies": "select p.* from pg_policies p where schemaname = %(schema)s",
    "published": "select t.* from pg_publication_tables t where schemaname = %(schema)s",
    "defaults": "select defaclrole, defaclnamespace, defaclacl::text from pg_default_acl",
    "schemas": """
        select nspname, nspacl::text from pg_namespace where nspname not like 'pg\\_%%'""",
    "extensions": "select extname from pg_extension",
    "functions everywhere": """
        select pg_get_functiondef(oid), proacl::text from pg_proc
        where prokind = 'f' and pronamespace not in (
            'pg_catalog'::regnamespace, 'information_schema'::regnamespace)""",
}


def catalog(
    database: Database, schema: str = "public", queries: dict[str, str] = STRUCTURE
) -> dict[str, list[str]]:
    """What the queries find, sorted."""
    return {
        name: sorted(map(repr, database.execute(query, {"schema": schema}).fetchall()))
        for name, query in queries.items()
    }


def differences(one: dict[str, list[str]], other: dict[str, list[str]]) -> list[str]:
    """What only one of the catalogs has."""
    return sorted(f"{kind} {row}" for kind in one for row in set(one[kind]) ^ set(other[kind]))


def everything(database: Database, schema: str = "public") -> dict[str, list[str]]:
    return catalog(database, schema) | catalog(
        database, schema, {f"security: {name}": query for name, query in SECURITY.items()}
    )
