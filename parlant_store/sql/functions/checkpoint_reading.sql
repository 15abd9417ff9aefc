-- Reads of threads over HTTP, of which each answer is JSON; bytes are in Base64.

-- Returns bytes for JSON.
create or replace function {in_schema}parlant_store_base64(bytea)
returns text language sql immutable{search_path} as $$
    select translate(encode($1, 'base64'), chr(10), '')
$$;

-- Returns the values of channels with these columns, and the bases of those that are differences.
create or replace function {in_schema}parlant_store_values_with_bases(
    bigint[], text[], text[], text[]
) returns table (
    thread_key bigint, checkpoint_ns text, channel text, version text, type text, value bytea
) language sql stable{search_path} as $$
    with found as materialized (
        select v.thread_key, v.checkpoint_ns, v.channel, v.version, v.type, v.value
        from unnest($1, $2, $3, $4) as named (thread_key, checkpoint_ns, channel, version)
        cross join lateral (
            select * from parlant_store_channel_value v
            where v.thread_key = named.thread_key and v.checkpoint_ns = named.checkpoint_ns
                and v.channel = named.channel and v.version = named.version
            limit 1
        ) v
    )
    select * from found
    union all
    select base.thread_key, base.checkpoint_ns, base.channel, base.version, base.type, base.value
    from (
        select distinct thread_key, checkpoint_ns, channel, {base_name} as version from found v
        where {base_name} is not null
    ) named
    cross join lateral (
        select * from parlant_store_channel_value v
        where v.thread_key = named.thread_key and v.checkpoint_ns = named.checkpoint_ns
            and v.channel = named.channel and v.version = named.version
        limit 1
    ) base
$$;

-- Returns the values of the channels of the checkpoints with the keys $1, with their bases.
create or replace function {in_schema}parlant_store_values_of_checkpoints(bigint[])
returns table (
    thread_key bigint, checkpoint_ns text, channel text, version text, type text, value bytea
) language sql stable{search_path} as $$
    select v.* from (
        select array_agg(thread_key) as threads, array_agg(checkpoint_ns) as namespaces,
            array_agg(key) as channels, array_agg(value) as versions
        from (
            select distinct c.thread_key, c.checkpoint_ns, version.key, version.value
            from parlant_store_checkpoint c cross join jsonb_each_text(c.versions) version
            where c.key = any ($1)
        ) named
    ) named
    cross join lateral parlant_store_values_with_bases(threads, namespaces, channels, versions) v
$$;

-- Returns the key of the thread; null if there is none, or if it has expired.
create or replace function {in_schema}parlant_store_thread_key(text, text, timestamptz)
returns bigint language sql stable{search_path} as $$
    select key from parlant_store_thread
    where namespace = $1 and thread_id = $2 and (expires_at is null or expires_at > $3)
$$;

-- Returns the checkpoints with the keys $1, the values of their channels, and the writes after them.
create or replace function {in_schema}parlant_store_checkpoint_rows(bigint[])
returns json language sql stable{search_path} as $$
    with c as materialized (
        select * from parlant_store_checkpoint where key = any ($1)
    ) select json_build_object(
        'checkpoints', (
            select coalesce(json_agg(json_build_array(
                c.key, c.thread_key, t.thread_id, t.full_names, c.checkpoint_ns, c.full_ns,
                c.checkpoint_id, c.parent_id, c.versions::text, c.metadata::text, c.type,
                parlant_store_base64(c.value)
            )), '[]') from c join parlant_store_thread t on t.key = c.thread_key
        ),
        'values', (
            select coalesce(json_agg(json_build_array(
                v.thread_key, v.checkpoint_ns, v.channel, v.version, v.type,
                parlant_store_base64(v.value)
            )), '[]') from parlant_store_values_of_checkpoints($1) v
        ),
        'writes', (
            select coalesce(json_agg(json_build_array(
                c.key, w.task_id, w.task_path, w.idx, w.channel, w.type,
                parlant_store_base64(w.value)
            )), '[]')
            from c cross join lateral (
                select * from parlant_store_checkpoint_write w
                where w.thread_key = c.thread_key and w.checkpoint_ns = c.checkpoint_ns
                    and w.checkpoint_id = c.checkpoint_id
                offset 0
            ) w
        )
    )
$$;

-- Raises an error if the checkpoints with the keys $1 are too many bytes for an answer.
create or replace function {in_schema}parlant_store_limit_checkpoints(bigint[])
returns void language plpgsql stable{search_path} as $$
begin
    if not row_security_active('parlant_store_checkpoint') then
        return;
    end if;
    perform parlant_store_limit_answer(sum(bytes)) from (
        select 1000 + octet_length(value) + octet_length(versions::text)
            + octet_length(metadata::text)
        from parlant_store_checkpoint where key = any ($1)
        union all
        select 200 + octet_length(value) from parlant_store_values_of_checkpoints($1)
        union all
        select 200 + octet_length(w.value)
        from parlant_store_checkpoint c cross join lateral (
            select value from parlant_store_checkpoint_write w
            where w.thread_key = c.thread_key and w.checkpoint_ns = c.checkpoint_ns
                and w.checkpoint_id = c.checkpoint_id
            offset 0
        ) w where c.key = any ($1)
    ) counted (bytes);
end $$;

-- Returns the key of a checkpoint of the thread $1; with a null $3 that of the latest one.
create or replace function {in_schema}parlant_store_checkpoint_key(bigint, text, text)
returns bigint language plpgsql stable{search_path} as $$
begin
    if $3 is null then
        return (
            select key from parlant_store_checkpoint where thread_key = $1 and checkpoint_ns = $2
            order by checkpoint_id desc limit 1
        );
    end if;
    return (
        select key from parlant_store_checkpoint
        where thread_key = $1 and checkpoint_ns = $2 and checkpoint_id = $3
    );
end $$;

-- Returns a checkpoint, or with a null p_checkpoint_id the latest one.
create or replace function {in_schema}parlant_store_get_checkpoint(
    p_namespace text, p_thread_id text, p_checkpoint_ns text, p_checkpoint_id text,
    p_now timestamptz
) returns json language plpgsql stable{search_path} as $$
declare
    v_keys bigint[] := array[parlant_store_checkpoint_key(
        parlant_store_thread_key(p_namespace, p_thread_id, p_now), p_checkpoint_ns, p_checkpoint_id
    )];
begin
    perform parlant_store_limit_checkpoints(v_keys);
    return parlant_store_checkpoint_rows(v_keys);
end $$;

-- Returns at most p_limit checkpoints, those of all threads if p_thread_id is null, with the
-- greatest ids before p_before and after the place of p_after_id and p_after_key. Nulls match any.
create or replace function {in_schema}parlant_store_list_checkpoints(
    p_namespace text, p_thread_id text, p_checkpoint_ns text, p_checkpoint_id text, p_filter text,
    p_before text, p_after_id text, p_after_key bigint, p_limit bigint, p_now timestamptz
) returns json language plpgsql stable{search_path} as $$
declare
    v_filter jsonb := parlant_store_as_jsonb(p_filter, {max_filter}, 'a filter');
    v_where text := 'c.thread_key in (select key from parlant_store_thread'
        ' where namespace = $1 and (expires_at is null or expires_at > $9))';
    v_keys bigint[];
begin
    -- Conditions that are not there must not keep the planner from an index.
    if p_thread_id is not null then
        v_where := 'c.thread_key = parlant_store_thread_key($1, $2, $9)';
    end if;
    v_where := v_where
        || case when p_checkpoint_ns is null then '' else ' and c.checkpoint_ns = $3' end
        || case when p_checkpoint_id is null then '' else ' and c.checkpoint_id = $4' end
        || case when p_filter is null then '' else ' and c.metadata @> $5' end
        || case when p_before is null then '' else ' and c.checkpoint_id < $6' end
        || case when p_after_id is null then '' else ' and (c.checkpoint_id, c.key) < ($7, $8)' end;
    execute 'select array(select c.key from parlant_store_checkpoint c where ' || v_where
        || ' order by c.checkpoint_id desc, c.key desc limit $10)'
        into v_keys using p_namespace, p_thread_id, p_checkpoint_ns, p_checkpoint_id, v_filter,
            p_before, p_after_id, p_after_key, p_now, p_limit;
    perform parlant_store_limit_checkpoints(v_keys);
    return parlant_store_checkpoint_rows(v_keys);
end $$;

-- Returns the checkpoint with the key $3 of the thread $1, and its ancestors to the nearest one with
-- a value of each channel in $4; $2 is their namespace.
create or replace function {in_schema}parlant_store_ancestors(bigint, text, bigint, text[])
returns table (
    channel text, checkpoint_id text, parent_id text, version text, has_value boolean,
    distance integer
) language sql stable{search_path} as $$
    with recursive ancestor (channel, checkpoint_id, parent_id, version, has_value, distance) as (
        select channel, c.checkpoint_id, c.parent_id, null, false, 0
        from parlant_store_checkpoint c cross join unnest($4) channel
        where c.key = $3
        union all
        select ancestor.channel, c.checkpoint_id, c.parent_id, c.versions ->> ancestor.channel,
            parlant_store_has_value($1, $2, c.versions, ancestor.channel), ancestor.distance + 1
        from ancestor join parlant_store_checkpoint c on c.thread_key = $1
            and c.checkpoint_ns = $2 and c.checkpoint_id = ancestor.parent_id
        where not ancestor.has_value and ancestor.distance < {max_distance}
    ) select * from ancestor
$$;

-- Returns the nearest values of the channels in the ancestors, with their bases.
create or replace function {in_schema}parlant_store_seeds(bigint, text, bigint, text[])
returns table (
    thread_key bigint, checkpoint_ns text, channel text, version text, type text, value bytea
) language sql stable{search_path} as $$
    select v.* from (
        select array_agg($1) as threads, array_agg($2) as namespaces,
            array_agg(channel) as channels, array_agg(version) as versions
        from parlant_store_ancestors($1, $2, $3, $4) where has_value
    ) named
    cross join lateral parlant_store_values_with_bases(threads, namespaces, channels, versions) v
$$;

-- Returns what tasks wrote to the channels since their values were last stored, and these values;
-- see parlant_store_get_checkpoint.
create or replace function {in_schema}parlant_store_get_channel_history(
    p_namespace text, p_thread_id text, p_checkpoint_ns text, p_checkpoint_id text,
    p_channels text[], p_now timestamptz
) returns json language plpgsql stable{search_path} as $$
declare
    v_thread bigint := parlant_store_thread_key(p_namespace, p_thread_id, p_now);
    v_key bigint := parlant_store_checkpoint_key(v_thread, p_checkpoint_ns, p_checkpoint_id);
begin
    perform parlant_store_limit(cardinality(p_channels), {max_conditions}, 'channels');
    if row_security_active('parlant_store_checkpoint') then
        perform parlant_store_limit_answer(sum(200 + octet_length(value))) from (
            select value from parlant_store_seeds(v_thread, p_checkpoint_ns, v_key, p_channels)
            union all
            select w.value
            from parlant_store_ancestors(v_thread, p_checkpoint_ns, v_key, p_channels) a
            join parlant_store_checkpoint_write w on w.thread_key = v_thread
                and w.checkpoint_ns = p_checkpoint_ns and w.checkpoint_id = a.checkpoint_id
                and w.channel = a.channel
            where a.distance > 0
        ) found;
    end if;
    return (
        with ancestor as materialized (
            select * from parlant_store_ancestors(v_thread, p_checkpoint_ns, v_key, p_channels)
        ) select json_build_object(
            'values', (
                select coalesce(json_agg(json_build_array(
                    v_thread, p_checkpoint_ns, v.channel, v.version, v.type,
                    parlant_store_base64(v.value)
                )), '[]')
                from parlant_store_seeds(v_thread, p_checkpoint_ns, v_key, p_channels) v
            ),
            'writes', (
                select coalesce(json_agg(json_build_array(
                    a.distance, w.task_id, w.task_path, w.idx, w.channel, w.type,
                    parlant_store_base64(w.value)
                )), '[]')
                from ancestor a cross join lateral (
                    select * from parlant_store_checkpoint_write w
                    where w.thread_key = v_thread and w.checkpoint_ns = p_checkpoint_ns
                        and w.checkpoint_id = a.checkpoint_id and w.channel = a.channel
                    offset 0
                ) w where a.distance > 0
            )
        )
    );
end $$;

-- Returns the thread with the key $1 as it is listed: title or name in the metadata of the latest
-- checkpoint, or the stored title, and the number of tasks after it that wait for an answer to an
-- interrupt.
create or replace function {in_schema}parlant_store_describe_thread(bigint)
returns json language sql stable{search_path} as $$
    with latest as (
        select checkpoint_id, metadata from parlant_store_checkpoint
        where thread_key = $1 and checkpoint_ns = '' order by checkpoint_id desc limit 1
    ) select json_build_array(
        namespace, thread_id, full_names, user_id, created_at, updated_at, expires_at,
        left(coalesce(
            (select coalesce(nullif(metadata ->> 'title', ''), nullif(metadata ->> 'name', ''))
                from latest),
            title
        ), {max_title}),
        (
            select count(*) from (
                select from parlant_store_checkpoint_write
                where thread_key = $1 and checkpoint_ns = ''
                    and checkpoint_id = (select checkpoint_id from latest)
                group by task_id having min(idx) = {interrupt} and max(idx) < 0
            ) task
        )
    ) from parlant_store_thread where key = $1
$$;

-- Returns at most p_limit threads after the one with the names, in their order. Nulls match any;
-- with p_is_expired, they are those that have expired instead of the others.
create or replace function {in_schema}parlant_store_list_threads(
    p_namespace text, p_user_id text, p_after_namespace text, p_after_thread_id text,
    p_is_expired boolean, p_limit bigint, p_now timestamptz
) returns json language sql stable{search_path} as $$
    select parlant_store_limit(coalesce(p_limit, {max_bigint}), {max_items}, 'threads'),
            parlant_store_limit_answer(sum(octet_length(concat(full_names, title))))
        from parlant_store_thread where row_security_active('parlant_store_thread');
    select coalesce(json_agg(parlant_store_describe_thread(key)), '[]') from (
        select * from parlant_store_thread
        where (p_namespace is null or namespace = p_namespace)
            and (p_user_id is null or user_id = p_user_id)
            and coalesce(expires_at <= p_now, false) = p_is_expired
            and (
                p_after_namespace is null
                or (namespace, thread_id) > (p_after_namespace, p_after_thread_id)
            )
        order by namespace, thread_id limit p_limit
    ) listed
$$;

-- Frees the id of a thread, which is too large to be deleted in one statement: it gets an id that
-- no caller can name, and has expired. Returns whether there was one that had not expired.
create or replace function {in_schema}parlant_store_hide_thread(
    p_namespace text, p_thread_id text, p_now timestamptz, p_until timestamptz
) returns boolean language sql{search_path} as $$
    with hidden as (
        update parlant_store_thread t set
            thread_id = chr(1) || chr(4) || gen_random_uuid(), full_names = null,
            expires_at = 'epoch'
        from (
            select key, expires_at is null or expires_at > p_now as is_live
            from parlant_store_thread where namespace = p_namespace and thread_id = p_thread_id
                and (p_until is null or updated_at <= p_until)
            for update
        ) found where t.key = found.key returning is_live
    ) select coalesce(bool_or(is_live), false) from hidden
$$;
