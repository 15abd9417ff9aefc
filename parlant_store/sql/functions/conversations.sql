-- The figures of Parlant sessions, which triggers keep (parlant_store/sql/triggers.py): active_minute
-- is the minute of the last activity since 1970, item_count the number of messages, failed_calls the
-- number of failed tool calls. Events are in the collection of the same prefix.

-- Trigger after a write of an event: updates the figures of its Parlant session. It sets
-- failed_calls only if the number changes, because that is a column of which triggers depend.
create or replace function {in_schema}parlant_store_count_event() returns trigger
language plpgsql{search_path} as $$
declare
    v_messages int;
    v_minute bigint;
begin
    if tg_op = 'UPDATE' and old.collection = new.collection
        and old.session_id is not distinct from new.session_id
        and old.failed_calls is not distinct from new.failed_calls
        and {minute_old} = {minute_new}
        and ({is_old_message}) = ({is_new_message})
    then
        return null;
    end if;
    if tg_op <> 'INSERT' and old.collection like '%events' and old.session_id is not null then
        v_messages := case when {is_old_message} then 1 else 0 end;
        if v_messages > 0 then
            update parlant_store_document set
                item_count = greatest(item_count - v_messages, 0),
                length_class = {length_after_removal}
            where collection = left(old.collection, -6) || 'sessions' and id = old.session_id
                and active_minute is not null;
        end if;
        if old.failed_calls > 0 then
            update parlant_store_document set
                failed_calls = greatest(failed_calls - {limited_old}, 0)
            where collection = left(old.collection, -6) || 'sessions' and id = old.session_id
                and active_minute is not null;
        end if;
    end if;
    if tg_op <> 'DELETE' and new.collection like '%events' and new.session_id is not null then
        v_messages := case when {is_new_message} then 1 else 0 end;
        v_minute := {minute_new};
        update parlant_store_document set
            active_minute = greatest(active_minute, v_minute),
            item_count = least(item_count, {max_figure}) + v_messages,
            length_class = {length_after_addition}
        where collection = left(new.collection, -6) || 'sessions' and id = new.session_id
            and active_minute is not null and (v_messages > 0 or v_minute > active_minute);
        if new.failed_calls > 0 then
            update parlant_store_document set
                failed_calls = least(coalesce(failed_calls, 0), {max_figure}) + {limited_new}
            where collection = left(new.collection, -6) || 'sessions' and id = new.session_id
                and active_minute is not null;
        end if;
    end if;
    return null;
end $$;

-- Trigger before a write of a Parlant session: sets its figures, or the time of its last activity.
-- A document that moves to another collection, such as that of failed migrations, loses them.
create or replace function {in_schema}parlant_store_count_session() returns trigger
language plpgsql{search_path} as $$
begin
    if new.collection not like '%sessions' then
        new.active_minute := null;
        new.item_count := null;
        new.length_class := null;
        new.failed_calls := null;
        return new;
    end if;
    if tg_op = 'INSERT' or new.active_minute is null or new.collection <> old.collection then
        select count(*) filter (where {is_message}),
                sum(least(greatest(failed_calls, 0), {max_figure})),
                max({minute})
            into new.item_count, new.failed_calls, new.active_minute
            from parlant_store_document
            where collection = left(new.collection, -8) || 'events' and session_id = new.id;
        new.length_class := {length_of_new};
    end if;
    new.active_minute := greatest(new.active_minute, {minute_new});
    return new;
end $$;

-- Sets the figures of Parlant sessions that have none.
create or replace function {in_schema}parlant_store_count_sessions()
returns bigint language plpgsql{search_path} as $$
declare
    v_sessions bigint;
begin
    -- All events of a collection are read at once.
    with sessions as (
        select name, left(name, -8) || 'events' as events
        from unnest(parlant_store_names()) as name where name like '%sessions'
    ), figures as (
        select d.collection, d.session_id,
            count(*) filter (where {is_d_message}) as messages,
            sum(least(greatest(d.failed_calls, 0), {max_figure})) as failed,
            max({minute_d}) as minute
        from parlant_store_document d
        where d.collection in (select events from sessions) and exists (
            select from parlant_store_document s
            where s.collection = left(d.collection, -6) || 'sessions' and s.id = d.session_id
                and s.active_minute is null
        )
        group by d.collection, d.session_id
    )
    update parlant_store_document s set
        active_minute = greatest(
            f.minute, {minute_s}
        ),
        item_count = coalesce(f.messages, 0), failed_calls = f.failed,
        length_class = {length_of_figures}
    from sessions
    join parlant_store_document d on d.collection = sessions.name and d.active_minute is null
    left join figures f on f.collection = sessions.events and f.session_id = d.id
    where s.collection = sessions.name and s.key = d.key;
    get diagnostics v_sessions = row_count;
    return v_sessions;
end $$;
