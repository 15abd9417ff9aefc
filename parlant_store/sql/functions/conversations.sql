-- The figures of Parlant sessions, which triggers keep (parlant_store/sql/triggers.py): active_minute
-- is the minute of the last activity since 1970, item_count the number of messages, failed_calls the
-- number of failed tool calls. Events are in the collection of the same prefix.

-- Trigger after a write of an event: updates the figures of its Parlant session.
create or replace function {in_schema}parlant_store_count_event() returns trigger
language plpgsql{search_path} as $$
declare
    v_messages int;
    v_failed bigint;
    v_minute bigint;
begin
    if tg_op <> 'INSERT' then
        v_messages := case when {is_old_message} then 1 else 0 end;
        v_failed := {limited_old};
        update parlant_store_document set
            item_count = greatest(item_count - v_messages, 0),
            length_class = {length_after_removal},
            failed_calls = greatest(failed_calls - v_failed, 0)
        where collection = left(old.collection, -6) || 'sessions' and id = old.session_id
            and active_minute is not null and (v_messages > 0 or v_failed > 0);
    end if;
    if tg_op <> 'DELETE' then
        v_messages := case when {is_new_message} then 1 else 0 end;
        v_failed := {limited_new};
        v_minute := {minute_new};
        update parlant_store_document set
            active_minute = greatest(active_minute, v_minute),
            item_count = least(item_count, {max_figure}) + v_messages,
            length_class = {length_after_addition},
            failed_calls = least(coalesce(failed_calls, 0), {max_figure}) + v_failed
        where collection = left(new.collection, -6) || 'sessions' and id = new.session_id
            and active_minute is not null
            and (v_messages > 0 or v_failed > 0 or v_minute > active_minute);
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
