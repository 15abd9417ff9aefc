-- Whole threads, with their times, for copies between stores. Over HTTP, only the service role calls
-- these functions.

-- Returns the threads with these names: an array of the columns of each.
create or replace function {in_schema}parlant_store_read_threads(
    p_namespaces text[], p_thread_ids text[], p_now timestamptz
) returns json language sql stable{search_path} as $$
    select coalesce(json_agg(json_build_array(
        key, namespace, thread_id, full_names, user_id, created_at, updated_at, expires_at
    )), '[]')
    from unnest(p_namespaces, p_thread_ids) as name (namespace, thread_id)
    join parlant_store_thread t using (namespace, thread_id)
    where t.expires_at is null or t.expires_at > p_now
$$;

-- Returns checkpoints of the threads with these keys, after the one with the key p_after. Their
-- values have at most p_bytes, each row counting for {row_bytes} more, unless it is a single one.
create or replace function {in_schema}parlant_store_read_checkpoints(
    p_keys bigint[], p_after bigint, p_bytes bigint
) returns json language sql stable{search_path} as $$
    with sized as (
        select *, {size_before} as before from parlant_store_checkpoint
        where thread_key = any (p_keys) and key > p_after
    ) select json_build_object(
        'has_more', exists (select from sized where before >= p_bytes),
        'rows', (select coalesce(json_agg(json_build_array(
            key, thread_key, checkpoint_ns, full_ns, checkpoint_id, parent_id, versions::text,
            metadata::text, type, parlant_store_base64(value), created_at
        ) order by key), '[]') from sized where before < p_bytes)
    )
$$;

-- The same for the values of channels.
create or replace function {in_schema}parlant_store_read_channel_values(
    p_keys bigint[], p_after bigint, p_bytes bigint
) returns json language sql stable{search_path} as $$
    with sized as (
        select *, {size_before} as before from parlant_store_channel_value
        where thread_key = any (p_keys) and key > p_after
    ) select json_build_object(
        'has_more', exists (select from sized where before >= p_bytes),
        'rows', (select coalesce(json_agg(json_build_array(
            key, thread_key, checkpoint_ns, channel, version, type, parlant_store_base64(value)
        ) order by key), '[]') from sized where before < p_bytes)
    )
$$;

-- The same for the writes of tasks.
create or replace function {in_schema}parlant_store_read_writes(
    p_keys bigint[], p_after bigint, p_bytes bigint
) returns json language sql stable{search_path} as $$
    with sized as (
        select *, {size_before} as before from parlant_store_checkpoint_write
        where thread_key = any (p_keys) and key > p_after
    ) select json_build_object(
        'has_more', exists (select from sized where before >= p_bytes),
        'rows', (select coalesce(json_agg(json_build_array(
            key, thread_key, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type,
            parlant_store_base64(value)
        ) order by key), '[]') from sized where before < p_bytes)
    )
$$;

-- Adds rows to staged threads, which no caller can name, and no sweep deletes within an hour; if p_keys
-- is null, p_count of them are created. The rows are arrays of their columns, after the place of their thread in p_keys. Returns the keys.
create or replace function {in_schema}parlant_store_stage_threads(
    p_keys bigint[], p_count bigint, p_checkpoints jsonb, p_values jsonb, p_writes jsonb,
    p_messages jsonb, p_now timestamptz
) returns bigint[] language plpgsql{search_path} as $$
declare
    v_keys bigint[] := p_keys;
begin
    if v_keys is null then
        with staged as (
            insert into parlant_store_thread
                (namespace, thread_id, created_at, updated_at, expires_at)
                select '', chr(1) || chr(5) || gen_random_uuid(), p_now, p_now, 'epoch'
                from generate_series(1, p_count)
            returning key
        ) select array_agg(key) into v_keys from staged;
    end if;
    perform from parlant_store_thread
        where key = any (v_keys) and {is_staged_thread} order by key for update;
    insert into parlant_store_checkpoint (
        thread_key, checkpoint_ns, full_ns, checkpoint_id, parent_id, run_id,
        type, value, versions, metadata, created_at
    )
        select v_keys[(row ->> 0)::integer], row ->> 1, row ->> 2, row ->> 3, row ->> 4, row ->> 5,
            row ->> 6, decode(row ->> 7, 'base64'), (row ->> 8)::jsonb, (row ->> 9)::jsonb,
            (row ->> 10)::timestamptz
        from jsonb_array_elements(p_checkpoints) row;
    insert into parlant_store_channel_value
        (thread_key, checkpoint_ns, channel, version, type, value)
        select v_keys[(row ->> 0)::integer], row ->> 1, row ->> 2, row ->> 3, row ->> 4,
            decode(row ->> 5, 'base64')
        from jsonb_array_elements(p_values) row;
    insert into parlant_store_checkpoint_write (
        thread_key, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value
    )
        select v_keys[(row ->> 0)::integer], row ->> 1, row ->> 2, row ->> 3, row ->> 4,
            (row ->> 5)::integer, row ->> 6, row ->> 7, decode(row ->> 8, 'base64')
        from jsonb_array_elements(p_writes) row;
    insert into parlant_store_thread_message (thread_key, digest, number, text, terms)
        select v_keys[(row ->> 0)::integer], (row ->> 1)::bigint, (row ->> 2)::bigint, row ->> 3,
            (row ->> 4)::tsvector
        from jsonb_array_elements(p_messages) row;
    return v_keys;
end $$;

-- Gives the staged thread $1 the name of the thread $2, $3, unless there is one, which is hidden if
-- $4 or if it had expired at $5. Returns whether it has the name; otherwise it is hidden.
create or replace function {in_schema}parlant_store_name_thread(
    bigint, text, text, boolean, timestamptz
) returns boolean language plpgsql{search_path} as $$
begin
    update parlant_store_thread set
        thread_id = chr(1) || chr(4) || gen_random_uuid(), full_names = null, expires_at = 'epoch'
        where namespace = $2 and thread_id = $3 and ($4 or expires_at <= $5);
    update parlant_store_thread set namespace = $2, thread_id = $3 where key = $1;
    return true;
exception when unique_violation then
    update parlant_store_thread set thread_id = chr(1) || chr(4) || gen_random_uuid()
        where key = $1;
    return false;
end $$;

-- Gives the staged threads with these keys, which have p_rows rows each, their names and columns.
-- Threads that exist are left, or replaced with p_replace. Returns whether each has its name; what
-- is hidden is left to parlant_store_expire_threads.
create or replace function {in_schema}parlant_store_publish_threads(
    p_keys bigint[], p_rows bigint[], p_namespaces text[], p_thread_ids text[], p_names text[],
    p_user_ids text[], p_titles text[], p_created timestamptz[], p_updated timestamptz[],
    p_expires timestamptz[], p_replace boolean, p_now timestamptz
) returns boolean[] language plpgsql{search_path} as $$
declare
    v_written boolean[] := '{}';
    v_is_named boolean;
    v_row record;
begin
    for v_row in
        select * from unnest(
            p_keys, p_rows, p_namespaces, p_thread_ids, p_names, p_user_ids, p_titles,
            p_created, p_updated, p_expires
        ) as entry (
            key, rows, namespace, thread_id, full_names, user_id, title,
            created_at, updated_at, expires_at
        )
    loop
        perform from parlant_store_thread
            where key = v_row.key and {is_staged_thread} for update;
        if not found or v_row.rows <> (
            select count(*) from parlant_store_checkpoint where thread_key = v_row.key
        ) + (
            select count(*) from parlant_store_channel_value where thread_key = v_row.key
        ) + (
            select count(*) from parlant_store_checkpoint_write where thread_key = v_row.key
        ) + (
            select count(*) from parlant_store_thread_message where thread_key = v_row.key
        ) then
            raise no_data_found using
                message = 'a sweep has deleted a thread that was being written';
        end if;
        for v_tries in 1 .. 100 loop
            v_is_named := parlant_store_name_thread(
                v_row.key, v_row.namespace, v_row.thread_id, p_replace, p_now
            );
            -- Another call may have created it meanwhile.
            exit when v_is_named or not p_replace;
        end loop;
        if v_is_named then
            update parlant_store_thread set
                full_names = v_row.full_names, user_id = v_row.user_id, title = v_row.title,
                created_at = v_row.created_at, updated_at = v_row.updated_at,
                expires_at = v_row.expires_at
            where key = v_row.key;
        end if;
        v_written := v_written || v_is_named;
    end loop;
    return v_written;
end $$;
