-- Whole sessions and documents, with their times, for copies between stores. Over HTTP, only the
-- service role calls these functions.

-- Returns the sessions with these names; each with the texts and the times of its items, and the usage
-- of the turns that start with them.
create or replace function {in_schema}parlant_store_read_sessions(
    p_namespaces text[], p_session_ids text[], p_now timestamptz
) returns json language sql stable{search_path} as $$
    select coalesce(json_agg(json_build_object(
        'session', parlant_store_describe(s), 'state', s.state::text,
        'usage', s.usage, 'last_turn', s.next_turn, 'items', coalesce(items, '[]'),
        'times', coalesce(times, '[]'), 'usages', coalesce(usages, '[]')
    )), '[]')
    from unnest(p_namespaces, p_session_ids) as name (namespace, session_id)
    join parlant_store_session s using (namespace, session_id)
    cross join lateral (
        select json_agg(data order by position) as items,
            json_agg(created_at order by position) as times,
            json_agg(usage order by position) as usages
        from parlant_store_session_item where session_key = s.key
    ) item
    where s.expires_at is null or s.expires_at > p_now
$$;

-- Writes sessions; the arrays from p_namespaces to p_parent_positions have an element for each, those
-- from p_places to p_item_usages one for each item. p_places has the number of the item's session, from
-- 1, and p_turns the number of the turn before the items.
-- Sessions that exist are left, or replaced with p_replace. Returns whether each was written.
create or replace function {in_schema}parlant_store_write_sessions(
    p_namespaces text[], p_session_ids text[], p_names text[], p_user_ids text[],
    p_metadata text[], p_states text[],
    p_created timestamptz[], p_updated timestamptz[], p_expires timestamptz[], p_totals bigint[],
    p_turns bigint[], p_usages text[], p_parents text[], p_parent_names text[],
    p_parent_positions bigint[],
    p_places bigint[], p_data text[], p_roles text[], p_texts text[], p_terms text[],
    p_tokens bigint[], p_failed bigint[], p_times timestamptz[], p_item_usages text[],
    p_replace boolean, p_now timestamptz
) returns boolean[] language plpgsql{search_path} as $$
declare
    v_keys bigint[];
    v_firsts bigint[];
begin
    perform parlant_store_delete_expired(namespace, session_id, p_now, 1)
        from unnest(p_namespaces, p_session_ids) as name (namespace, session_id)
        join parlant_store_session s using (namespace, session_id)
        where s.expires_at <= p_now;
    with entry as materialized (
        select entry.*, coalesce(counted.items, 0) as items,
            last_turn + coalesce(counted.turns, 0) as turns,
            coalesce(counted.failed, 0) as failed
        from unnest(
            p_namespaces, p_session_ids, p_names, p_user_ids, p_metadata, p_states,
            p_created, p_updated, p_expires, p_totals,
            p_turns, p_usages, p_parents, p_parent_names, p_parent_positions
        ) with ordinality as entry (
            namespace, session_id, full_names, user_id, metadata, state,
            created_at, updated_at, expires_at, tokens,
            last_turn, usage, parent_id, parent_name, parent_position, ord
        )
        left join (
            select place, count(*) as items, sum(failed) as failed,
                count(*) filter (where role = 'user') as turns
            from unnest(p_places, p_failed, p_roles) as item (place, failed, role) group by place
        ) counted on place = ord
    ), written as (
        insert into parlant_store_session as s (
            namespace, session_id, full_names, user_id, metadata, state,
            next_position, next_turn, item_count, tokens, usage, failed_calls,
            parent_id, parent_name, parent_position, created_at, updated_at, expires_at
        )
        select namespace, session_id, full_names, user_id,
            parlant_store_as_jsonb(metadata, {max_row}, 'a document'),
            parlant_store_as_jsonb(state, {max_row}, 'a document'),
            items, turns, items, tokens, parlant_store_as_jsonb(usage, {max_row}, 'usage'), failed,
            parent_id, parent_name, parent_position, created_at, updated_at, expires_at
            from entry
        on conflict (namespace, session_id) do update set
            full_names = excluded.full_names, user_id = excluded.user_id,
            metadata = excluded.metadata, state = excluded.state,
            next_position = s.next_position + excluded.next_position,
            next_turn = excluded.next_turn, item_count = excluded.item_count,
            tokens = excluded.tokens, usage = excluded.usage,
            parent_id = excluded.parent_id, parent_name = excluded.parent_name,
            parent_position = excluded.parent_position,
            failed_calls = excluded.failed_calls,
            created_at = excluded.created_at, updated_at = excluded.updated_at,
            expires_at = excluded.expires_at
        where p_replace
        returning namespace, session_id, key, next_position - item_count as first
    )
    select array_agg(key order by ord), array_agg(first order by ord) into v_keys, v_firsts
        from entry left join written using (namespace, session_id);
    delete from parlant_store_session_item
        where session_key = any (v_keys) and session_key in (
            select key from unnest(v_keys, v_firsts) as replaced (key, first) where first > 0
        );
    insert into parlant_store_session_item
        (
            session_key, position, turn, role, text, data, terms, tokens, failed_calls, usage,
            created_at
        )
        select v_keys[place],
            v_firsts[place] + row_number() over (partition by place order by ord) - 1,
            {turn_of_new},
            role, text, data, terms::tsvector, tokens, failed, usage::jsonb, created_at
        from unnest(
            p_places, p_data, p_roles, p_texts, p_terms, p_tokens, p_failed, p_times, p_item_usages
        ) with ordinality as item (
            place, data, role, text, terms, tokens, failed, created_at, usage, ord
        )
        where v_keys[place] is not null
        order by ord;
    return array(
        select key is not null from unnest(v_keys) with ordinality as written (key, ord)
        order by ord
    );
end $$;

-- Appends items to the hidden session with the key p_key, which is created if that is null, with p_turn,
-- the number of the turn before them. Returns its key. A session that is too large for one statement is
-- written in this way.
create or replace function {in_schema}parlant_store_stage_items(
    p_key bigint, p_turn bigint, p_data text[], p_roles text[], p_texts text[], p_terms text[],
    p_tokens bigint[], p_failed bigint[], p_times timestamptz[], p_item_usages text[],
    p_now timestamptz
) returns bigint language plpgsql{search_path} as $$
declare
    v_count bigint := cardinality(p_data);
    v_turns bigint := cardinality(array_positions(p_roles, 'user'));
    v_key bigint := p_key;
    v_first bigint;
    v_turn bigint;
begin
    if v_key is null then
        insert into parlant_store_session (
            namespace, session_id, metadata, state, next_position, next_turn, item_count,
            failed_calls, created_at, updated_at, expires_at
        ) values (
            '', chr(1) || chr(4) || gen_random_uuid(), '{}', '{}', 0, p_turn, 0, 0, p_now, p_now,
            'epoch'
        ) returning key into v_key;
    end if;
    update parlant_store_session set
        next_position = next_position + v_count, next_turn = next_turn + v_turns,
        item_count = item_count + v_count,
        failed_calls = failed_calls + parlant_store_sum(p_failed)
    where key = v_key and {is_hidden}
    returning next_position - v_count, next_turn - v_turns into v_first, v_turn;
    if not found then
        raise no_data_found using message = 'a sweep has deleted items that were being written';
    end if;
    insert into parlant_store_session_item
        (
            session_key, position, turn, role, text, data, terms, tokens, failed_calls, usage,
            created_at
        )
        select v_key, v_first + ord - 1, {turn}, role, text, data, terms::tsvector, tokens, failed,
            usage::jsonb, created_at
        from unnest(
            p_data, p_roles, p_texts, p_terms, p_tokens, p_failed, p_times, p_item_usages
        ) with ordinality as item (data, role, text, terms, tokens, failed, created_at, usage, ord);
    return v_key;
end $$;

-- Gives the hidden session with the key p_key, which has p_items items, its name and its columns. A
-- session that exists is left, and then the result is false, or it is deleted with p_replace.
create or replace function {in_schema}parlant_store_publish_session(
    p_key bigint, p_items bigint, p_namespace text, p_session_id text, p_names text,
    p_user_id text, p_metadata text, p_state text, p_created timestamptz, p_updated timestamptz,
    p_expires timestamptz, p_total bigint, p_usage text, p_parent text, p_parent_name text,
    p_parent_position bigint, p_replace boolean, p_now timestamptz
) returns boolean language plpgsql{search_path} as $$
begin
    perform parlant_store_delete_expired(p_namespace, p_session_id, p_now, 1);
    if p_replace then
        perform parlant_store_delete_session(
            p_namespace, p_session_id, p_now, {max_deleted}::bigint
        );
    elsif exists (
        select from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
    ) then
        return false;
    end if;
    update parlant_store_session set
        namespace = p_namespace, session_id = p_session_id, full_names = p_names,
        user_id = p_user_id, metadata = parlant_store_as_jsonb(p_metadata, {max_row}, 'a document'),
        state = parlant_store_as_jsonb(p_state, {max_row}, 'a document'),
        created_at = p_created, updated_at = p_updated, expires_at = p_expires,
        tokens = p_total, usage = parlant_store_as_jsonb(p_usage, {max_row}, 'usage'),
        parent_id = p_parent, parent_name = p_parent_name, parent_position = p_parent_position
    where key = p_key and item_count = p_items and {is_hidden};
    if not found then
        raise no_data_found using message = 'a sweep has deleted items that were being written';
    end if;
    return true;
end $$;

-- Returns the documents with p_ids or, if it is null, at most p_limit after the key p_after: an
-- array of the key, the text and the times of each.
create or replace function {in_schema}parlant_store_read_documents(
    p_collection text, p_ids text[], p_after bigint, p_limit bigint, p_now timestamptz
) returns json language sql stable{search_path} as $$
    select coalesce(json_agg(
        json_build_array(key, data::text, updated_at, expires_at) order by key
    ), '[]')
    from (
        (select key, data, updated_at, expires_at from parlant_store_document
            where p_ids is null and collection = p_collection and key > p_after
                and (expires_at is null or expires_at > p_now)
            order by key limit p_limit)
        union all
        (select key, data, updated_at, expires_at from parlant_store_document
            where collection = p_collection and id = any (p_ids)
                and (expires_at is null or expires_at > p_now)
            order by key limit p_limit)
    ) page
$$;

-- Writes documents; p_documents has their texts, the arrays from p_ids to p_agent_ids the columns
-- that are copied from them. Documents whose ids exist are left, or replaced with p_replace.
-- Returns whether each was written.
create or replace function {in_schema}parlant_store_write_documents(
    p_collection text, p_documents text[], p_ids text[], p_versions text[],
    p_creation_utcs text[], p_session_ids text[], p_customer_ids text[], p_agent_ids text[],
    p_terms text[], p_failed_calls bigint[],
    p_updated timestamptz[], p_expires timestamptz[], p_replace boolean, p_now timestamptz
) returns boolean[] language plpgsql{search_path} as $$
declare
    v_written boolean[] := '{}';
    v_row record;
begin
    for v_row in
        select * from unnest(
            p_documents, p_ids, p_versions, p_creation_utcs, p_session_ids, p_customer_ids,
            p_agent_ids, p_terms, p_failed_calls, p_updated, p_expires
        ) as entry (
            data, id, version, creation_utc, session_id, customer_id, agent_id,
            terms, failed_calls, updated_at, expires_at
        )
    loop
        insert into parlant_store_document as d (
            collection, id, version, creation_utc, session_id, customer_id, agent_id, data,
            terms, failed_calls, updated_at, expires_at
        ) values (
            p_collection, v_row.id, v_row.version, v_row.creation_utc, v_row.session_id,
            v_row.customer_id, v_row.agent_id,
            parlant_store_as_jsonb(v_row.data, {max_row}, 'a document'),
            v_row.terms::tsvector, v_row.failed_calls,
            coalesce(v_row.updated_at, p_now), v_row.expires_at
        )
        on conflict (collection, id) do update set
            version = excluded.version, creation_utc = excluded.creation_utc,
            session_id = excluded.session_id, customer_id = excluded.customer_id,
            agent_id = excluded.agent_id, data = excluded.data,
            terms = excluded.terms, failed_calls = case
                when d.active_minute is null then excluded.failed_calls else d.failed_calls
            end,
            updated_at = excluded.updated_at, expires_at = excluded.expires_at
        where p_replace or d.expires_at <= p_now;
        v_written := v_written || found;
    end loop;
    return v_written;
end $$;
