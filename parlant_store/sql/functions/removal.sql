-- Deletes sessions with many items in steps. The first step hides the session: it gets an id that
-- no caller can name, because in their ids chr(2) or chr(3) follows chr(1), and an expires_at
-- before all others. No read returns it, and its old id can be reused. The next steps delete its
-- items and at last its row.

-- Deletes the sessions with the keys $1, those with few items first, as long as they have at most
-- $2 items in all (null: no limit), and hides the others. Returns whether it hid some. If other
-- tables refer to sessions or items, it deletes all of them at once, because these tables may
-- protect a session.
create or replace function {in_schema}parlant_store_delete_sessions(bigint[], bigint)
returns boolean language plpgsql{search_path} as $$
declare
    v_keys bigint[] := $1;
    v_hidden bigint[];
begin
    select array_agg(key) into v_hidden from (
        select key, sum(item_count) over (order by item_count, key) as items
        from parlant_store_session where key = any ($1)
    ) counted where items > $2;
    if v_hidden is not null and exists (
        select from pg_constraint
        where contype = 'f' and conrelid <> 'parlant_store_session_item'::regclass
            and confrelid in (
                'parlant_store_session'::regclass, 'parlant_store_session_item'::regclass
            )
    ) then
        v_hidden := null;
    end if;
    if v_hidden is not null then
        update parlant_store_session set
            session_id = chr(1) || chr(4) || gen_random_uuid(), full_names = null,
            metadata = '{}', state = '{}', expires_at = 'epoch'
        where key = any (v_hidden) and not {is_hidden};
        v_keys := array(select key from unnest($1) key where key <> all (v_hidden));
    end if;
    delete from parlant_store_session_item where session_key = any (v_keys);
    delete from parlant_store_session where key = any (v_keys);
    return v_hidden is not null;
end $$;

-- Deletes at most p_limit rows of hidden sessions; returns whether there may be more.
create or replace function {in_schema}parlant_store_delete_hidden(p_limit bigint)
returns boolean language plpgsql{search_path} as $$
declare
    v_remaining bigint := p_limit;
    v_key bigint;
    v_items bigint;
begin
    for v_key in
        select key from parlant_store_session
        where expires_at = 'epoch' and {is_hidden}
        order by key limit p_limit for update skip locked
    loop
        delete from parlant_store_session_item where key in (
            select key from parlant_store_session_item
            where session_key = v_key order by position limit v_remaining
        );
        get diagnostics v_items = row_count;
        v_remaining := v_remaining - v_items;
        exit when v_remaining = 0;
        delete from parlant_store_session where key = v_key;
        v_remaining := v_remaining - 1;
        exit when v_remaining = 0;
    end loop;
    return v_remaining = 0;
end $$;
