-- Advisory locks of writes that insert only if there is no such document: two of them at once would
-- both insert.

-- Returns the owner in the token of the caller; null without one.
create or replace function {in_schema}parlant_store_owner()
returns text language sql stable{search_path} as $$
    select nullif(current_setting('request.jwt.claims', true), '')::jsonb #>> {owner_claim}
$$;

-- Waits until the transactions with the same p_turn end: those of other servers, or, under row level
-- security, those of the same role and owner. A user cannot choose a p_turn whose digest is that of
-- another owner.
create or replace function {in_schema}parlant_store_wait_turn(p_turn text)
returns void language plpgsql{search_path} as $$
begin
    perform pg_advisory_xact_lock(case
        when row_security_active('parlant_store_document') then
            ('x' || left(encode(sha256(convert_to(
                jsonb_build_array(current_user, parlant_store_owner(), p_turn)::text, 'UTF8'
            )), 'hex'), 16))::bit(64)::bigint
        else hashtextextended(p_turn, 0)
    end);
end $$;
