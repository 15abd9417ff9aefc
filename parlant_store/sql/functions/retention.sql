-- Removing what a rule keeps no longer, in steps of one pass over a table. p_rule is an object:
-- with "documents" true documents are meant, else sessions; "namespace" or "collection", unless
-- null, narrows it; what is meant began at "began" or before ("began_text" says that time as
-- creation_utc does) and was last written to at "written" or before, as far as these are not
-- null. With neither, what has expired by "now" is meant, else what has not. A step begins
-- after the place p_after, looks at p_examine rows at most and finds p_limit of them at most.

-- The condition on a row's own columns that p_rule is; true when what has expired is meant.
create or replace function {in_schema}parlant_store_is_old(p_rule jsonb)
returns text language sql immutable{search_path} as $$
    select case
        when coalesce(p_rule ->> 'began', p_rule ->> 'written') is null then 'true'
        else concat_ws(' and ',
            format('(expires_at is null or expires_at > %L)', p_rule ->> 'now'),
            case
                when p_rule ->> 'began' is null then null
                when (p_rule ->> 'documents')::boolean then format(
                    'case when creation_utc ~ ''^[0-9]{4}-'' then creation_utc <= %L'
                    ' else updated_at <= %L end',
                    p_rule ->> 'began_text', p_rule ->> 'began'
                )
                else format('created_at <= %L', p_rule ->> 'began')
            end,
            case when p_rule ->> 'written' is not null then
                format('updated_at <= %L', p_rule ->> 'written')
            end
        )
    end
$$;

-- The condition beside it that keeps the documents of a Parlant session together.
create or replace function {in_schema}parlant_store_is_whole(p_rule jsonb)
returns text language plpgsql stable{search_path} as $$
declare
    v_beside text;
    v_condition text := 'true';
begin
    -- Each collection with that of the sessions to which its documents belong.
    select format(
        'unnest(%L::text[], %L::text[]) beside (name, sessions)',
        coalesce(array_agg(collection), '{}'), coalesce(array_agg(prefix || 'sessions'), '{}')
    ) into v_beside from parlant_store_prefixes();
    if p_rule ->> 'written' is not null then
        v_condition := format(
            '(d.collection not like ''%%sessions'' or not exists ('
            'select from %s join parlant_store_document part'
            ' on part.collection = beside.name and part.session_id = d.id'
            ' where beside.sessions = d.collection and part.key <> d.key'
            ' and part.updated_at > %L))',
            v_beside, p_rule ->> 'written'
        );
    end if;
    if p_rule ->> 'collection' is null then
        v_condition := v_condition || format(
            ' and d.collection not like ''%%metadata'' and not exists ('
            'select from %s join parlant_store_document s'
            ' on s.collection = beside.sessions and s.id = d.session_id'
            ' where beside.name = d.collection and s.key <> d.key)',
            v_beside
        );
    end if;
    return v_condition;
end $$;

-- Takes a step: returns the keys of what it finds, and where the next begins; null: nowhere.
-- It walks an index, whatever the planner thinks of reading all that is left and sorting it: each
-- step would do that again.
create or replace function {in_schema}parlant_store_due(
    p_rule jsonb, p_after jsonb, p_limit bigint, p_examine bigint,
    out v_keys bigint[], out v_after jsonb
) language plpgsql stable{search_path}
set enable_seqscan to off set enable_bitmapscan to off set enable_sort to off as $$
declare
    v_documents boolean := p_rule ->> 'documents';
    v_is_rule boolean := coalesce(p_rule ->> 'began', p_rule ->> 'written') is not null;
    v_is_versioned boolean := p_after is null or p_after ->> 0 is not null;
    v_due text := parlant_store_is_old(p_rule);
    v_place text := 'jsonb_build_array(key)';
    v_order text := 'key';
    v_where text := format('key > %L', coalesce(p_after ->> 0, '0'));
begin
    if not v_is_rule then
        v_place := 'jsonb_build_array(expires_at, key)';
        v_order := 'expires_at, key';
        v_where := format('expires_at <= %L', p_rule ->> 'now') || case
            when p_after is null then ''
            else format(' and (expires_at, key) > (%L, %L)', p_after ->> 0, p_after ->> 1)
        end;
    elsif v_documents and p_rule ->> 'collection' is not null then
        -- Those without a version come last, as in the index.
        v_place := 'jsonb_build_array(version, key)';
        v_order := 'version, key';
        v_where := format('collection = %L and ', p_rule ->> 'collection') || format(
            case when v_is_versioned then '(version, key) > (%L, %L)'
            else 'version is null and key > %2$L' end,
            coalesce(p_after ->> 0, ''), coalesce(p_after ->> 1, '0')
        );
    elsif p_rule ->> 'namespace' is not null then
        v_place := 'jsonb_build_array(session_id)';
        v_order := 'session_id';
        v_where := format(
            'namespace = %L and session_id > %L', p_rule ->> 'namespace',
            coalesce(p_after ->> 0, '')
        );
    end if;
    if v_documents and v_is_rule then
        v_due := v_due || ' and ' || parlant_store_is_whole(p_rule);
    end if;
    execute format(
        'select coalesce(array_agg(key) filter (where due), ''{}''),'
        ' case when count(*) = %1$L or max(n) = %2$L'
        ' then (array_agg(place order by n desc))[1] end'
        ' from (select * from ('
        'select key, %3$s as place, coalesce(%4$s, false) as due,'
        ' row_number() over (order by %5$s) as n'
        ' from (select * from %6$I d where %7$s order by %5$s limit %2$L) d'
        ') looked_at where due or n = %2$L limit %1$L) found',
        p_limit, p_examine, v_place, v_due, v_order,
        case when v_documents then 'parlant_store_document' else 'parlant_store_session' end,
        v_where
    ) into v_keys, v_after;
    if v_after is null and v_order = 'version, key' and v_is_versioned then
        v_after := '[null, 0]';
    end if;
end $$;

-- Takes a step and removes what it finds, with the items of sessions and the documents of
-- Parlant sessions; returns the sessions' names with how many items they had, how many
-- documents there were, where the next step begins (null: nowhere), and whether it hid sessions: those
-- with more than p_items items in all (null: none). What others hold, or have written to
-- meanwhile, stays.
create or replace function {in_schema}parlant_store_retire(
    p_rule jsonb, p_after jsonb, p_limit bigint, p_examine bigint, p_items bigint,
    out v_namespaces text[], out v_session_ids text[], out v_names text[],
    out v_items bigint[], out v_documents bigint, out v_after jsonb, out v_is_hidden boolean
) language plpgsql{search_path} set enable_seqscan to off as $$
declare
    v_keys bigint[];
    v_sessions bigint[];
    v_owners bigint[];
    v_parts bigint[];
    v_busy bigint[];
begin
    select due.v_keys, due.v_after into v_keys, v_after
    from parlant_store_due(p_rule, p_after, p_limit, p_examine) due;
    v_documents := 0;
    v_is_hidden := false;
    if not (p_rule ->> 'documents')::boolean then
        execute format(
            'select array_agg(key), array_agg(namespace), array_agg(session_id),'
            ' array_agg(full_names), array_agg(item_count) from ('
            'select * from parlant_store_session where key = any ($1) and %s'
            ' and not {is_hidden}'
            ' order by key for update skip locked) held',
            parlant_store_is_old(p_rule)
        ) into v_keys, v_namespaces, v_session_ids, v_names, v_items using v_keys;
        v_is_hidden := parlant_store_delete_sessions(v_keys, p_items);
        return;
    end if;
    execute format(
        'select array_agg(key), array_agg(key) filter (where collection like ''%%sessions'') from ('
        'select key, collection from parlant_store_document where key = any ($1) and %s'
        ' order by key for update skip locked) held',
        parlant_store_is_old(p_rule)
    ) into v_keys, v_sessions using v_keys;
    if v_sessions is not null then
        select array_agg(session), array_agg(part) into v_owners, v_parts from (
            select session, part from parlant_store_parts(v_sessions)
            join parlant_store_document d on d.key = part for update of d skip locked
        ) held;
        -- Asked again: a session stays when somebody holds or wrote one of its documents.
        v_busy := array(
            select distinct session from parlant_store_parts(v_sessions)
            join parlant_store_document d on d.key = part
            left join unnest(v_parts) held on held = part
            where d.updated_at > (p_rule ->> 'written')::timestamptz or held is null
        );
        v_keys := array(
            select key from unnest(v_keys) key where key <> all (v_busy)
            union
            select part from unnest(v_owners, v_parts) held (session, part)
            where session <> all (v_busy)
        );
    end if;
    delete from parlant_store_document where key = any (v_keys);
    get diagnostics v_documents = row_count;
end $$;

-- Takes a step and removes nothing: returns {"found": an array for each that would go, "after":
-- where the next step begins}, of sessions [key, namespace, session_id, full_names, item_count],
-- of documents [key, collection, id].
create or replace function {in_schema}parlant_store_list_due(
    p_rule jsonb, p_after jsonb, p_limit bigint, p_examine bigint
) returns json language plpgsql stable{search_path} as $$
declare
    v_keys bigint[];
    v_after jsonb;
    v_found json;
begin
    select due.v_keys, due.v_after into v_keys, v_after
    from parlant_store_due(p_rule, p_after, p_limit, p_examine) due;
    if (p_rule ->> 'documents')::boolean then
        if coalesce(p_rule ->> 'began', p_rule ->> 'written') is not null then
            v_keys := v_keys || array(select part from parlant_store_parts(v_keys));
        end if;
        select json_agg(json_build_array(key, collection, case
            when strpos(id, chr(1) || chr(3)) > 0 then data ->> 'id' else id
        end)) into v_found from parlant_store_document where key = any (v_keys);
    else
        select json_agg(json_build_array(key, namespace, session_id, full_names, item_count))
            into v_found from parlant_store_session
            where key = any (v_keys) and not {is_hidden};
    end if;
    return json_build_object('found', coalesce(v_found, '[]'), 'after', v_after);
end $$;
