-- Retention rules, applied in steps of one pass over a table. p_rule is an object:
--   "documents": true for documents, false for sessions
--   "namespace", "collection": limit the rule to one of them, unless null
--   "created_until": eligible rows were created at this time or before, unless null;
--     "created_until_text" is the same time in the form of creation_utc
--   "updated_until": eligible rows were last written at this time or before, unless null
--   "now": with neither of these times, expired rows are eligible, otherwise those not expired
-- A step starts after the place p_after, reads at most p_examine rows and returns at most p_limit
-- of them.

-- Returns the condition of p_rule on the columns of a row; 'true' for expired rows.
create or replace function {in_schema}parlant_store_is_old(p_rule jsonb)
returns text language sql immutable{search_path} as $$
    select case
        when coalesce(p_rule ->> 'created_until', p_rule ->> 'updated_until') is null then 'true'
        else concat_ws(' and ',
            format('(expires_at is null or expires_at > %L)', p_rule ->> 'now'),
            case
                when p_rule ->> 'created_until' is null then null
                when (p_rule ->> 'documents')::boolean then format(
                    'case when creation_utc ~ ''^[0-9]{4}-'' then creation_utc <= %L'
                    ' else updated_at <= %L end',
                    p_rule ->> 'created_until_text', p_rule ->> 'created_until'
                )
                else format('created_at <= %L', p_rule ->> 'created_until')
            end,
            case when p_rule ->> 'updated_until' is not null then
                format('updated_at <= %L', p_rule ->> 'updated_until')
            end
        )
    end
$$;

-- Returns the second condition of p_rule: Parlant sessions and their related documents are deleted
-- together.
create or replace function {in_schema}parlant_store_is_whole(p_rule jsonb)
returns text language plpgsql stable{search_path} as $$
declare
    v_related text;
    v_condition text := 'true';
begin
    -- Each collection of related documents with the collection of their sessions.
    select format(
        'unnest(%L::text[], %L::text[]) related (name, sessions)',
        coalesce(array_agg(collection), '{}'), coalesce(array_agg(prefix || 'sessions'), '{}')
    ) into v_related from parlant_store_prefixes();
    if p_rule ->> 'updated_until' is not null then
        v_condition := format(
            '(d.collection not like ''%%sessions'' or not exists ('
            'select from %s join parlant_store_document r'
            ' on r.collection = related.name and r.session_id = d.id'
            ' where related.sessions = d.collection and r.key <> d.key'
            ' and r.updated_at > %L))',
            v_related, p_rule ->> 'updated_until'
        );
    end if;
    if p_rule ->> 'collection' is null then
        v_condition := v_condition || format(
            ' and d.collection not like ''%%metadata'' and not exists ('
            'select from %s join parlant_store_document s'
            ' on s.collection = related.sessions and s.id = d.session_id'
            ' where related.name = d.collection and s.key <> d.key)',
            v_related
        );
    end if;
    return v_condition;
end $$;

-- Makes a step: returns the keys of the eligible rows, and the place after which the next step
-- starts, null after the last one. Steps scan an index: otherwise each of them could read and sort
-- all remaining rows.
create or replace function {in_schema}parlant_store_due(
    p_rule jsonb, p_after jsonb, p_limit bigint, p_examine bigint,
    out v_keys bigint[], out v_after jsonb
) language plpgsql stable{search_path}
set enable_seqscan to off set enable_bitmapscan to off set enable_sort to off as $$
declare
    v_documents boolean := p_rule ->> 'documents';
    v_is_rule boolean := coalesce(p_rule ->> 'created_until', p_rule ->> 'updated_until') is not null;
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
        -- Documents without a version come last, as in the index.
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
        ') examined where due or n = %2$L limit %1$L) step',
        p_limit, p_examine, v_place, v_due, v_order,
        case when v_documents then 'parlant_store_document' else 'parlant_store_session' end,
        v_where
    ) into v_keys, v_after;
    if v_after is null and v_order = 'version, key' and v_is_versioned then
        v_after := '[null, 0]';
    end if;
end $$;

-- Makes a step and deletes the eligible rows, with the items of sessions and the related documents
-- of Parlant sessions. Sessions with more than p_items items in all (null: no limit) are hidden
-- instead. Returns the names of the sessions with the numbers of their items, the number of
-- documents, the place after which the next step starts (null after the last one), and whether it
-- hid sessions. Rows that are locked or were written since are not deleted.
create or replace function {in_schema}parlant_store_retire(
    p_rule jsonb, p_after jsonb, p_limit bigint, p_examine bigint, p_items bigint,
    out v_namespaces text[], out v_session_ids text[], out v_names text[],
    out v_items bigint[], out v_documents bigint, out v_after jsonb, out v_is_hidden boolean
) language plpgsql{search_path} set enable_seqscan to off as $$
declare
    v_keys bigint[];
    v_sessions bigint[];
    v_owners bigint[];
    v_related bigint[];
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
            ' order by key for update skip locked) locked',
            parlant_store_is_old(p_rule)
        ) into v_keys, v_namespaces, v_session_ids, v_names, v_items using v_keys;
        v_is_hidden := parlant_store_delete_sessions(v_keys, p_items);
        return;
    end if;
    execute format(
        'select array_agg(key), array_agg(key) filter (where collection like ''%%sessions'') from ('
        'select key, collection from parlant_store_document where key = any ($1) and %s'
        ' order by key for update skip locked) locked',
        parlant_store_is_old(p_rule)
    ) into v_keys, v_sessions using v_keys;
    if v_sessions is not null then
        select array_agg(session), array_agg(document) into v_owners, v_related from (
            select session, document from parlant_store_related_documents(v_sessions)
            join parlant_store_document d on d.key = document for update of d skip locked
        ) locked;
        -- Read again: a session is not deleted if one of its documents is locked or was written
        -- since.
        v_busy := array(
            select distinct session from parlant_store_related_documents(v_sessions)
            join parlant_store_document d on d.key = document
            left join unnest(v_related) locked on locked = document
            where d.updated_at > (p_rule ->> 'updated_until')::timestamptz or locked is null
        );
        v_keys := array(
            select key from unnest(v_keys) key where key <> all (v_busy)
            union
            select document from unnest(v_owners, v_related) locked (session, document)
            where session <> all (v_busy)
        );
    end if;
    delete from parlant_store_document where key = any (v_keys);
    get diagnostics v_documents = row_count;
end $$;

-- Makes a step and deletes nothing. Returns {"rows": an array for each row that would be deleted,
-- "after": the place after which the next step starts}. The arrays are [key, namespace, session_id,
-- full_names, item_count] for sessions and [key, collection, id] for documents.
create or replace function {in_schema}parlant_store_list_due(
    p_rule jsonb, p_after jsonb, p_limit bigint, p_examine bigint
) returns json language plpgsql stable{search_path} as $$
declare
    v_keys bigint[];
    v_after jsonb;
    v_rows json;
begin
    select due.v_keys, due.v_after into v_keys, v_after
    from parlant_store_due(p_rule, p_after, p_limit, p_examine) due;
    if (p_rule ->> 'documents')::boolean then
        if coalesce(p_rule ->> 'created_until', p_rule ->> 'updated_until') is not null then
            v_keys := v_keys || array(select document from parlant_store_related_documents(v_keys));
        end if;
        select json_agg(json_build_array(key, collection, case
            when strpos(id, chr(1) || chr(3)) > 0 then data ->> 'id' else id
        end)) into v_rows from parlant_store_document where key = any (v_keys);
    else
        select json_agg(json_build_array(key, namespace, session_id, full_names, item_count))
            into v_rows from parlant_store_session
            where key = any (v_keys) and not {is_hidden};
    end if;
    return json_build_object('rows', coalesce(v_rows, '[]'), 'after', v_after);
end $$;
