-- Threads of graphs: their checkpoints, the values of channels, and the writes of tasks. Each
-- function locks the thread first, so that its writes follow one another.

-- Marks a value that a user writes: servers read it with other care. The policies of Supabase create
-- the triggers.
create or replace function {in_schema}parlant_store_mark_value()
returns trigger language plpgsql{search_path} as $$
begin
    new.type := '{user_mark}' || new.type;
    return new;
end $$;

-- Deletes the threads with the keys $1.
create or replace function {in_schema}parlant_store_delete_threads(bigint[])
returns void language plpgsql{search_path} as $$
begin
    delete from parlant_store_checkpoint_write where thread_key = any ($1);
    delete from parlant_store_channel_value where thread_key = any ($1);
    delete from parlant_store_thread_message where thread_key = any ($1);
    delete from parlant_store_checkpoint where thread_key = any ($1);
    delete from parlant_store_thread where key = any ($1);
end $$;

-- Returns the key of the thread, which is created if there is none: $1 is its namespace, $2 its id,
-- $3 has the names that are too long for their columns, $4 is the owner. Its last write is at $5,
-- and it expires at $6; null leaves that unchanged.
create or replace function {in_schema}parlant_store_open_thread(
    text, text, text, text, timestamptz, timestamptz
) returns bigint language plpgsql{search_path} as $$
declare
    v_is_restricted boolean := row_security_active('parlant_store_thread');
    v_key bigint;
begin
    for v_tries in 1 .. 1000 loop
        -- Most threads exist, and an update is faster than an insert with a conflict. With
        -- policies, only the insert checks what the caller may insert.
        if not v_is_restricted then
            update parlant_store_thread t set
                user_id = coalesce(t.user_id, $4),
                full_names = case when t.user_id is null then $3 else t.full_names end,
                updated_at = $5,
                expires_at = coalesce($6, t.expires_at)
            where t.namespace = $1 and t.thread_id = $2
                and (t.expires_at is null or t.expires_at > $5)
            returning t.key into v_key;
            exit when found;
        end if;
        insert into parlant_store_thread as t (
            namespace, thread_id, full_names, user_id, created_at, updated_at, expires_at
        ) values ($1, $2, $3, $4, $5, $5, $6)
        on conflict (namespace, thread_id) do update set
            user_id = coalesce(t.user_id, excluded.user_id),
            full_names = case
                when t.user_id is null then excluded.full_names else t.full_names
            end,
            updated_at = excluded.updated_at,
            expires_at = coalesce(excluded.expires_at, t.expires_at)
        where t.expires_at is null or t.expires_at > $5
        returning t.key into v_key;
        exit when found;
        -- If row level security hides the thread, nothing is deleted.
        if v_tries > 100 then
            raise insufficient_privilege using message = 'the thread belongs to another user';
        end if;
        select key into v_key from parlant_store_thread
            where namespace = $1 and thread_id = $2 and expires_at <= $5 for update;
        perform parlant_store_delete_threads(array[v_key]);
    end loop;
    return v_key;
end $$;

-- Returns the parts of $1 that follow one another and have the sizes $2. Drivers send one value of
-- bytes much faster than an array.
create or replace function {in_schema}parlant_store_parts(bytea, integer[])
returns bytea[] language plpgsql immutable{search_path} as $$
declare
    v_parts bytea[] := '{}';
    v_start integer := 1;
    v_size integer;
begin
    foreach v_size in array $2 loop
        v_parts := array_append(v_parts, substring($1 from v_start for v_size));
        v_start := v_start + v_size;
    end loop;
    return v_parts;
end $$;

-- Changes what a search finds of the thread with the key $1: $2 to $5 are the columns of texts. If $6,
-- others are deleted. $7 is the title of a thread without one, or null.
create or replace function {in_schema}parlant_store_put_messages(
    bigint, bigint[], bigint[], text[], text[], boolean, text
) returns void language plpgsql{search_path} as $$
declare
    v_added bigint;
begin
    if $6 then
        delete from parlant_store_thread_message where thread_key = $1 and digest <> all ($2);
    end if;
    -- The terms of those that exist are not parsed.
    insert into parlant_store_thread_message (thread_key, digest, number, text, terms)
        select $1, digest, number, text, terms::tsvector
        from unnest($2, $3, $4, $5) as added (digest, number, text, terms)
        where not exists (
            select from parlant_store_thread_message m
            where m.thread_key = $1 and m.digest = added.digest
        )
    on conflict (thread_key, digest) do nothing;
    get diagnostics v_added = row_count;
    if v_added < cardinality($2) then
        update parlant_store_thread_message m set number = added.number
            from unnest($2, $3) as added (digest, number)
            where m.thread_key = $1 and m.digest = added.digest and m.number <> added.number;
    end if;
    if $7 is not null then
        update parlant_store_thread set title = $7 where key = $1 and title is null;
    end if;
end $$;

-- Stores a checkpoint, and the values of the channels that have changed: the arrays from
-- p_channels on have an element for each, and p_values has the values one after another. A
-- checkpoint with the same id is replaced, except for its parent. Returns false, and writes nothing
-- but the thread, if a value is a difference from a base that is not stored. The
-- parameters from p_digests on are those of parlant_store_put_messages.
create or replace function {in_schema}parlant_store_put_checkpoint(
    p_namespace text, p_thread_id text, p_names text, p_user_id text,
    p_checkpoint_ns text, p_full_ns text, p_checkpoint_id text, p_parent_id text, p_run_id text,
    p_type text, p_value bytea, p_versions text, p_metadata text,
    p_channels text[], p_value_versions text[], p_types text[], p_sizes integer[], p_values bytea,
    p_digests bigint[], p_numbers bigint[], p_texts text[], p_terms text[], p_is_whole boolean,
    p_title text, p_now timestamptz, p_expires_at timestamptz
) returns boolean language plpgsql{search_path} as $$
declare
    v_key bigint := parlant_store_open_thread(
        p_namespace, p_thread_id, p_names, p_user_id, p_now, p_expires_at
    );
    v_base text;
begin
    for v_place in 1 .. cardinality(p_types) loop
        v_base := {base_name_in_place};
        continue when v_base is null or v_base = any (p_value_versions);
        perform from parlant_store_channel_value
            where thread_key = v_key and checkpoint_ns = p_checkpoint_ns
                and version = v_base and channel = p_channels[v_place];
        if not found then
            return false;
        end if;
    end loop;
    insert into parlant_store_checkpoint (
        thread_key, checkpoint_ns, full_ns, checkpoint_id, parent_id, run_id,
        type, value, versions, metadata, created_at
    ) values (
        v_key, p_checkpoint_ns, p_full_ns, p_checkpoint_id, p_parent_id, p_run_id,
        p_type, p_value, p_versions::jsonb, p_metadata::jsonb, p_now
    )
    on conflict (thread_key, checkpoint_ns, checkpoint_id) do update set
        run_id = excluded.run_id, type = excluded.type, value = excluded.value,
        versions = excluded.versions, metadata = excluded.metadata;
    insert into parlant_store_channel_value as v
        (thread_key, checkpoint_ns, channel, version, type, value)
        select v_key, p_checkpoint_ns, channel, version, type, value
        from unnest(
            p_channels, p_value_versions, p_types, parlant_store_parts(p_values, p_sizes)
        ) as changed (channel, version, type, value)
    on conflict (thread_key, checkpoint_ns, channel, version) do update set
        type = excluded.type, value = excluded.value
    where v.value <> excluded.value or v.type <> excluded.type;
    if p_is_whole or cardinality(p_digests) > 0 then
        perform parlant_store_put_messages(
            v_key, p_digests, p_numbers, p_texts, p_terms, p_is_whole, p_title
        );
    end if;
    return true;
end $$;

-- Stores what tasks wrote after a checkpoint: the arrays have an element for each write, and
-- p_values has the values one after another. Of writes with the same task and index, the first one
-- stays, or the last one if the index is below 0.
create or replace function {in_schema}parlant_store_put_writes(
    p_namespace text, p_thread_id text, p_names text, p_user_id text,
    p_checkpoint_ns text, p_checkpoint_id text,
    p_task_ids text[], p_task_paths text[], p_indexes integer[], p_channels text[],
    p_types text[], p_sizes integer[], p_values bytea,
    p_now timestamptz, p_expires_at timestamptz
) returns boolean language plpgsql{search_path} as $$
declare
    v_key bigint := parlant_store_open_thread(
        p_namespace, p_thread_id, p_names, p_user_id, p_now, p_expires_at
    );
begin
    insert into parlant_store_checkpoint_write as w (
        thread_key, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value
    )
        select v_key, p_checkpoint_ns, p_checkpoint_id, task_id, task_path, idx, channel, type,
            value
        from unnest(
            p_task_ids, p_task_paths, p_indexes, p_channels, p_types,
            parlant_store_parts(p_values, p_sizes)
        ) as written (task_id, task_path, idx, channel, type, value)
    on conflict (thread_key, checkpoint_ns, checkpoint_id, task_id, idx) do update set
        task_path = excluded.task_path, channel = excluded.channel, type = excluded.type,
        value = excluded.value
    where w.idx < 0;
    return true;
end $$;

-- Deletes the thread, unless it was written later than p_until, which may be null; returns whether
-- there was one that had not expired.
create or replace function {in_schema}parlant_store_delete_thread(
    p_namespace text, p_thread_id text, p_now timestamptz, p_until timestamptz
) returns boolean language plpgsql{search_path} as $$
declare
    v_key bigint;
    v_is_live boolean;
begin
    select key, expires_at is null or expires_at > p_now into v_key, v_is_live
        from parlant_store_thread where namespace = p_namespace and thread_id = p_thread_id
            and (p_until is null or updated_at <= p_until)
        for update;
    if v_key is not null then
        perform parlant_store_delete_threads(array[v_key]);
    end if;
    return coalesce(v_is_live, false);
end $$;

-- Deletes at most p_limit rows of expired threads. Returns the number of threads of which nothing
-- is left, and whether there may be more.
create or replace function {in_schema}parlant_store_expire_threads(
    p_now timestamptz, p_limit bigint, out v_threads bigint, out v_has_threads boolean
) language plpgsql{search_path} as $$
declare
    v_remaining bigint := p_limit;
    v_rows bigint;
    v_key bigint;
begin
    v_threads := 0;
    for v_key in
        select key from parlant_store_thread where expires_at <= p_now
            -- Another call is writing it (parlant_store_stage_threads).
            and not ({is_staged_thread} and created_at > p_now - interval '1 hour')
        order by expires_at limit p_limit for update skip locked
    loop
        delete from parlant_store_checkpoint_write where key in (
            select key from parlant_store_checkpoint_write
            where thread_key = v_key limit v_remaining
        );
        get diagnostics v_rows = row_count;
        v_remaining := v_remaining - v_rows;
        delete from parlant_store_channel_value where key in (
            select key from parlant_store_channel_value where thread_key = v_key limit v_remaining
        );
        get diagnostics v_rows = row_count;
        v_remaining := v_remaining - v_rows;
        delete from parlant_store_thread_message where key in (
            select key from parlant_store_thread_message where thread_key = v_key limit v_remaining
        );
        get diagnostics v_rows = row_count;
        v_remaining := v_remaining - v_rows;
        delete from parlant_store_checkpoint where key in (
            select key from parlant_store_checkpoint where thread_key = v_key limit v_remaining
        );
        get diagnostics v_rows = row_count;
        v_remaining := v_remaining - v_rows;
        exit when v_remaining = 0;
        delete from parlant_store_thread where key = v_key;
        v_threads := v_threads + 1;
        v_remaining := v_remaining - 1;
        exit when v_remaining = 0;
    end loop;
    v_has_threads := v_remaining = 0;
end $$;

-- Deletes the checkpoints with the keys $2 of the thread with the key $1, with the writes after
-- them, the values that no other checkpoint has, and the bases of which no difference is left.
create or replace function {in_schema}parlant_store_delete_checkpoints(bigint, bigint[])
returns void language plpgsql{search_path} as $$
begin
    delete from parlant_store_checkpoint_write w using parlant_store_checkpoint c
        where c.thread_key = $1 and c.key = any ($2) and w.thread_key = $1
            and w.checkpoint_ns = c.checkpoint_ns and w.checkpoint_id = c.checkpoint_id;
    delete from parlant_store_checkpoint where thread_key = $1 and key = any ($2);
    with used as materialized (
        select distinct c.checkpoint_ns, version.key as channel, version.value as version
        from parlant_store_checkpoint c cross join jsonb_each_text(c.versions) version
        where c.thread_key = $1
    ), needed as materialized (
        select * from used
        union all
        select v.checkpoint_ns, v.channel, {base_name}
        from used join parlant_store_channel_value v on v.thread_key = $1
            and v.checkpoint_ns = used.checkpoint_ns and v.channel = used.channel
            and v.version = used.version
        where {base_name} is not null
    ) delete from parlant_store_channel_value v
        where v.thread_key = $1 and not exists (
            select from needed
            where needed.checkpoint_ns = v.checkpoint_ns and needed.channel = v.channel
                and needed.version = v.version
        );
end $$;

-- Deletes the checkpoints of the runs; returns their number.
create or replace function {in_schema}parlant_store_delete_runs(
    p_namespace text, p_run_ids text[]
) returns bigint language plpgsql{search_path} as $$
declare
    v_thread bigint;
    v_keys bigint[];
    v_count bigint := 0;
begin
    for v_thread in
        select key from parlant_store_thread where namespace = p_namespace and key in (
            select thread_key from parlant_store_checkpoint where run_id = any (p_run_ids)
        )
        order by key for update
    loop
        v_keys := array(
            select key from parlant_store_checkpoint
            where run_id = any (p_run_ids) and thread_key = v_thread
        );
        perform parlant_store_delete_checkpoints(v_thread, v_keys);
        v_count := v_count + cardinality(v_keys);
    end loop;
    return v_count;
end $$;

-- Copies a thread; p_names has the names of the target that are too long for their columns. Returns
-- whether there was a source. With p_replace, a thread with the id of the target is replaced;
-- otherwise it is left, and the result is null.
create or replace function {in_schema}parlant_store_copy_thread(
    p_namespace text, p_source text, p_target text, p_names text, p_replace boolean,
    p_now timestamptz, p_expires_at timestamptz
) returns boolean language plpgsql{search_path} as $$
declare
    v_source parlant_store_thread;
    v_key bigint;
begin
    select * into v_source from parlant_store_thread
        where namespace = p_namespace and thread_id = p_source
            and (expires_at is null or expires_at > p_now)
        for update;
    if not found then
        return false;
    end if;
    if p_source = p_target then
        return true;
    end if;
    p_names := parlant_store_copied_names(p_names, v_source.full_names);
    if p_replace then
        perform parlant_store_delete_thread(p_namespace, p_target, p_now, null);
        v_key := parlant_store_open_thread(
            p_namespace, p_target, p_names, v_source.user_id, p_now, p_expires_at
        );
    else
        perform parlant_store_delete_threads(array(
            select key from parlant_store_thread
            where namespace = p_namespace and thread_id = p_target and expires_at <= p_now
            for update
        ));
        insert into parlant_store_thread (
            namespace, thread_id, full_names, user_id, created_at, updated_at, expires_at
        ) values (
            p_namespace, p_target, p_names, v_source.user_id, p_now, p_now, p_expires_at
        ) on conflict (namespace, thread_id) do nothing returning key into v_key;
        if v_key is null then
            return null;
        end if;
    end if;
    update parlant_store_thread set title = v_source.title where key = v_key;
    insert into parlant_store_thread_message (thread_key, digest, number, text, terms)
        select v_key, digest, number, text, terms
        from parlant_store_thread_message where thread_key = v_source.key;
    insert into parlant_store_checkpoint (
        thread_key, checkpoint_ns, full_ns, checkpoint_id, parent_id, run_id,
        type, value, versions, metadata, created_at
    )
        select v_key, checkpoint_ns, full_ns, checkpoint_id, parent_id, run_id,
            type, value, versions, metadata, created_at
        from parlant_store_checkpoint where thread_key = v_source.key;
    insert into parlant_store_channel_value
        (thread_key, checkpoint_ns, channel, version, type, value)
        select v_key, checkpoint_ns, channel, version, type, value
        from parlant_store_channel_value where thread_key = v_source.key;
    insert into parlant_store_checkpoint_write (
        thread_key, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value
    )
        select v_key, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value
        from parlant_store_checkpoint_write where thread_key = v_source.key;
    return true;
end $$;

-- Whether the channel $4 has a stored value at its version in $3; $1 is the key of the thread, $2
-- the namespace of the checkpoint.
create or replace function {in_schema}parlant_store_has_value(bigint, text, jsonb, text)
returns boolean language sql stable{search_path} as $$
    select exists (
        select from parlant_store_channel_value
        where thread_key = $1 and checkpoint_ns = $2 and channel = $4 and version = $3 ->> $4
    )
$$;

-- Deletes all checkpoints of the thread with the key $1 but the latest $2 of each namespace, and
-- their ancestors that have what they lack. All of a subgraph's call is deleted with the checkpoint
-- that it started from. Returns the number of deleted checkpoints; if $3, none is deleted.
create or replace function {in_schema}parlant_store_prune_thread(bigint, bigint, boolean)
returns bigint language plpgsql{search_path} as $$
declare
    v_keys bigint[];
begin
    with recursive head as materialized (
        select * from (
            select *, row_number() over (
                partition by checkpoint_ns order by checkpoint_id desc
            ) as place
            from parlant_store_checkpoint where thread_key = $1
        ) ordered where place <= $2
    ), ancestor (key, parent_id, checkpoint_ns, channel, has_value, distance) as (
        select c.key, c.parent_id, c.checkpoint_ns, channel,
            parlant_store_has_value($1, c.checkpoint_ns, c.versions, channel), 0
        from head c cross join lateral jsonb_object_keys(
            case jsonb_typeof(c.metadata -> 'counters_since_delta_snapshot')
                when 'object' then c.metadata -> 'counters_since_delta_snapshot' else '{}'
            end
        ) as channel
        union all
        select c.key, c.parent_id, c.checkpoint_ns, channel,
            parlant_store_has_value($1, c.checkpoint_ns, c.versions, channel), distance + 1
        from ancestor join parlant_store_checkpoint c on c.thread_key = $1
            and c.checkpoint_ns = ancestor.checkpoint_ns
            and c.checkpoint_id = ancestor.parent_id
        where not has_value and distance < {max_distance}
    ), kept as materialized (
        select key from head union select key from ancestor
    ), ended as materialized (
        select head.checkpoint_ns from head join parlant_store_checkpoint root
            on root.thread_key = $1 and root.checkpoint_ns = ''
            and root.checkpoint_id = head.metadata -> 'parents' ->> ''
        where place = 1 and strpos(head.checkpoint_ns, ':') > 0 and root.key not in (select key from kept)
    ) select array_agg(key) into v_keys from parlant_store_checkpoint
        where thread_key = $1 and (
            key not in (select key from kept)
            or checkpoint_ns in (select checkpoint_ns from ended)
        );
    if v_keys is null or $3 then
        return coalesce(cardinality(v_keys), 0);
    end if;
    perform parlant_store_delete_checkpoints($1, v_keys);
    update parlant_store_checkpoint c set parent_id = null
        where thread_key = $1 and parent_id is not null and not exists (
            select from parlant_store_checkpoint p
            where p.thread_key = $1 and p.checkpoint_ns = c.checkpoint_ns
                and p.checkpoint_id = c.parent_id
        );
    return cardinality(v_keys);
end $$;

-- Prunes the threads with these names, as parlant_store_prune_thread does. Returns the number of
-- deleted checkpoints of each.
create or replace function {in_schema}parlant_store_prune_threads(
    p_namespaces text[], p_thread_ids text[], p_keep bigint, p_is_dry_run boolean,
    p_now timestamptz
) returns bigint[] language plpgsql{search_path} as $$
declare
    v_counts bigint[] := array_fill(0::bigint, array[cardinality(p_thread_ids)]);
    v_key bigint;
    v_place bigint;
begin
    for v_key, v_place in
        select key, ord from parlant_store_thread join unnest(p_namespaces, p_thread_ids)
            with ordinality as name (namespace, thread_id, ord) using (namespace, thread_id)
        where expires_at is null or expires_at > p_now
        order by key for update of parlant_store_thread
    loop
        v_counts[v_place] := parlant_store_prune_thread(v_key, p_keep, p_is_dry_run);
    end loop;
    return v_counts;
end $$;
