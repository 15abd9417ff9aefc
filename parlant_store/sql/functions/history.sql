-- Turns, usage and branches of sessions. A message of a user opens a turn: its item has the number of
-- the turn, and its usage. The usage of turn 0 is that of the first item.

-- Returns the sum of usage, less that of $2; null if nothing is left.
create or replace function {in_schema}parlant_store_sum_usage(jsonb[], jsonb[])
returns jsonb language sql immutable{search_path} as $$
    select case when bool_or(total > 0) then jsonb_object_agg(name, total) end from (
        select name, greatest(sum(count), 0) as total from (
            select key as name, value::text::numeric as count
                from unnest($1) as usage cross join jsonb_each(usage)
                where jsonb_typeof(usage) = 'object' and jsonb_typeof(value) = 'number'
            union all
            select key, -(value::text::numeric) from unnest($2) as usage cross join jsonb_each(usage)
                where jsonb_typeof(usage) = 'object' and jsonb_typeof(value) = 'number'
        ) counts group by name
    ) totals
$$;

-- Returns the position at which the turn $2 of the session with the key $1 starts; null if there is
-- none.
create or replace function {in_schema}parlant_store_start_of_turn(bigint, bigint)
returns bigint language plpgsql stable{search_path} as $$
begin
    if $2 = 0 then
        return 0;
    end if;
    return (
        select position from parlant_store_session_item where session_key = $1 and turn = $2 limit 1
    );
end $$;

-- Deletes the items of a session from the turn p_turn or the position p_position on, and appends
-- items. p_key, p_next and p_count are the revision of the session, or null: if it has changed,
-- nothing is written. Returns the numbers of deleted items, null if it has changed, and of those
-- that the session now has, null if there is no session; or that there is no such turn or position.
create or replace function {in_schema}parlant_store_replace_tail(
    p_namespace text, p_session_id text, p_names text, p_user_id text,
    p_turn bigint, p_position bigint, p_key bigint, p_next bigint, p_count bigint,
    p_data text[], p_roles text[], p_texts text[], p_terms text[], p_tokens bigint[],
    p_failed bigint[], bigint, p_now timestamptz, p_expires_at timestamptz,
    out deleted bigint, out items bigint, out is_missing boolean
) language plpgsql{search_path} as $$
declare
    p_total alias for $16;
    v_count bigint := cardinality(p_data);
    v_turns bigint := cardinality(array_positions(p_roles, 'user'));
    v_session parlant_store_session;
    v_start bigint;
    v_turn bigint;
    v_tokens bigint;
    v_failed bigint;
    v_usage jsonb[];
begin
    is_missing := false;
    perform parlant_store_limit_items(p_data, p_texts);
    select * into v_session from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
            and (expires_at is null or expires_at > p_now)
        for update;
    if not found then
        return;
    end if;
    items := v_session.item_count;
    v_start := case
        when p_turn is null then p_position
        else parlant_store_start_of_turn(v_session.key, p_turn)
    end;
    if p_key is not null and (v_session.key, v_session.next_position, v_session.item_count)
        is distinct from (p_key, p_next, p_count)
    then
        return;
    elsif v_start is null or v_start > v_session.next_position then
        is_missing := true;
        return;
    end if;
    with removed as (
        delete from parlant_store_session_item
            where session_key = v_session.key and position >= v_start
            returning turn, tokens, failed_calls, usage
    ) select count(*), min(turn), {sums} into deleted, v_turn, v_tokens, v_failed, v_usage from removed;
    update parlant_store_session s set
        next_position = s.next_position + v_count,
        next_turn = coalesce(v_turn - 1, s.next_turn) + v_turns,
        item_count = s.item_count - deleted + v_count,
        tokens = nullif(coalesce(s.tokens, 0) - v_tokens + coalesce(p_total, 0), 0),
        usage = {usage_left},
        failed_calls = s.failed_calls - v_failed + parlant_store_sum(p_failed),
        user_id = coalesce(s.user_id, p_user_id),
        full_names = case when s.user_id is null then p_names else s.full_names end,
        updated_at = p_now,
        expires_at = coalesce(p_expires_at, s.expires_at)
    where s.key = v_session.key
    returning s.item_count, s.next_turn - v_turns into items, v_turn;
    insert into parlant_store_session_item
        (session_key, position, turn, role, text, data, terms, tokens, failed_calls, created_at)
        select v_session.key, v_session.next_position + ord - 1, {turn}, role, text, data,
            terms::tsvector, tokens, failed, p_now
        from unnest(p_data, p_roles, p_texts, p_terms, p_tokens, p_failed)
            with ordinality as item (data, role, text, terms, tokens, failed, ord);
end $$;

-- Deletes all items of a session but the latest p_turns turns and the turns with the latest p_items
-- items, of which one may be null. Returns the number of deleted items.
create or replace function {in_schema}parlant_store_keep_latest(
    p_namespace text, p_session_id text, p_items bigint, p_turns bigint, p_now timestamptz
) returns bigint language plpgsql{search_path} as $$
declare
    v_key bigint;
    v_items bigint;
    v_next bigint;
    v_start bigint;
    v_deleted bigint;
    v_tokens bigint;
    v_failed bigint;
    v_usage jsonb[];
begin
    select key, item_count, next_position into v_key, v_items, v_next from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
            and (expires_at is null or expires_at > p_now)
        for update;
    if not found then
        return 0;
    end if;
    v_start := least(
        case
            when p_turns is null then null
            when p_turns = 0 then v_next
            else coalesce((
                select position from parlant_store_session_item
                where session_key = v_key and turn > 0 order by turn desc
                offset p_turns - 1 limit 1
            ), 0)
        end,
        case
            when p_items is null then null
            when p_items = 0 then v_next
            when p_items >= v_items then 0
            else coalesce((
                select position from parlant_store_session_item
                where session_key = v_key and turn > 0 and position <= (
                    select position from parlant_store_session_item
                    where session_key = v_key order by position desc offset p_items - 1 limit 1
                )
                order by turn desc limit 1
            ), 0)
        end
    );
    with removed as (
        delete from parlant_store_session_item
            where session_key = v_key and position < v_start
            returning turn, tokens, failed_calls, usage
    ) select count(*), {sums} into v_deleted, v_tokens, v_failed, v_usage from removed;
    if v_deleted > 0 then
        update parlant_store_session s set
            item_count = s.item_count - v_deleted,
            tokens = nullif(s.tokens - v_tokens, 0),
            usage = {usage_left},
            failed_calls = s.failed_calls - v_failed
        where s.key = v_key;
    end if;
    return v_deleted;
end $$;

-- Returns $1, the names of a copy that are too long for their columns, with that of its owner in $2,
-- those of the source. The name is copied as JSON text.
create or replace function {in_schema}parlant_store_copied_names(text, text)
returns text language plpgsql immutable{search_path} as $$
declare
    v_owner text := ($2::json -> 'user_id')::text;
begin
    return case
        when v_owner is null then $1
        when $1 is null then '{"user_id": ' || v_owner || '}'
        else left($1, -1) || ', "user_id": ' || v_owner || '}'
    end;
end $$;

-- Copies a session to the id p_target, and replaces a session of that id: all items, or those before
-- the turn p_turn or the position p_position. p_parent is the JSON of an id p_source that is too
-- long for its column. Without p_replace, it replaces no session; without p_usage, it has no usage of
-- turns. Returns the number of items, null if there is no session p_source; or that the session has
-- no such turn or position, or that there is a session p_target.
create or replace function {in_schema}parlant_store_branch(
    p_namespace text, p_source text, p_target text, p_names text, p_parent text,
    p_turn bigint, p_position bigint, p_replace boolean, p_usage boolean,
    p_now timestamptz, p_expires_at timestamptz,
    out items bigint, out is_missing boolean, out is_taken boolean
) language plpgsql{search_path} as $$
declare
    v_source parlant_store_session;
    v_key bigint;
    v_end bigint;
    v_last bigint;
    v_turn bigint;
    v_tokens bigint;
    v_failed bigint;
    v_usage jsonb[];
begin
    is_missing := false;
    is_taken := false;
    select * into v_source from parlant_store_session
        where namespace = p_namespace and session_id = p_source
            and (expires_at is null or expires_at > p_now)
        for update;
    if not found then
        return;
    end if;
    items := v_source.item_count;
    if p_source = p_target then
        return;
    end if;
    v_end := case
        when p_turn is not null then parlant_store_start_of_turn(v_source.key, p_turn)
        else coalesce(p_position, v_source.next_position)
    end;
    if v_end is null or v_end > v_source.next_position then
        is_missing := true;
        return;
    end if;
    is_taken := not p_replace and exists (
        select from parlant_store_session
        where namespace = p_namespace and session_id = p_target
            and (expires_at is null or expires_at > p_now)
    );
    if is_taken then
        return;
    end if;
    if p_replace then
        perform parlant_store_delete_session(p_namespace, p_target, p_now, {max_deleted});
    else
        -- Another branch of that id may have been made since.
        perform parlant_store_delete_expired(p_namespace, p_target, p_now, 1);
    end if;
    insert into parlant_store_session (
        namespace, session_id, full_names, user_id, metadata, state,
        next_position, next_turn, item_count, tokens, usage, failed_calls,
        parent_id, parent_name, created_at, updated_at, expires_at
    ) values (
        p_namespace, p_target,
        parlant_store_copied_names(p_names, v_source.full_names),
        v_source.user_id, v_source.metadata, v_source.state,
        v_end, v_source.next_turn, items, v_source.tokens, v_source.usage, v_source.failed_calls,
        p_source, p_parent, p_now, p_now, coalesce(p_expires_at, v_source.expires_at)
    ) on conflict (namespace, session_id) do nothing returning key into v_key;
    if v_key is null then
        is_taken := true;
        if p_replace then
            raise unique_violation using message = 'another session has the id of the branch';
        end if;
        return;
    end if;
    with copied as (
        insert into parlant_store_session_item (
            session_key, position, turn, role, text, data, terms, tokens, failed_calls, usage,
            created_at
        )
        select v_key, position, turn, role, text, data, terms, tokens, failed_calls,
            case when p_usage then usage end, created_at
        from parlant_store_session_item where session_key = v_source.key and position < v_end
        returning position, turn, tokens, failed_calls, usage
    ) select count(*), max(position), max(turn), {sums}
        into items, v_last, v_turn, v_tokens, v_failed, v_usage from copied;
    update parlant_store_session s set parent_position = v_last where s.key = v_key;
    if items < v_source.item_count or not p_usage then
        update parlant_store_session s set
            next_turn = coalesce(v_turn, 0), item_count = items, tokens = nullif(v_tokens, 0),
            usage = parlant_store_sum_usage(v_usage, null), failed_calls = v_failed
        where s.key = v_key;
    end if;
end $$;

-- Adds the usage p_usage, JSON of counts, to the turn p_turn, the last one if it is null, and to the
-- session. With p_replace, it replaces that of the turn. Returns whether there is the session; or
-- that there is no such turn.
create or replace function {in_schema}parlant_store_add_usage(
    p_namespace text, p_session_id text, p_usage text, p_turn bigint, p_replace boolean,
    p_now timestamptz, out is_found boolean, out is_missing boolean
) language plpgsql{search_path} as $$
declare
    v_new jsonb := parlant_store_as_jsonb(p_usage, {max_row}, 'usage');
    v_key bigint;
    v_turn bigint;
    v_item bigint;
    v_usage jsonb;
begin
    is_missing := false;
    select key, coalesce(p_turn, next_turn) into v_key, v_turn from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
            and (expires_at is null or expires_at > p_now)
        for update;
    is_found := found;
    if not is_found then
        return;
    end if;
    if v_turn > 0 then
        select key, usage into v_item, v_usage from parlant_store_session_item
            where session_key = v_key and turn = v_turn limit 1;
    else
        select key, usage into v_item, v_usage from (
            select key, usage, turn from parlant_store_session_item
            where session_key = v_key order by position limit 1
        ) first where turn is null;
    end if;
    if v_item is null and v_turn > 0 and p_turn is not null then
        is_missing := true;
        return;
    end if;
    v_usage := case when p_replace and v_item is not null then v_usage end;
    update parlant_store_session_item set usage = case
        when p_replace then parlant_store_sum_usage(array[v_new], null)
        else parlant_store_sum_usage(array[usage, v_new], null)
    end where key = v_item;
    update parlant_store_session set
        usage = parlant_store_sum_usage(array[usage, v_new], array[v_usage]),
        tokens = nullif(
            coalesce(tokens, 0) + coalesce((v_new ->> 'total_tokens')::bigint, 0)
                - coalesce((v_usage ->> 'total_tokens')::bigint, 0), 0
        )
    where key = v_key;
end $$;

-- Returns at most $4 first items of turns of the session with the key $1: those after the turn $2, or,
-- if $3, before it, the last one first. Without $5, their data is null.
create or replace function {in_schema}parlant_store_openers(bigint, bigint, boolean, bigint, boolean)
returns table (
    turn bigint, "position" bigint, text text, usage jsonb, created_at timestamptz, data text
) language sql stable{search_path} as $$
    (
        select turn, position, text, usage, created_at, case when $5 then data end
        from parlant_store_session_item
        where not $3 and session_key = $1 and turn > coalesce($2, 0) order by turn limit $4
    ) union all (
        select turn, position, text, usage, created_at, case when $5 then data end
        from parlant_store_session_item
        where $3 and session_key = $1 and turn < coalesce($2, {max_bigint})
        order by turn desc limit $4
    )
$$;

-- Returns the turns of a session, each as an array of number, position, text, usage, time, number of
-- items, and, with p_items, the text of the first item: at most p_limit after the turn p_after, or,
-- with p_newest, before it, the last one first.
create or replace function {in_schema}parlant_store_list_turns(
    p_namespace text, p_session_id text, p_after bigint, p_newest boolean, p_items boolean,
    p_limit bigint, p_now timestamptz
) returns json language plpgsql stable{search_path} as $$
declare
    v_key bigint := (
        select key from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
            and (expires_at is null or expires_at > p_now)
    );
begin
    if row_security_active('parlant_store_session_item') then
        perform parlant_store_limit_answer(
            sum(octet_length(concat(text, data)) + 200)
        ) from parlant_store_openers(v_key, p_after, p_newest, p_limit, p_items);
    end if;
    return (
        with opener as (
            select * from parlant_store_openers(v_key, p_after, p_newest, p_limit, p_items)
        ), turn_0 as (
            select 0::bigint as turn, min(position) as position, null::text as text,
                (array_agg(usage) filter (where usage is not null))[1] as usage,
                min(created_at) as created_at, count(*) as items, null::text as data
            from parlant_store_session_item
            where session_key = v_key
                and position < coalesce((
                    select position from parlant_store_session_item
                    where session_key = v_key and turn > 0 order by turn limit 1
                ), {max_bigint})
                and case
                    when p_newest then
                        coalesce(p_after > 0, true) and (select count(*) from opener) < p_limit
                    else p_after is null
                end
            having count(*) > 0
        ), counted as (
            select turn, position, text, usage, created_at, (
                select count(*) from parlant_store_session_item item
                where item.session_key = v_key and item.position >= opener.position
                    and item.position < coalesce((
                        select next.position from parlant_store_session_item next
                        where next.session_key = v_key and next.turn > opener.turn
                        order by next.turn limit 1
                    ), {max_bigint})
            ) as items, data from opener
            union all
            select * from turn_0
            order by turn limit case when not p_newest then p_limit end
        )
        select coalesce(json_agg(
            json_build_array(turn, position, text, usage, created_at, items, data)
            order by case when p_newest then -turn else turn end
        ), '[]') from counted
    );
end $$;

-- Returns the usage of a session and its tokens; null if there is no session.
create or replace function {in_schema}parlant_store_get_usage(
    p_namespace text, p_session_id text, p_now timestamptz
) returns json language sql stable{search_path} as $$
    select json_build_array(usage, tokens) from parlant_store_session
    where namespace = p_namespace and session_id = p_session_id
        and (expires_at is null or expires_at > p_now)
$$;

-- Returns arrays of the numbers of turns and their usage.
create or replace function {in_schema}parlant_store_get_usage_of_turns(
    p_namespace text, p_session_id text, p_now timestamptz
) returns json language sql stable{search_path} as $$
    with session as (
        select key from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
            and (expires_at is null or expires_at > p_now)
    )
    select coalesce(json_agg(json_build_array(turn, usage) order by turn), '[]') from (
        select turn, usage from parlant_store_session_item
        where session_key = (select key from session) and turn > 0 and usage is not null
        union all
        select 0, usage from (
            select turn, usage from parlant_store_session_item
            where session_key = (select key from session) order by position limit 1
        ) first where turn is null and usage is not null
    ) turns
$$;

-- Returns the branches of a session as they are listed, in the order of their creation. A branch that
-- is older than the session is one of an earlier session with the same id.
create or replace function {in_schema}parlant_store_list_branches(
    p_namespace text, p_session_id text, p_now timestamptz
) returns json language plpgsql stable{search_path} as $$
declare
    v_created timestamptz := (
        select created_at from parlant_store_session
        where namespace = p_namespace and session_id = p_session_id
            and (expires_at is null or expires_at > p_now)
    );
begin
    if row_security_active('parlant_store_session') then
        perform parlant_store_limit_answer(sum(1000 + octet_length(metadata::text)))
            from parlant_store_session
            where namespace = p_namespace and parent_id = p_session_id;
    end if;
    return (
        select coalesce(json_agg(parlant_store_describe(s) order by created_at, key), '[]')
        from parlant_store_session s
        where namespace = p_namespace and parent_id = p_session_id and created_at >= v_created
            and (expires_at is null or expires_at > p_now)
    );
end $$;
