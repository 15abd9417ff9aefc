-- Limits on calls under row level security, which are those of users; servers have no limits.
-- Functions whose parameters have no names are internal: over HTTP, functions are called by the
-- names of their parameters.

-- Raises an error if $1 is above $2; $3 names what is counted.
create or replace function {in_schema}parlant_store_limit(bigint, bigint, text)
returns void language plpgsql stable{search_path} as $$
begin
    if $1 > $2 and row_security_active('parlant_store_document') then
        raise program_limit_exceeded using
            message = format('a call of a user has at most %s %s, not %s', $2, $3, $1);
    end if;
end $$;

-- Raises an error if the JSON text $1 has more than $2 bytes or too many values; $3 is its name in
-- errors.
create or replace function {in_schema}parlant_store_limit_json(text, bigint, text)
returns void language plpgsql stable{search_path} as $$
begin
    if octet_length($1) > 10000 and row_security_active('parlant_store_document') then
        perform parlant_store_limit(octet_length($1), $2, format('bytes of %s', $3));
        -- Each value except the first of an array or object comes after a comma.
        perform parlant_store_limit(
            length($1) - length(replace($1, ',', '')), {max_values}, format('commas in %s', $3)
        );
    end if;
end $$;

-- Returns the JSON text $1, of at most $2 bytes, as jsonb, which takes many times its size; $3 is
-- its name in errors. All functions parse filters, sorts and documents with this one.
create or replace function {in_schema}parlant_store_as_jsonb(text, bigint, text)
returns jsonb language plpgsql stable{search_path} as $$
begin
    perform parlant_store_limit_json($1, $2, $3);
    return $1;
end $$;

-- Raises an error if an answer has too many bytes: PostgREST makes several copies of it.
create or replace function {in_schema}parlant_store_limit_answer(bigint)
returns void language sql stable{search_path} as $$
    select parlant_store_limit($1, {max_answer}, 'bytes of an answer: ask for less by a limit')
$$;

-- Raises an error if a batch has too many or too long items; $1 is their data, $2 their texts.
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
