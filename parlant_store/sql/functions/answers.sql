-- The rows of parlant_store_request. Only parlant_store_once calls these functions. With the policy
-- "owner", users have no grant on the table, and functions of the private schema replace these.

-- Stores the id $1 of a request. Returns null if it is new, otherwise an array with the stored
-- answer.
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
    raise insufficient_privilege using message = 'the request id was used by another user';
end $$;

-- Stores the answer $2 of the request $1 if $3 is true, otherwise deletes the request.
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
