-- Memories (parlant_store/content/memories.py): documents whose ids start with the labels of their
-- namespace, each followed by a dot, another dot, and their key. A range of ids, p_first up to
-- p_end, has all that are below a namespace; p_end may be null. If p_start is not null, it is what
-- the whole ids start with, because the column has only the beginning of long ids.

-- Returns the condition for the memories of the collection $1 in the range of ids $2 up to $3,
-- whose whole ids start with $4, and which have not expired at $5.
create or replace function {in_schema}parlant_store_memories_below(
    text, text, text, text, timestamptz
) returns text language sql stable{search_path} as $$
    select format('collection = %L and id >= %L', $1, $2)
        || case when $3 is null then '' else format(' and id < %L', $3) end
        || case when $4 is null then '' else
            format(' and starts_with(data ->> ''id'', %L)', $4)
        end
        || format(' and (expires_at is null or expires_at > %L)', $5)
$$;

-- Lets the documents of the collection $1 with the keys $2 expire by their ttl, from $3 on. Locked
-- ones are skipped: another call writes them.
create or replace function {in_schema}parlant_store_refresh_memories(text, bigint[], timestamptz)
returns void language plpgsql{search_path} as $$
begin
    if $2 is null then
        return;
    end if;
    update parlant_store_document
        set expires_at = $3 + make_interval(secs => (data ->> 'ttl')::float8)
        where collection = $1 and key in (
            select key from parlant_store_document
            where collection = $1 and key = any ($2) and expires_at > $3
                and case when jsonb_typeof(data -> 'ttl') = 'number' then
                    (data ->> 'ttl')::numeric between 0 and {max_ttl}
                end
            order by key for update skip locked
        );
end $$;

-- Returns the memories with p_ids, in any order: an array of the text, the time of the last write
-- and null of each. With p_refresh, their ttl starts again.
create or replace function {in_schema}parlant_store_get_memories(
    p_collection text, p_ids text[], p_refresh boolean, p_now timestamptz
) returns json language plpgsql{search_path} as $$
declare
    v_rows json;
    v_keys bigint[];
begin
    perform parlant_store_limit(cardinality(p_ids), {max_items}, 'ids');
    if row_security_active('parlant_store_document') then
        perform parlant_store_limit_answer(sum(octet_length(data::text)))
            from parlant_store_document where collection = p_collection and id = any (p_ids);
    end if;
    select coalesce(json_agg(json_build_array(data::text, updated_at, null)), '[]'),
            array_agg(key) filter (where data ? 'ttl')
        into v_rows, v_keys
        from parlant_store_document
        where collection = p_collection and id = any (p_ids)
            and (expires_at is null or expires_at > p_now);
    if p_refresh then
        perform parlant_store_refresh_memories(p_collection, v_keys, p_now);
    end if;
    return v_rows;
end $$;

-- Writes memories, with arrays of their columns, and deletes those with the ids p_deleted. One that
-- exists keeps the time of its creation, p_created for others. Returns the number of those written.
create or replace function {in_schema}parlant_store_write_memories(
    p_collection text, p_documents text[], p_ids text[], p_customer_ids text[], p_terms text[],
    p_expires timestamptz[], p_deleted text[], p_created text, p_now timestamptz
) returns bigint language plpgsql{search_path} as $$
declare
    v_written bigint := 0;
begin
    perform parlant_store_limit(cardinality(p_ids || p_deleted), {max_items}, 'memories');
    if cardinality(p_ids || p_deleted) > 1 then
        -- In one order, so that no two calls wait for each other. Locks of rows would not do:
        -- rows that are yet to be inserted have none.
        perform parlant_store_wait_turn(format('memories %s', place)) from (
            select distinct abs(hashtext(id) % 64) as place
            from unnest(p_ids || p_deleted) id order by place
        ) places;
    end if;
    if cardinality(p_deleted) > 0 then
        delete from parlant_store_document
            where collection = p_collection and id = any (p_deleted);
    end if;
    if cardinality(p_documents) > 0 then
        insert into parlant_store_document as d (
            collection, id, creation_utc, customer_id, data, terms, updated_at, expires_at
        )
        select p_collection, id, p_created, customer_id,
            parlant_store_as_jsonb(document, {max_row}, 'a document'), terms::tsvector,
            p_now, expires_at
            from unnest(p_documents, p_ids, p_customer_ids, p_terms, p_expires)
                as entry (document, id, customer_id, terms, expires_at)
            order by id
        on conflict (collection, id) do update set
            creation_utc = case when d.expires_at <= p_now then excluded.creation_utc
                else coalesce(d.creation_utc, excluded.creation_utc) end,
            version = null, session_id = null, agent_id = null,
            customer_id = excluded.customer_id,
            data = case when d.expires_at <= p_now or d.creation_utc is null then excluded.data
                else excluded.data || jsonb_build_object('creation_utc', d.creation_utc) end,
            terms = excluded.terms, updated_at = excluded.updated_at,
            expires_at = excluded.expires_at;
        get diagnostics v_written = row_count;
    end if;
    return v_written;
end $$;

-- Returns memories in a range of ids, like parlant_store_get_memories with the number of matches in
-- place of null, those with the most matches first, and then the last written. p_filter is on the
-- fields of their values, p_query a tsquery; both may be null.
create or replace function {in_schema}parlant_store_search_memories(
    p_collection text, p_first text, p_end text, p_start text, p_filter json, p_query text,
    p_limit bigint, p_offset bigint, p_refresh boolean, p_now timestamptz
) returns json language plpgsql{search_path} as $$
declare
    v_page text;
    v_rows json;
    v_keys bigint[];
begin
    perform parlant_store_limit(octet_length(p_query), {max_query}, 'bytes of a search');
    v_page := format(
        'select key, data, updated_at, %s as score'
        ' from parlant_store_document cross join lateral (select data -> ''value'') item (value)'
        ' where %s and %s%s order by %supdated_at desc, id desc limit %L offset %L',
        -- With weights of 1, this counts the matching positions.
        case when p_query is null then 'null' else format(
            'least(ts_rank_cd(''{1,1,1,1}'', terms, %L::tsquery)::bigint, {max_matches})', p_query
        ) end,
        parlant_store_memories_below(p_collection, p_first, p_end, p_start, p_now),
        parlant_store_where(
            parlant_store_as_jsonb(p_filter::text, {max_filter}, 'a filter'), 'value'
        ),
        case when p_query is null then '' else format(' and terms @@ %L::tsquery', p_query) end,
        case when p_query is null then '' else 'score desc, ' end,
        p_limit, p_offset
    );
    if row_security_active('parlant_store_document') then
        execute format(
            'select parlant_store_limit_answer(sum(octet_length(data::text))) from (%s) page',
            v_page
        );
    end if;
    execute format(
        'select coalesce(json_agg(json_build_array(data::text, updated_at, score)), ''[]''),'
        ' array_agg(key) filter (where data ? ''ttl'') from (%s) page', v_page
    ) into v_rows, v_keys;
    if p_refresh then
        perform parlant_store_refresh_memories(p_collection, v_keys, p_now);
    end if;
    return v_rows;
end $$;

-- Whether the labels $1 match all conditions $2, an array of [is_suffix, labels], where "*" stands
-- for any label.
create or replace function {in_schema}parlant_store_is_namespace(text[], json)
returns boolean language sql immutable{search_path} as $$
    select not exists (
        select from json_array_elements($2) as condition
        where cardinality($1) < json_array_length(condition -> 1) or exists (
            select from json_array_elements_text(condition -> 1)
                with ordinality as part (label, place)
            where label <> '*' and label <> $1[place::int + case
                when (condition ->> 0)::boolean
                    then cardinality($1) - json_array_length(condition -> 1)
                else 0
            end]
        )
    )
$$;

-- Returns namespaces with memories in a range of ids, each once, as texts with dots between the
-- labels, by a loose index scan. p_conditions are those of parlant_store_is_namespace; namespaces
-- are cut to p_depth labels, null for all.
create or replace function {in_schema}parlant_store_list_namespaces(
    p_collection text, p_first text, p_end text, p_start text, p_conditions json, p_depth bigint,
    p_limit bigint, p_offset bigint, p_now timestamptz
) returns json language plpgsql stable{search_path} as $$
declare
    v_first text := p_first;
    v_id text;
    v_whole text;
    v_namespace text;
    v_labels text[];
    v_next text;
    v_found text[] := '{}';
begin
    perform parlant_store_limit_json(p_conditions::text, {max_filter}, 'conditions');
    perform parlant_store_limit(p_offset, {max_items}, 'namespaces before a page'),
            parlant_store_limit(p_limit, {max_items}, 'namespaces');
    while cardinality(v_found) - p_offset < p_limit loop
        -- Without the end of the range, so that one plan serves all calls.
        select id, data ->> 'id' into v_id, v_whole from parlant_store_document
            where collection = p_collection and id >= v_first
                and (expires_at is null or expires_at > p_now)
            order by id limit 1;
        exit when v_id is null or v_id >= p_end;
        v_first := v_id || chr(1);
        if p_start is not null and not starts_with(v_whole, p_start) then
            exit when not starts_with(v_id, p_first);
            continue;
        end if;
        v_namespace := split_part(v_whole, '..', 1);
        v_labels := string_to_array(v_namespace, '.');
        v_next := v_namespace || './';
        if parlant_store_is_namespace(v_labels, p_conditions) then
            if cardinality(v_labels) >= p_depth then
                v_namespace := array_to_string(v_labels[:p_depth::int], '.');
                v_next := v_namespace || '/';
            end if;
            -- Only those that are too long for the column are found again.
            if octet_length(v_namespace) < {max_namespace} or v_namespace <> all (v_found) then
                v_found := v_found || v_namespace;
            end if;
        end if;
        if octet_length(v_namespace) < {max_namespace} and v_next > v_id collate "C" then
            v_first := v_next;
        end if;
    end loop;
    return to_json(v_found[least(p_offset, {max_int} - 1)::int + 1:]);
end $$;
