-- Operations that must be one round trip and cannot be said in one plain statement.
-- Each statement inside a plpgsql function sees what was committed before it began, so
-- that a writer which waited for a session's row continues from what the other left.
-- {schema} is the schema of the tables.

-- Ends the session if its time has come, so that its id can begin a new life.
create or replace function {schema}.parlant_store_bury(
    p_namespace text, p_session_id text, p_now timestamptz
) returns void language plpgsql set search_path to {schema}, pg_temp as $$
declare
    v_key bigint;
begin
    select key into v_key from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id and expires_at <= p_now
        for update;
    delete from parlant_store_session_item where session_key = v_key;
    delete from parlant_store_session where key = v_key;
end $$;

-- Adds items after those of a session, which is begun if need be; with p_replace, in place
-- of them. p_names holds the names that were too long for their columns; a null p_expires_at
-- leaves the time as it is.
create or replace function {schema}.parlant_store_add_items(
    p_namespace text, p_session_id text, p_names text, p_user_id text,
    p_data text[], p_roles text[], p_texts text[],
    p_now timestamptz, p_expires_at timestamptz, p_replace boolean
) returns void language plpgsql set search_path to {schema}, pg_temp as $$
declare
    v_count bigint := cardinality(p_data);
    v_key bigint;
    v_first bigint;
begin
    loop
        insert into parlant_store_session as s (
            namespace, session_id, full_names, user_id, metadata, state,
            next_position, item_count, created_at, updated_at, expires_at
        ) values (
            p_namespace, p_session_id, p_names, p_user_id, '{}', '{}',
            v_count, v_count, p_now, p_now, p_expires_at
        )
        on conflict (namespace, session_id) do update set
            next_position = s.next_position + v_count,
            item_count = case when p_replace then v_count else s.item_count + v_count end,
            user_id = coalesce(s.user_id, excluded.user_id),
            full_names = case
                when s.user_id is null then excluded.full_names else s.full_names
            end,
            updated_at = p_now,
            expires_at = coalesce(p_expires_at, s.expires_at)
        where s.expires_at is null or s.expires_at > p_now
        returning s.key, s.next_position - v_count into v_key, v_first;
        exit when found;
        perform parlant_store_bury(p_namespace, p_session_id, p_now);
    end loop;
    if p_replace then
        delete from parlant_store_session_item where session_key = v_key;
    end if;
    insert into parlant_store_session_item (session_key, position, role, text, data, created_at)
        select v_key, v_first + ord - 1, role, text, data, p_now
        from unnest(p_data, p_roles, p_texts) with ordinality as item (data, role, text, ord);
end $$;

-- Adds to several sessions what the arrays say side by side, of which the last three hold
-- arrays as text. It waits for nobody longer than a moment, less than it takes PostgreSQL to
-- look for a deadlock: whoever holds one of the sessions must not hold up the others.
create or replace function {schema}.parlant_store_add_all(
    p_namespaces text[], p_session_ids text[], p_names text[], p_user_ids text[],
    p_data text[], p_roles text[], p_texts text[],
    p_now timestamptz, p_expires_at timestamptz
) returns void language plpgsql set search_path to {schema}, pg_temp
set lock_timeout to '20ms' as $$
begin
    perform parlant_store_add_items(
        namespace, session_id, names, user_id,
        data::text[], roles::text[], texts::text[], p_now, p_expires_at, false
    ) from unnest(
        p_namespaces, p_session_ids, p_names, p_user_ids, p_data, p_roles, p_texts
    ) as addition (namespace, session_id, names, user_id, data, roles, texts);
end $$;

-- Takes the latest item of a session away and returns it; null when there is none.
create or replace function {schema}.parlant_store_pop_item(
    p_namespace text, p_session_id text, p_now timestamptz, p_expires_at timestamptz
) returns text language plpgsql set search_path to {schema}, pg_temp as $$
declare
    v_key bigint;
    v_data text;
begin
    select key into v_key from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
            and (expires_at is null or expires_at > p_now)
        for update;
    delete from parlant_store_session_item where session_key = v_key and position = (
        select position from parlant_store_session_item
        where session_key = v_key order by position desc limit 1
    ) returning data into v_data;
    if found then
        update parlant_store_session set
            item_count = item_count - 1,
            updated_at = p_now,
            expires_at = coalesce(p_expires_at, expires_at)
        where key = v_key;
    end if;
    return v_data;
end $$;

-- Takes every item of a session away; the session stays.
create or replace function {schema}.parlant_store_clear(
    p_namespace text, p_session_id text, p_now timestamptz, p_expires_at timestamptz
) returns void language plpgsql set search_path to {schema}, pg_temp as $$
declare
    v_key bigint;
begin
    update parlant_store_session set
        item_count = 0,
        updated_at = p_now,
        expires_at = coalesce(p_expires_at, expires_at)
    where namespace = p_namespace and session_id = p_session_id
        and (expires_at is null or expires_at > p_now)
    returning key into v_key;
    delete from parlant_store_session_item where session_key = v_key;
end $$;

-- Ends a session and says whether it was alive.
create or replace function {schema}.parlant_store_delete_session(
    p_namespace text, p_session_id text, p_now timestamptz
) returns boolean language plpgsql set search_path to {schema}, pg_temp as $$
declare
    v_key bigint;
    v_alive boolean;
begin
    select key, expires_at is null or expires_at > p_now into v_key, v_alive
        from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
        for update;
    delete from parlant_store_session_item where session_key = v_key;
    delete from parlant_store_session where key = v_key;
    return coalesce(v_alive, false);
end $$;

-- Sets a session's metadata, or merges into it, and returns it; begins it if need be.
create or replace function {schema}.parlant_store_set_metadata(
    p_namespace text, p_session_id text, p_names text, p_metadata jsonb,
    p_now timestamptz, p_expires_at timestamptz, p_merge boolean
) returns jsonb language plpgsql set search_path to {schema}, pg_temp as $$
declare
    v_metadata jsonb;
begin
    loop
        insert into parlant_store_session as s (
            namespace, session_id, full_names, metadata, state,
            next_position, item_count, created_at, updated_at, expires_at
        ) values (
            p_namespace, p_session_id, p_names, p_metadata, '{}',
            0, 0, p_now, p_now, p_expires_at
        )
        on conflict (namespace, session_id) do update set
            metadata = case when p_merge then s.metadata || p_metadata else p_metadata end,
            updated_at = p_now,
            expires_at = coalesce(p_expires_at, s.expires_at)
        where s.expires_at is null or s.expires_at > p_now
        returning s.metadata into v_metadata;
        exit when found;
        perform parlant_store_bury(p_namespace, p_session_id, p_now);
    end loop;
    return v_metadata;
end $$;

-- Removes at most p_limit expired sessions with their items, and as many expired
-- documents; returns how many of both. Rows that others hold are left for the next call.
create or replace function {schema}.parlant_store_expire(
    p_now timestamptz, p_limit bigint, out v_sessions bigint, out v_documents bigint
) language plpgsql set search_path to {schema}, pg_temp as $$
declare
    v_keys bigint[];
begin
    select coalesce(array_agg(key), '{}') into v_keys from (
        select key from parlant_store_session where expires_at <= p_now
        order by expires_at limit p_limit for update skip locked
    ) expired;
    delete from parlant_store_session_item where session_key = any (v_keys);
    delete from parlant_store_session where key = any (v_keys);
    get diagnostics v_sessions = row_count;
    delete from parlant_store_document where key in (
        select key from parlant_store_document where expires_at <= p_now
        order by expires_at limit p_limit for update skip locked
    );
    get diagnostics v_documents = row_count;
end $$;
