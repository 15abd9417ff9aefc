-- Threads and their checkpoints without values.

-- Returns a thread; null if there is none, or if it has expired.
create or replace function {in_schema}parlant_store_get_thread(
    p_namespace text, p_thread_id text, p_now timestamptz
) returns json language sql stable{search_path} as $$
    select parlant_store_describe_thread(key) from parlant_store_thread
    where namespace = p_namespace and thread_id = p_thread_id
        and (expires_at is null or expires_at > p_now)
$$;

-- Sets expires_at of a thread, null for never; returns false if there is no thread.
create or replace function {in_schema}parlant_store_set_thread_expiry(
    p_namespace text, p_thread_id text, p_expires_at timestamptz, p_now timestamptz
) returns boolean language plpgsql{search_path} as $$
begin
    update parlant_store_thread set expires_at = p_expires_at
        where namespace = p_namespace and thread_id = p_thread_id
            and (expires_at is null or expires_at > p_now);
    return found;
end $$;

-- Returns at most p_limit checkpoints after the place of p_after_id and p_after_key, with the
-- versions of their parents, and the number of writes after each by task and channel.
create or replace function {in_schema}parlant_store_list_checkpoint_infos(
    p_namespace text, p_thread_id text, p_after_id text, p_after_key bigint, p_limit bigint,
    p_now timestamptz
) returns json language sql stable{search_path} as $$
    with c as materialized (
        select * from parlant_store_checkpoint
        where thread_key = parlant_store_thread_key(p_namespace, p_thread_id, p_now)
            and (p_after_id is null or (checkpoint_id, key) < (p_after_id, p_after_key))
        order by checkpoint_id desc, key desc limit p_limit
    ) select json_build_object(
        'checkpoints', (
            select coalesce(json_agg(json_build_array(
                c.key, c.checkpoint_ns, c.full_ns, c.checkpoint_id, c.parent_id, c.created_at,
                c.metadata::text, c.versions::text, p.versions::text
            )), '[]')
            from c left join parlant_store_checkpoint p on p.thread_key = c.thread_key
                and p.checkpoint_ns = c.checkpoint_ns and p.checkpoint_id = c.parent_id
        ),
        'written', (
            select coalesce(json_agg(json_build_array(
                key, task_id, channel, writes, first_idx, last_idx
            )), '[]')
            from (
                select c.key, w.task_id, w.channel,
                    count(*) as writes, min(w.idx) as first_idx, max(w.idx) as last_idx
                from c cross join lateral (
                    select * from parlant_store_checkpoint_write w
                    where w.thread_key = c.thread_key and w.checkpoint_ns = c.checkpoint_ns
                        and w.checkpoint_id = c.checkpoint_id
                    offset 0
                ) w
                group by c.key, w.task_id, w.channel
            ) written
        )
    )
$$;

-- Returns the threads with messages that match p_query, as parlant_store_search_rows does.
create or replace function {in_schema}parlant_store_search_threads(
    p_query text, p_namespace text, p_limit bigint, p_texts bigint, p_now timestamptz
) returns json language sql stable{search_path} as $$
    select parlant_store_search_rows(
        'parlant_store_thread_message', 'thread_key', 'number', 'text',
        'parlant_store_thread', 'thread_id',
        p_query, p_namespace, p_limit, p_texts, p_now
    )
$$;
