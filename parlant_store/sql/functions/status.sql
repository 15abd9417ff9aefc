-- The functions that manage.py supabase_check calls over HTTP.

-- Returns the version of the functions, the role of the caller, the server's time and version, and
-- the tables and functions. "may" has the privileges of the caller on a table, and the roles among
-- the caller, anon and authenticated that may call a function. "open_to" has the roles among anon
-- and authenticated that grants and policies admit to a table. "open" has the other tables of the
-- schema that these roles can read without row level security.
create or replace function {in_schema}parlant_store_status()
returns json language sql stable{search_path} as $$
    with roles (role, id, guest) as (
        select rolname, oid, rolname in ('anon', 'authenticated') from pg_roles
        where rolname in ('anon', 'authenticated', current_user)
    ),
    tables (oid, name, own, secured) as (
        select c.oid, c.oid::regclass::text, own, relrowsecurity
        from pg_class c join pg_namespace n on n.oid = relnamespace
        cross join lateral (
            select nspname = current_schema() and relname like 'parlant\_store\_%' or exists (
                select from pg_partition_ancestors(c.oid) as ancestors (id)
                where relispartition and id::text like 'parlant\_store\_%'
            )
        ) as ours (own)
        where relkind in ('r', 'p') and (own or nspname = current_schema())
    ),
    rights as (
        select tables.oid, roles.*, verb
        from tables, roles, unnest(array['select', 'insert', 'update', 'delete']) as verb
        where case verb
            when 'delete' then has_table_privilege(id, oid, verb)
            else has_any_column_privilege(id, oid, verb)
        end
    ),
    opened (oid, roles) as (
        select oid, array_agg(distinct role order by role)
        from tables join rights using (oid)
        where guest and (not secured or exists (
            select from pg_policy
            where polrelid = tables.oid and (polroles = '{0}' or id = any (polroles))
        ))
        group by oid
    )
    select json_build_object(
        'version', parlant_store_version(),
        'role', current_user,
        'now', extract(epoch from clock_timestamp()),
        'postgresql', current_setting('server_version'),
        'tables', (
            select coalesce(json_agg(json_build_object(
                'name', name,
                'secured', secured,
                'policies', array(
                    select polname from pg_policy where polrelid = tables.oid order by polname
                ),
                'may', array(
                    select verb from rights
                    where rights.oid = tables.oid and role = current_user order by verb
                ),
                'open_to', coalesce(roles, '{}')
            ) order by name), '[]')
            from tables left join opened using (oid) where own
        ),
        'functions', (
            select coalesce(json_agg(json_build_object(
                'name', proname,
                'may', array(
                    select role from roles
                    where has_function_privilege(id, p.oid, 'execute') order by role
                )
            ) order by proname), '[]')
            from pg_proc p join pg_namespace n on n.oid = pronamespace
            where nspname = current_schema() and proname like 'parlant\_store\_%'
        ),
        'open', array(
            select name from tables join opened using (oid)
            where not own and not secured order by name
        )
    )
$$;

-- Returns more rows than Supabase returns in one answer by default.
create or replace function {in_schema}parlant_store_rows()
returns setof int language sql stable{search_path} rows 10001 as $$
    select generate_series(1, 10001)
$$;
