-- Converts tables of selectools to sessions of the store, with an item for each message. A key
-- "namespace:id" is split at its first colon. The table itself moves, unchanged, to the schema of
-- the partitions, which the API does not expose. A row whose session exists in the store remains
-- there only, and a warning has its key.
create schema if not exists {partitions};
do {quote}
declare
    -- Lowercases the letters of all scripts, which the collation of the database may not do.
    v_collation text := coalesce((
        select format('%I.%I', nspname, collname)
        from pg_collation join pg_namespace n on n.oid = collnamespace
        where collname in ('und-x-icu', 'pg_c_utf8', 'C.utf8', 'en_US.utf8')
        order by array_position(array['pg_c_utf8', 'und-x-icu', 'C.utf8'], collname::text) limit 1
    ), 'pg_catalog."default"');
    v_name text;
    v_table regclass;
    v_problem text;
    v_rows bigint;
    v_messages bigint;
    v_sessions bigint;
    v_items bigint;
    v_taken text[];
    v_statement text;
begin
    foreach v_name in array array[{sessions_tables}] loop
        v_table := to_regclass(format('%I.%I', {schema_text}, v_name));
        continue when not exists (
            select from pg_class where oid = v_table and relkind = 'r' and not relispartition
        ) or not exists (
            select from pg_attribute where attrelid = v_table and attname = 'memory_json'
        ) or exists (
            select from pg_attribute where attrelid = v_table and attname = 'data'
        );
        select string_agg(name, ', ') into v_problem
        from unnest(array['session_id', 'created_at', 'updated_at']) name where not exists (
            select from pg_attribute where attrelid = v_table and attname = name
        );
        if v_problem is not null then
            raise exception '% cannot be adopted: it has no column %', v_table, v_problem;
        end if;
        execute format('lock table %s in access exclusive mode', v_table);
        execute format('select quote_literal(session_id) from %s'
            ' where jsonb_typeof(memory_json::jsonb) is distinct from ''object'' limit 1', v_table)
            into v_problem;
        if v_problem is not null then
            raise exception '% cannot be adopted: memory_json of % must be a JSON object',
                v_table, v_problem;
        end if;
        execute format($sql$
            with originals as (
                select session_id::text as full_key, memory_json::jsonb as memory,
                    created_at::timestamptz, updated_at::timestamptz
                from %1$s
            ), named as (
                select *,
                    case when is_split then left(full_key, colon - 1) else '' end as namespace,
                    case when is_split then substr(full_key, colon + 1) else full_key end as id
                from originals
                cross join lateral (select position(':' in full_key)) as p (colon)
                cross join lateral (select colon > 1 and colon < length(full_key)) as s (is_split)
            ), columns as (
                select *, {namespace} as namespace_column, {session_id} as id_column, (
                    select json_object_agg(name, value)::text
                    from (values ('namespace', namespace), ('session_id', id)) n (name, value)
                    where octet_length({escaped}) > {max_bytes}
                ) as full_names, case
                    when jsonb_typeof(memory -> 'messages') <> 'array' then null
                    when not exists (
                        select from jsonb_array_elements(memory -> 'messages') message
                        where jsonb_typeof(message) <> 'object'
                    ) then memory -> 'messages'
                end as messages, memory ? 'max_messages' as is_memory
                from named
            ), new_sessions as (
                insert into %2$s (
                    namespace, session_id, full_names, metadata, state, next_position, item_count,
                    failed_calls, created_at, updated_at
                )
                select namespace_column, id_column, full_names, '{{}}', case
                    when messages is null then
                        jsonb_build_object('selectools', 'dict', 'data', memory)
                    when is_memory then (memory - 'messages') || '{{"selectools": "memory"}}'
                    else jsonb_build_object(
                        'selectools', 'dict', 'data', memory - 'messages', 'messages', true
                    )
                end, count, count, 0, created_at, updated_at
                from columns
                cross join lateral (select coalesce(jsonb_array_length(messages), 0)) n (count)
                order by created_at, full_key
                on conflict (namespace, session_id) do nothing
                returning key, namespace, session_id
            ), sessions as (
                select new.key, columns.* from new_sessions new
                join columns on (namespace_column, id_column) = (new.namespace, new.session_id)
            ), items as (
                select key, ord - 1 as position, updated_at, case when is_memory then coalesce((
                    select jsonb_object_agg(name, value) from jsonb_each(message) as f (name, value)
                    where value <> 'null'
                ), '{{}}') else message end as item
                from sessions
                cross join lateral
                    jsonb_array_elements(messages) with ordinality as m (message, ord)
            ), texts as (
                select *, case
                    when jsonb_typeof(item -> 'role') = 'string' then item ->> 'role'
                    when jsonb_typeof(item -> 'type') = 'string' then item ->> 'type'
                end as role, case when jsonb_typeof(item -> 'role') = 'string' then
                    case jsonb_typeof(item -> 'content') when 'string' then item ->> 'content'
                    when 'array' then (
                        select coalesce(string_agg(part ->> 'text', chr(10) order by ord), '')
                        from jsonb_array_elements(item -> 'content') with ordinality p (part, ord)
                        where jsonb_typeof(part -> 'text') = 'string'
                    ) end
                end as text from items
            ), new_items as (
                insert into %3$s (session_key, position, role, text, data, terms, created_at)
                select key, position, role, text, item::text, (
                    select string_agg(word || ':' || place, ' ')::tsvector from (
                        select substr(match[1], start, {max_word}) as word,
                            row_number() over (order by ord, start) as place
                        from regexp_matches(
                            case when octet_length(text) = length(text)
                            then lower(left(text, {max_text}) collate "C")
                            else regexp_replace({folded}, {alone}, ' \1 ', 'g') end,
                            case when octet_length(text) = length(text) then '[a-z0-9_]+'
                            else {word} end, 'g'
                        ) with ordinality as m (match, ord)
                        cross join lateral
                            generate_series(1, length(match[1]), {max_word}) as start
                    ) words where place <= {max_words} and role in ('user', 'assistant')
                ), updated_at
                from texts
                returning 1
            )
            select (select count(*) from originals), (select count(*) from new_sessions),
                (select coalesce(sum(jsonb_array_length(messages)), 0) from sessions),
                (select count(*) from new_items),
                array(select full_key from columns where (namespace_column, id_column) not in (
                    select namespace, session_id from new_sessions
                ) order by full_key)
        $sql$, v_table, {session_text}::regclass, {item_text}::regclass, v_collation)
            into v_rows, v_sessions, v_messages, v_items, v_taken;
        if (v_sessions + cardinality(v_taken), v_items) <> (v_rows, v_messages) then
            raise exception '% cannot be adopted: % rows with % messages became % sessions with %'
                ' items', v_table, v_rows, v_messages, v_sessions, v_items;
        end if;
        -- Tables cannot be altered while checks of inserted rows are deferred.
        set constraints all immediate;
        for v_statement in
            select format('drop policy %I on %s', polname, v_table)
            from pg_policy where polrelid = v_table
            union all
            values (format('alter table %s enable row level security', v_table)),
                (format('revoke all on table %s from public, {role_names}', v_table)),
                (format('create policy parlant_store_service on %s for all to service_role'
                    ' using (true) with check (true)', v_table)),
                (format('alter table %s set schema %I', v_table, {partitions_text}))
        loop
            execute v_statement;
        end loop;
        raise notice '%: % rows are sessions of the store, with % items',
            v_name, v_sessions, v_items;
        if v_taken <> '{{}}' then
            raise warning '%: % of % rows have the id of a session of the store, and remain in %:'
                ' %', v_name, cardinality(v_taken), v_rows, v_table,
                array_to_string(v_taken[:20], ', ') || case when v_taken[21] is null then ''
                    else ' ...' end;
        end if;
    end loop;
end
{quote};
