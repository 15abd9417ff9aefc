-- Writes to sessions. Each statement inside a plpgsql function sees what was committed before the
-- statement, so that a call that waited for the row of a session sees what the other transaction
-- wrote.

-- Deletes the session if it has expired, so that its id can be reused. If row level security hides
-- the session, this deletes nothing: after p_tries of more than 100 it raises an error.
create or replace function {in_schema}parlant_store_delete_expired(
    p_namespace text, p_session_id text, p_now timestamptz, p_tries bigint
) returns void language plpgsql{search_path} as $$
declare
    v_key bigint;
begin
    if p_tries > 100 then
        raise insufficient_privilege using message = 'the session belongs to another user';
    end if;
    select key into v_key from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id and expires_at <= p_now
        for update;
    perform parlant_store_delete_sessions(array[v_key], {max_deleted});
end $$;

-- Returns the sum of the array, which may be null.
create or replace function {in_schema}parlant_store_sum(bigint[])
returns bigint language plpgsql immutable{search_path} as $$
begin
    if $1 is null then
        return 0;
    end if;
    return (select coalesce(sum(number), 0) from unnest($1) as number);
end $$;

-- Appends items to a session, which is created if there is none; with p_replace, they replace the
-- items. p_names has the names that are too long for their columns; a null p_expires_at leaves
-- expires_at unchanged. The parameter without a name is p_total, the sum of the tokens. It has no
-- name so that over HTTP only parlant_store_once can call this function, after it has checked the
-- size of the arguments. Returns the number of items that the session now has.
create or replace function {in_schema}parlant_store_add_items(
    p_namespace text, p_session_id text, p_names text, p_user_id text,
    p_data text[], p_roles text[], p_texts text[], p_terms text[], p_tokens bigint[],
    p_failed bigint[], bigint, p_now timestamptz, p_expires_at timestamptz, p_replace boolean
) returns bigint language plpgsql{search_path} as $$
declare
    p_total alias for $11;
    v_count bigint := cardinality(p_data);
    v_turns bigint := cardinality(array_positions(p_roles, 'user'));
    v_failed bigint := case when p_failed is null then 0 else parlant_store_sum(p_failed) end;
    v_is_restricted boolean := row_security_active('parlant_store_session');
    v_key bigint;
    v_first bigint;
    v_turn bigint;
    v_items bigint;
begin
    if v_is_restricted then
        perform parlant_store_limit_items(p_data, p_texts);
    end if;
    for v_tries in 1 .. 1000 loop
        -- Most sessions exist, and an update is faster than an insert with a conflict. With
        -- policies, only the insert checks what the caller may insert.
        if not v_is_restricted then
            update parlant_store_session s set
                next_position = s.next_position + v_count,
                next_turn = case when p_replace then v_turns else s.next_turn + v_turns end,
                item_count = case when p_replace then v_count else s.item_count + v_count end,
                tokens = case
                    when p_replace then p_total else coalesce(s.tokens + p_total, s.tokens, p_total)
                end,
                usage = case when not p_replace then s.usage end,
                failed_calls = case when p_replace then v_failed else s.failed_calls + v_failed end,
                user_id = coalesce(s.user_id, p_user_id),
                full_names = case when s.user_id is null then p_names else s.full_names end,
                updated_at = p_now,
                expires_at = coalesce(p_expires_at, s.expires_at)
            where s.namespace = p_namespace and s.session_id = p_session_id
                and (s.expires_at is null or s.expires_at > p_now)
            returning s.key, s.next_position - v_count, s.next_turn - v_turns, s.item_count
                into v_key, v_first, v_turn, v_items;
            exit when found;
        end if;
        insert into parlant_store_session as s (
            namespace, session_id, full_names, user_id, metadata, state, next_position,
            next_turn, item_count, tokens, failed_calls, created_at, updated_at, expires_at
        ) values (
            p_namespace, p_session_id, p_names, p_user_id, '{}', '{}', v_count,
            v_turns, v_count, p_total, v_failed, p_now, p_now, p_expires_at
        )
        on conflict (namespace, session_id) do update set
            next_position = s.next_position + v_count,
            next_turn = case when p_replace then v_turns else s.next_turn + v_turns end,
            item_count = case when p_replace then v_count else s.item_count + v_count end,
            tokens = case
                when p_replace then p_total else coalesce(s.tokens + p_total, s.tokens, p_total)
            end,
            usage = case when not p_replace then s.usage end,
            failed_calls = case when p_replace then v_failed else s.failed_calls + v_failed end,
            user_id = coalesce(s.user_id, excluded.user_id),
            full_names = case
                when s.user_id is null then excluded.full_names else s.full_names
            end,
            updated_at = p_now,
            expires_at = coalesce(p_expires_at, s.expires_at)
        where s.expires_at is null or s.expires_at > p_now
        returning s.key, s.next_position - v_count, s.next_turn - v_turns, s.item_count
            into v_key, v_first, v_turn, v_items;
        exit when found;
        perform parlant_store_delete_expired(p_namespace, p_session_id, p_now, v_tries);
    end loop;
    if p_replace then
        delete from parlant_store_session_item where session_key = v_key;
    end if;
    if v_turns < 2 and p_tokens is null and p_failed is null then
        -- As below, but faster: most calls have so few items that this counts.
        insert into parlant_store_session_item
            (session_key, position, turn, role, text, data, terms, created_at)
            select v_key, v_first + ord - 1, case when role = 'user' then v_turn + 1 end, role,
                text, data, terms::tsvector, p_now
            from unnest(p_data, p_roles, p_texts, p_terms)
                with ordinality as item (data, role, text, terms, ord);
        return v_items;
    end if;
    insert into parlant_store_session_item
        (session_key, position, turn, role, text, data, terms, tokens, failed_calls, created_at)
        select v_key, v_first + ord - 1, {turn}, role, text, data, terms::tsvector, tokens,
            failed, p_now
        from unnest(p_data, p_roles, p_texts, p_terms, p_tokens, p_failed)
            with ordinality as item (data, role, text, terms, tokens, failed, ord);
    return v_items;
end $$;

-- Appends items to several sessions: the arrays have an element for each, those from p_data to
-- p_failed an array as text. Returns the number of items that each session now has. A locked
-- session fails the call after a short time, below PostgreSQL's deadlock_timeout, so that it does
-- not delay the other sessions.
create or replace function {in_schema}parlant_store_add_all(
    p_namespaces text[], p_session_ids text[], p_names text[], p_user_ids text[],
    p_data text[], p_roles text[], p_texts text[], p_terms text[], p_tokens text[],
    p_failed text[], bigint[], p_now timestamptz, p_expires_at timestamptz
) returns bigint[] language plpgsql{search_path}
set lock_timeout to '20ms' as $$
declare
    p_totals alias for $11;
    v_items bigint[];
begin
    -- One statement for all sessions, unless a policy applies or a session is given twice.
    if not row_security_active('parlant_store_session_item') and not exists (
        select from unnest(p_namespaces, p_session_ids) as name (namespace, session_id)
            group by namespace, session_id having count(*) > 1
    ) then
        with addition as materialized (
            select namespace, session_id, names, user_id,
                data::text[], roles::text[], texts::text[], terms::text[], tokens::bigint[],
                failed::bigint[], cardinality(data::text[]) as count,
                cardinality(array_positions(roles::text[], 'user')) as turns, total, ord
            from unnest(
                p_namespaces, p_session_ids, p_names, p_user_ids,
                p_data, p_roles, p_texts, p_terms, p_tokens, p_failed, p_totals
            ) with ordinality as addition (
                namespace, session_id, names, user_id,
                data, roles, texts, terms, tokens, failed, total, ord
            )
        ), session as (
            insert into parlant_store_session as s (
                namespace, session_id, full_names, user_id, metadata, state, next_position,
                next_turn, item_count, tokens, failed_calls, created_at, updated_at, expires_at
            )
            select namespace, session_id, names, user_id, '{}', '{}', count,
                turns, count, total, parlant_store_sum(failed), p_now, p_now, p_expires_at
                from addition
            on conflict (namespace, session_id) do update set
                next_position = s.next_position + excluded.next_position,
                next_turn = s.next_turn + excluded.next_turn,
                item_count = s.item_count + excluded.item_count,
                tokens = coalesce(s.tokens + excluded.tokens, s.tokens, excluded.tokens),
                failed_calls = s.failed_calls + excluded.failed_calls,
                user_id = coalesce(s.user_id, excluded.user_id),
                full_names = case
                    when s.user_id is null then excluded.full_names else s.full_names
                end,
                updated_at = p_now,
                expires_at = coalesce(p_expires_at, s.expires_at)
            where s.expires_at is null or s.expires_at > p_now
            returning namespace, session_id, key, next_position, next_turn, item_count
        ), item as (
            insert into parlant_store_session_item (
                session_key, position, turn, role, text, data, terms, tokens, failed_calls,
                created_at
            )
                select key, next_position - count + item.ord - 1, {turn_of_all}, item.role,
                    item.text, item.data, item.terms::tsvector, item.tokens, item.failed, p_now
                from addition join session using (namespace, session_id),
                    unnest(data, roles, texts, terms, addition.tokens, addition.failed)
                        with ordinality as item (data, role, text, terms, tokens, failed, ord)
        ) select array_agg(item_count order by ord) into v_items
            from addition left join session using (namespace, session_id);
        if array_position(v_items, null) is null then
            return v_items;
        end if;
    end if;
    -- The expired ones, or all, by one call each.
    select array_agg(coalesce(v_items[ord], parlant_store_add_items(
        namespace, session_id, names, user_id,
        data::text[], roles::text[], texts::text[], terms::text[], tokens::bigint[],
        failed::bigint[], total, p_now, p_expires_at, false
    )) order by ord) into v_items from unnest(
        p_namespaces, p_session_ids, p_names, p_user_ids,
        p_data, p_roles, p_texts, p_terms, p_tokens, p_failed, p_totals
    ) with ordinality as addition (
        namespace, session_id, names, user_id, data, roles, texts, terms, tokens, failed, total,
        ord
    );
    return v_items;
end $$;

-- Saves the state and the items of a session. With a null p_key, the new items replace all items.
-- Otherwise p_key, p_next and p_count are the revision of the session: if it has changed, nothing
-- is written. The first p_drop items are deleted, the next p_keep are kept, those after them are
-- deleted, and the new ones are appended. Returns the new revision, or nulls.
create or replace function {in_schema}parlant_store_save(
    p_namespace text, p_session_id text, p_names text, p_user_id text, p_state text,
    p_key bigint, p_next bigint, p_count bigint, p_drop bigint, p_keep bigint,
    p_data text[], p_roles text[], p_texts text[], p_terms text[], p_tokens bigint[],
    p_failed bigint[], bigint, p_now timestamptz, p_expires_at timestamptz,
    out v_key bigint, out v_next bigint, out v_items bigint
) language plpgsql{search_path} as $$
declare
    p_total alias for $17;
    v_count bigint := cardinality(p_data);
    v_turns bigint := cardinality(array_positions(p_roles, 'user'));
    v_tokens bigint;
    v_failed bigint;
    v_turn bigint;
    v_usage jsonb[];
    v_from bigint;
    v_to bigint;
    v_state jsonb := parlant_store_as_jsonb(p_state, {max_row}, 'a document');
begin
    perform parlant_store_limit_items(p_data, p_texts);
    if p_key is null then
        perform parlant_store_add_items(
            p_namespace, p_session_id, p_names, p_user_id,
            p_data, p_roles, p_texts, p_terms, p_tokens, p_failed, p_total, p_now, p_expires_at,
            true
        );
        update parlant_store_session set state = v_state
            where namespace = p_namespace and session_id = p_session_id
            returning key, next_position, item_count into v_key, v_next, v_items;
        return;
    end if;
    perform from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
            and key = p_key and next_position = p_next and item_count = p_count
            and (expires_at is null or expires_at > p_now)
        for update;
    if not found then
        return;
    end if;
    -- Ranges, so that the items between them are not read.
    v_from := -1;
    v_to := p_next;
    if p_keep > 0 and p_drop > 0 then
        select position into v_from from parlant_store_session_item
            where session_key = p_key order by position offset p_drop limit 1;
    end if;
    if p_keep = 0 then
        v_to := -1;
    elsif p_drop + p_keep < p_count then
        select position into v_to from parlant_store_session_item where session_key = p_key
            order by position desc offset p_count - p_drop - p_keep limit 1;
    end if;
    with before as (
        delete from parlant_store_session_item
            where session_key = p_key and position < v_from
            returning null::bigint as turn, tokens, failed_calls, usage
    ), after as (
        delete from parlant_store_session_item
            where session_key = p_key and position > v_to
            returning turn, tokens, failed_calls, usage
    ) select min(turn), {sums} into v_turn, v_tokens, v_failed, v_usage
        from (select * from before union all select * from after) deleted;
    update parlant_store_session s set
        state = v_state,
        next_position = s.next_position + v_count,
        next_turn = coalesce(v_turn - 1, s.next_turn) + v_turns,
        item_count = p_keep + v_count,
        tokens = nullif(coalesce(s.tokens, 0) - v_tokens + coalesce(p_total, 0), 0),
        usage = {usage_left},
        failed_calls = s.failed_calls - v_failed + parlant_store_sum(p_failed),
        user_id = coalesce(s.user_id, p_user_id),
        full_names = case when s.user_id is null then p_names else s.full_names end,
        updated_at = p_now,
        expires_at = coalesce(p_expires_at, s.expires_at)
    where s.key = p_key
    returning s.key, s.next_position, s.item_count, s.next_turn - v_turns
        into v_key, v_next, v_items, v_turn;
    insert into parlant_store_session_item
        (session_key, position, turn, role, text, data, terms, tokens, failed_calls, created_at)
        select p_key, p_next + ord - 1, {turn}, role, text, data, terms::tsvector, tokens,
            failed, p_now
        from unnest(p_data, p_roles, p_texts, p_terms, p_tokens, p_failed)
            with ordinality as item (data, role, text, terms, tokens, failed, ord);
end $$;

-- Deletes the latest item of a session and returns it; null if there is none.
create or replace function {in_schema}parlant_store_pop_item(
    p_namespace text, p_session_id text, p_now timestamptz, p_expires_at timestamptz
) returns text language plpgsql{search_path} as $$
declare
    v_key bigint;
    v_data text;
    v_tokens bigint;
    v_failed bigint;
    v_turn bigint;
    v_usage jsonb;
begin
    select key into v_key from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
            and (expires_at is null or expires_at > p_now)
        for update;
    delete from parlant_store_session_item where session_key = v_key and position = (
        select position from parlant_store_session_item
        where session_key = v_key order by position desc limit 1
    ) returning data, {tokens_of_item}, coalesce(failed_calls, 0), turn, usage
        into v_data, v_tokens, v_failed, v_turn, v_usage;
    if found then
        update parlant_store_session s set
            next_turn = coalesce(v_turn - 1, next_turn),
            item_count = item_count - 1,
            tokens = nullif(tokens - v_tokens, 0),
            usage = case
                when v_usage is null then usage
                else parlant_store_sum_usage(array[usage], array[v_usage])
            end,
            failed_calls = failed_calls - v_failed,
            updated_at = p_now,
            expires_at = coalesce(p_expires_at, expires_at)
        where key = v_key;
    end if;
    return v_data;
end $$;

-- Deletes all items of a session; returns false if there is no session.
create or replace function {in_schema}parlant_store_clear(
    p_namespace text, p_session_id text, p_now timestamptz, p_expires_at timestamptz
) returns boolean language plpgsql{search_path} as $$
declare
    v_key bigint;
begin
    update parlant_store_session set
        next_turn = 0,
        item_count = 0,
        tokens = null,
        usage = null,
        failed_calls = 0,
        updated_at = p_now,
        expires_at = coalesce(p_expires_at, expires_at)
    where namespace = p_namespace and session_id = p_session_id
        and (expires_at is null or expires_at > p_now)
    returning key into v_key;
    delete from parlant_store_session_item where session_key = v_key;
    return v_key is not null;
end $$;

-- Sets expires_at of a session, null for never; returns false if there is no session.
create or replace function {in_schema}parlant_store_set_expiry(
    p_namespace text, p_session_id text, p_expires_at timestamptz, p_now timestamptz
) returns boolean language plpgsql{search_path} as $$
begin
    update parlant_store_session set expires_at = p_expires_at
        where namespace = p_namespace and session_id = p_session_id
            and (expires_at is null or expires_at > p_now);
    return found;
end $$;

-- Deletes a session, or hides it if it has more than p_items items (null: no limit). Returns the
-- number of its items, null if there was no session or an expired one, and whether it is hidden.
create or replace function {in_schema}parlant_store_delete_session(
    p_namespace text, p_session_id text, p_now timestamptz, p_items bigint,
    out v_items bigint, out v_is_hidden boolean
) language plpgsql{search_path} as $$
declare
    v_key bigint;
begin
    select key, case when expires_at is null or expires_at > p_now then item_count end
        into v_key, v_items
        from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
        for update;
    v_is_hidden := parlant_store_delete_sessions(array[v_key], p_items);
end $$;

-- Replaces the metadata of a session or merges into it, and returns its text; creates the session
-- if there is none.
create or replace function {in_schema}parlant_store_set_metadata(
    p_namespace text, p_session_id text, p_names text, p_metadata text,
    p_now timestamptz, p_expires_at timestamptz, p_merge boolean
) returns text language plpgsql{search_path} as $$
declare
    v_new jsonb := parlant_store_as_jsonb(p_metadata, {max_row}, 'a document');
    v_metadata text;
begin
    for v_tries in 1 .. 1000 loop
        insert into parlant_store_session as s (
            namespace, session_id, full_names, metadata, state,
            next_position, item_count, failed_calls, created_at, updated_at, expires_at
        ) values (
            p_namespace, p_session_id, p_names, v_new, '{}',
            0, 0, 0, p_now, p_now, p_expires_at
        )
        on conflict (namespace, session_id) do update set
            metadata = case
                when p_merge then s.metadata || v_new else v_new
            end,
            updated_at = p_now,
            expires_at = coalesce(p_expires_at, s.expires_at)
        where s.expires_at is null or s.expires_at > p_now
        returning s.metadata into v_metadata;
        exit when found;
        perform parlant_store_delete_expired(p_namespace, p_session_id, p_now, v_tries);
    end loop;
    return v_metadata;
end $$;

-- Deletes at most p_limit expired sessions with their items, and at most p_limit expired documents.
-- Sessions are hidden instead if they have more than p_items items in all (null: no limit). Returns
-- the names of the sessions with the numbers of their items, the number of documents, and whether
-- there are or were hidden sessions. Locked rows are skipped.
create or replace function {in_schema}parlant_store_expire(
    p_now timestamptz, p_limit bigint, p_items bigint,
    out v_namespaces text[], out v_session_ids text[], out v_names text[],
    out v_items bigint[], out v_documents bigint, out v_is_hidden boolean,
    out v_threads bigint, out v_has_threads boolean
) language plpgsql{search_path} as $$
declare
    v_keys bigint[];
begin
    select array_agg(key), array_agg(namespace) filter (where not is_hidden),
            array_agg(session_id) filter (where not is_hidden),
            array_agg(full_names) filter (where not is_hidden),
            array_agg(item_count) filter (where not is_hidden), coalesce(bool_or(is_hidden), false)
        into v_keys, v_namespaces, v_session_ids, v_names, v_items, v_is_hidden
    from (
        select key, namespace, session_id, full_names, item_count,
            {is_hidden} as is_hidden
        from parlant_store_session where expires_at <= p_now
        order by expires_at limit p_limit for update skip locked
    ) expired;
    v_is_hidden := parlant_store_delete_sessions(v_keys, p_items) or v_is_hidden;
    delete from parlant_store_document where key in (
        select key from parlant_store_document where expires_at <= p_now
        order by expires_at limit p_limit for update skip locked
    );
    get diagnostics v_documents = row_count;
    perform parlant_store_forget_requests(p_limit);
    select expired.v_threads, expired.v_has_threads into v_threads, v_has_threads
        from parlant_store_expire_threads(p_now, p_limit) expired;
end $$;

-- The same for a scheduled job: rows that another table refers to are not deleted, and raise a
-- warning instead of an error. It needs a transaction of its own, whose constraints it checks.
create or replace function {in_schema}parlant_store_sweep(p_now timestamptz, p_limit bigint)
returns void language plpgsql{search_path} as $$
declare
    v_key bigint;
    v_name text;
    v_deleted bigint := 0;
begin
    begin
        perform parlant_store_expire(p_now, p_limit, null);
        set constraints all immediate;
        return;
    exception when foreign_key_violation or restrict_violation then
        perform parlant_store_forget_requests(p_limit);
    end;
    for v_key, v_name in
        select key, session_id from parlant_store_session where expires_at <= p_now
        order by expires_at for update skip locked
    loop
        begin
            delete from parlant_store_session_item where session_key = v_key;
            delete from parlant_store_session where key = v_key;
            set constraints all immediate;
            v_deleted := v_deleted + 1;
        exception when foreign_key_violation or restrict_violation then
            raise warning 'session % is not deleted: %', v_name, sqlerrm;
        end;
        exit when v_deleted >= p_limit;
    end loop;
    v_deleted := 0;
    for v_key, v_name in
        select key, id from parlant_store_document where expires_at <= p_now
        order by expires_at for update skip locked
    loop
        begin
            delete from parlant_store_document where key = v_key;
            set constraints all immediate;
            v_deleted := v_deleted + 1;
        exception when foreign_key_violation or restrict_violation then
            raise warning 'document % is not deleted: %', v_name, sqlerrm;
        end;
        exit when v_deleted >= p_limit;
    end loop;
end $$;
