-- Turns of those who do the same thing: finding nothing, two at once would both insert.

-- The user who calls, as the token names the owner of rows; null for nobody.
create or replace function {in_schema}parlant_store_owner()
returns text language sql stable{search_path} as $$
    select nullif(current_setting('request.jwt.claims', true), '')::jsonb #>> {owner_claim}
$$;

-- Waits for others of the same p_turn until their transactions end: a server for servers, and a
-- user, whom row level security binds, for calls of the same role and owner alone. The digest of
-- a user's turn is one that nobody can make equal to another.
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
