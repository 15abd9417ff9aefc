-- Reads of sessions. Each function returns one JSON value, which PostgREST's limit on rows does not
-- cut.

-- Moves expires_at of the session with the key $1 to $3 if it is $4 or earlier, but later than $2, the
-- current time, and returns the key. A session that is locked, or that the caller may not write, stays
-- as it is, and so do all in a transaction that only reads.
create or replace function {in_schema}parlant_store_refresh(
    bigint, timestamptz, timestamptz, timestamptz
) returns bigint language plpgsql{search_path} as $$
begin
    if current_setting('transaction_read_only')::boolean then
        return $1;
    end if;
    begin
        update parlant_store_session set expires_at = $3 where key = (
            select key from parlant_store_session
            where key = $1 and expires_at > $2 and expires_at <= $4
            for no key update skip locked
        );
    exception when insufficient_privilege or serialization_failure then
        -- The read does not need the write.
    end;
    return $1;
end $$;

-- Returns the texts of the latest $2 items of the session with the key $1, oldest first.
create or replace function {in_schema}parlant_store_items(bigint, bigint)
returns json language plpgsql stable{search_path} as $$
begin
    if row_security_active('parlant_store_session_item') then
        perform parlant_store_limit_answer(sum(octet_length(data))) from (
            select data from parlant_store_session_item
            where session_key = $1 order by position desc limit $2
        ) latest;
    end if;
    return (
        select coalesce(json_agg(data order by position), '[]') from (
            select position, data from parlant_store_session_item
            where session_key = $1 order by position desc limit $2
        ) latest
    );
end $$;

-- Returns the texts of the latest p_limit items, oldest first; of all items if it is null.
create or replace function {in_schema}parlant_store_get_items(
    p_namespace text, p_session_id text, p_limit bigint, p_now timestamptz
) returns json language sql stable{search_path} as $$
    select parlant_store_items(key, p_limit) from (values (1)) one left join (
        select key from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
            and (expires_at is null or expires_at > p_now)
    ) s on true
$$;

-- Calls parlant_store_refresh for the session with the namespace $1 and the id $2.
create or replace function {in_schema}parlant_store_refresh_session(
    text, text, timestamptz, timestamptz, timestamptz
) returns void language sql{search_path} as $$
    select parlant_store_refresh(key, $3, $4, $5) from parlant_store_session
    where namespace = $1 and session_id = $2 and expires_at > $3 and expires_at <= $5
$$;

-- Returns the texts of items, and moves expires_at of the session as parlant_store_refresh does.
create or replace function {in_schema}parlant_store_get_items_and_refresh(
    p_namespace text, p_session_id text, p_limit bigint, p_now timestamptz,
    p_expires_at timestamptz, p_due timestamptz
) returns json language sql{search_path} as $$
    select parlant_store_refresh_session(p_namespace, p_session_id, p_now, p_expires_at, p_due);
    select parlant_store_get_items(p_namespace, p_session_id, p_limit, p_now)
$$;

-- Returns a session as it is listed.
create or replace function {in_schema}parlant_store_describe({in_schema}parlant_store_session)
returns json language sql stable{search_path} as $$
    select json_build_object(
        'namespace', $1.namespace, 'session_id', $1.session_id,
        'full_names', $1.full_names, 'user_id', $1.user_id,
        'item_count', $1.item_count, 'tokens', $1.tokens,
        'metadata', $1.metadata::text, 'created_at', $1.created_at,
        'updated_at', $1.updated_at, 'expires_at', $1.expires_at,
        'parent_id', $1.parent_id, 'parent_name', $1.parent_name,
        'parent_position', $1.parent_position
    )
$$;

-- Returns a session as it is listed; null if there is none.
create or replace function {in_schema}parlant_store_get_session(
    p_namespace text, p_session_id text, p_now timestamptz
) returns json language sql stable{search_path} as $$
    select parlant_store_describe(s) from parlant_store_session s
    where namespace = p_namespace and session_id = p_session_id
        and (expires_at is null or expires_at > p_now)
$$;

-- Returns the state of a session and the texts of its items; null if there is no session.
create or replace function {in_schema}parlant_store_load(
    p_namespace text, p_session_id text, p_now timestamptz
) returns json language sql stable{search_path} as $$
    select json_build_object(
        'key', key, 'next_position', next_position, 'item_count', item_count,
        'state', state::text, 'items', parlant_store_items(key, null)
    ) from parlant_store_session s
    where namespace = p_namespace and session_id = p_session_id
        and (expires_at is null or expires_at > p_now)
$$;

-- Returns the whole of a session, and moves expires_at as parlant_store_refresh does.
create or replace function {in_schema}parlant_store_load_and_refresh(
    p_namespace text, p_session_id text, p_now timestamptz, p_expires_at timestamptz,
    p_due timestamptz
) returns json language sql{search_path} as $$
    select parlant_store_refresh_session(p_namespace, p_session_id, p_now, p_expires_at, p_due);
    select parlant_store_load(p_namespace, p_session_id, p_now)
$$;

-- Returns turns of a session, and moves expires_at as parlant_store_refresh does.
create or replace function {in_schema}parlant_store_list_turns_and_refresh(
    p_namespace text, p_session_id text, p_after bigint, p_newest boolean, p_items boolean,
    p_limit bigint, p_now timestamptz, p_expires_at timestamptz, p_due timestamptz
) returns json language sql{search_path} as $$
    select parlant_store_refresh_session(p_namespace, p_session_id, p_now, p_expires_at, p_due);
    select parlant_store_list_turns(
        p_namespace, p_session_id, p_after, p_newest, p_items, p_limit, p_now
    )
$$;

-- Returns the condition for a list of sessions: the namespace $1, the owner $2, the prefix of
-- session_id $3, the time of the last change at or after $4, and a filter on the metadata $5
-- (parlant_store_where), each of which may be null. $6 is the current time.
create or replace function {in_schema}parlant_store_sessions_where(
    text, text, text, timestamptz, jsonb, timestamptz
) returns text language sql stable{search_path} as $$
    select concat_ws(' and ',
        format('(expires_at is null or expires_at > %L)', $6),
        case when $1 is not null then format('namespace = %L', $1) end,
        case when $2 is not null then format('user_id = %L', $2) end,
        case when $3 <> '' then
            format('session_id >= %1$L and starts_with(session_id, %1$L)', $3)
        end,
        case when $4 is not null then format('updated_at >= %L', $4) end,
        case when $5 is not null then parlant_store_where($5, 'metadata') end
    )
$$;

-- Returns sessions in the order of namespace and session_id, after p_after_namespace and
-- p_after_session_id unless these are null; with p_by_activity, the session that was changed last
-- first, after one that was changed at p_before.
create or replace function {in_schema}parlant_store_list_sessions(
    p_namespace text, p_user_id text, p_prefix text, p_since timestamptz, p_filter json,
    p_limit bigint, p_after_namespace text, p_after_session_id text, p_by_activity boolean,
    p_before timestamptz, p_now timestamptz
) returns json language plpgsql stable{search_path} as $$
declare
    v_where text := parlant_store_sessions_where(
        p_namespace, p_user_id, p_prefix, p_since,
        parlant_store_as_jsonb(p_filter::text, {max_filter}, 'a filter'), p_now
    );
    v_order text := 'namespace, session_id';
    v_pages text;
    v_page json;
begin
    if p_by_activity then
        v_order := 'active_minute desc, updated_at desc, namespace desc, session_id desc';
    end if;
    if p_after_session_id is not null and p_by_activity then
        v_where := v_where || format(
            ' and (active_minute, updated_at, namespace, session_id) < (%L, %L, %L, %L)',
            {minute_before}, p_before, p_after_namespace, p_after_session_id
        );
    elsif p_after_session_id is not null then
        v_where := v_where || format(
            ' and (namespace, session_id) > (%L, %L)', p_after_namespace, p_after_session_id
        );
    end if;
    v_pages := format(
        'select * from parlant_store_session where %s order by %s limit %L',
        v_where, v_order, p_limit
    );
    if p_by_activity and p_namespace is null and p_user_id is null then
        -- The index without a namespace or an owner starts with the framework.
        select format(
            'select * from (%s) pages order by %s limit %L', string_agg(format(
                '(select * from parlant_store_session where %s and framework = %L'
                ' order by %s limit %L)',
                v_where, framework, v_order, p_limit
            ), ' union all '), v_order, p_limit
        ) into v_pages from unnest(array['openai', 'selectools']) as framework;
    end if;
    if row_security_active('parlant_store_session') then
        execute format(
            'select parlant_store_limit_answer(sum(1000 + octet_length(metadata::text)))'
            ' from (%s) s',
            v_pages
        );
    end if;
    execute format(
        'select coalesce(json_agg(parlant_store_describe(s) order by %s), ''[]'')'
        ' from (select (page::parlant_store_session).* from (%s) page) s',
        v_order, v_pages
    ) into v_page;
    return v_page;
end $$;

-- Returns an array of a few columns for each session, in the order of their creation, after the key
-- p_after.
create or replace function {in_schema}parlant_store_list_summaries(
    p_namespace text, p_user_id text, p_prefix text, p_since timestamptz, p_filter json,
    p_limit bigint, p_after bigint, p_now timestamptz
) returns json language plpgsql stable{search_path} as $$
declare
    v_page json;
begin
    execute format(
        'select coalesce(json_agg(json_build_array('
        'key, namespace, session_id, item_count, date_part(''epoch'', created_at),'
        ' date_part(''epoch'', updated_at), full_names)), ''[]'') from ('
        'select * from parlant_store_session where %s and key > %L order by key limit %L) s',
        parlant_store_sessions_where(
            p_namespace, p_user_id, p_prefix, p_since,
            parlant_store_as_jsonb(p_filter::text, {max_filter}, 'a filter'), p_now
        ),
        p_after, p_limit
    ) into v_page;
    return v_page;
end $$;

-- Returns the owners of rows with terms that match $7, a tsquery, those with the most matches first.
-- $1 is the table of the rows, with the columns $2 of the key of the owner, $3 of a place in it, and
-- the expression $4 of a text; $5 is the table of the owners, with the column $6 of their ids, in the
-- namespace $8. For each of at most $9 owners, it returns an array of namespace, id, full_names,
-- score, text and place for at most $10 rows that match best. Under row level security the index on
-- terms cannot be used; the query then reads the rows of the owners that the role can see, and no
-- others.
create or replace function {in_schema}parlant_store_search_rows(
    text, text, text, text, text, text, text, text, bigint, bigint, timestamptz
) returns json language plpgsql stable{search_path} as $$
declare
    v_rows json;
begin
    perform parlant_store_limit(octet_length($7), {max_query}, 'bytes of a search');
    execute format(
        $sql$
        with hits as materialized (
            -- With weights of 1, this counts the matching positions.
            select %2$I as owner_key, %3$I as place, %4$s as text,
                least(ts_rank_cd('{1,1,1,1}', terms, $1::tsquery)::bigint, {max_matches}) as score
            from %1$I where terms @@ $1::tsquery %7$s
        ), best as (
            select owner_key, sum(score) as score from hits group by owner_key
        ), first as (
            select best.owner_key, best.score, s.namespace, s.id, s.full_names
            from best cross join lateral (
                select namespace, %6$I as id, full_names, expires_at
                from %5$I where key = best.owner_key limit 1
            ) s
            where (s.expires_at is null or s.expires_at > $5)
                and ($2 is null or s.namespace = $2)
            order by best.score desc, s.id, s.namespace limit $3
        ), shown as (
            select owner_key, text, place, row_number() over (
                partition by owner_key order by score desc, place
            ) as number
            from hits where owner_key in (select owner_key from first)
        )
        select coalesce(json_agg(
            json_build_array(
                first.namespace, first.id, first.full_names, first.score, shown.text, shown.place
            ) order by first.score desc, first.id, first.namespace, shown.number
        ), '[]')
        from first join shown on shown.owner_key = first.owner_key and shown.number <= $4
        $sql$,
        $1, $2, $3, $4, $5, $6,
        case when row_security_active($1) then
            format('and %I = any (array(select key from %I))', $2, $5)
        end
    ) into v_rows using $7, $8, $9, $10, $11;
    return v_rows;
end $$;

-- Returns the sessions with items that match p_query, as parlant_store_search_rows does; with
-- p_tools, the text is the beginning of the item.
create or replace function {in_schema}parlant_store_search(
    p_query text, p_namespace text, p_limit bigint, p_texts bigint, p_tools boolean,
    p_now timestamptz
) returns json language sql stable{search_path} as $$
    select parlant_store_search_rows(
        'parlant_store_session_item', 'session_key', 'position',
        case when p_tools then 'left(data, {max_searched})' else 'coalesce(text, '''')' end,
        'parlant_store_session', 'session_id',
        p_query, p_namespace, p_limit, p_texts, p_now
    )
$$;
