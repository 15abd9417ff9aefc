-- Limits on what one call of a user may ask for, whom row level security binds; servers have none.
-- Functions whose parameters have no names are for those beside them alone: over HTTP functions are
-- called by the names of their parameters.

-- Refuses the number $1 of what $3 says, if it is above $2.
create or replace function {in_schema}parlant_store_limit(bigint, bigint, text)
returns void language plpgsql stable{search_path} as $$
begin
    if $1 > $2 and row_security_active('parlant_store_document') then
        raise program_limit_exceeded using
            message = format('a call of a user has at most %s %s, not %s', $2, $3, $1);
    end if;
end $$;

-- Refuses the JSON text $1 if it has more than $2 bytes or too many values; $3 is what it is.
create or replace function {in_schema}parlant_store_limit_json(text, bigint, text)
returns void language plpgsql stable{search_path} as $$
begin
    if octet_length($1) > 10000 and row_security_active('parlant_store_document') then
        perform parlant_store_limit(octet_length($1), $2, format('bytes of %s', $3));
        -- Each value but the first of an array or object comes after a comma.
        perform parlant_store_limit(
            length($1) - length(replace($1, ',', '')), {max_values}, format('commas in %s', $3)
        );
    end if;
end $$;

-- The JSON text $1 as jsonb, which takes many times its size; $2 is how many bytes it may have, $3
-- what it is. By this every function reads filters, sorts and documents.
create or replace function {in_schema}parlant_store_as_jsonb(text, bigint, text)
returns jsonb language plpgsql stable{search_path} as $$
begin
    perform parlant_store_limit_json($1, $2, $3);
    return $1;
end $$;

-- Refuses an answer of too many bytes, of which PostgREST makes several copies.
create or replace function {in_schema}parlant_store_limit_answer(bigint)
returns void language sql stable{search_path} as $$
    select parlant_store_limit($1, {max_answer}, 'bytes of an answer: ask for less by a limit')
$$;

-- Refuses a batch of too many or too long items, of whose data $1 and texts $2 are.
create or replace function {in_schema}parlant_store_limit_items(text[], text[])
returns void language plpgsql stable{search_path} as $$
begin
    if row_security_active('parlant_store_session_item') then
        perform parlant_store_limit(cardinality($1), {max_items}, 'items in a batch');
        perform parlant_store_limit(sum(octet_length(text)), {max_batch}, 'bytes of items'),
                parlant_store_limit(max(octet_length(text)), {max_row}, 'bytes of an item')
            from unnest($1 || $2) text;
    end if;
end $$;
