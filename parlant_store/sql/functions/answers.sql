-- The rows of parlant_store_request, for parlant_store_once alone. With the policy "owner" users may not
-- use the table: functions of the private schema take the place of what is here.

-- Stores the id $1 of a request. Returns null if it is new, otherwise the stored answer, in an array.
create or replace function {in_schema}parlant_store_begin_request(uuid)
returns text[] language plpgsql{search_path} as $$
declare
    v_answer text;
    v_recent boolean;
begin
    for v_tries in 1 .. 10 loop
        insert into parlant_store_request (id) values ($1) on conflict do nothing;
        if found then
            return null;
        end if;
        select answer, created_at > now() - interval '1 hour' into v_answer, v_recent
            from parlant_store_request where id = $1;
        if v_recent then
            return array[v_answer];
        end if;
        delete from parlant_store_request
            where id = $1 and created_at <= now() - interval '1 hour';
    end loop;
    raise insufficient_privilege using message = 'the request id was used by somebody else';
end $$;

-- Stores the answer $2 of the request $1, or forgets the request unless $3.
create or replace function {in_schema}parlant_store_end_request(uuid, text, boolean)
returns void language plpgsql{search_path} as $$
begin
    if not $3 then
        delete from parlant_store_request where id = $1;
        return;
    end if;
    update parlant_store_request set answer = $2 where id = $1;
    perform parlant_store_forget_requests(10);
end $$;
