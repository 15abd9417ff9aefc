-- Documents that belong to Parlant sessions: they are there, and end, with them.

-- Returns the names of all collections, one step into the index for each.
create or replace function {schema}.parlant_store_names()
returns text[] language sql stable set search_path to {schema}, pg_temp as $$
    with recursive names (name) as (
        select min(collection) from parlant_store_document
        union all
        select (select min(collection) from parlant_store_document where collection > name)
        from names where name is not null
    )
    select array(select name from names where name is not null)
$$;

-- Returns the documents that belong to the Parlant sessions among those of p_keys: they have
-- the id of one, in a collection whose name begins as that of the session before "sessions".
create or replace function {schema}.parlant_store_parts(p_keys bigint[])
returns table (session bigint, part bigint)
language sql stable set search_path to {schema}, pg_temp as $$
    select s.key, d.key
    from (
        select key, id, left(collection, -8) as prefix from parlant_store_document
        where key = any (p_keys) and collection like '%sessions' and id is not null
    ) s
    join unnest(parlant_store_names()) as name on starts_with(name, prefix)
    join parlant_store_document d on d.collection = name and d.session_id = s.id
    where d.key <> s.key
$$;

-- Lets a document end at p_expires_at, or never, and with a Parlant session all that belongs to
-- it; returns how many documents that were. Rows are locked in the order in which others do it.
create or replace function {schema}.parlant_store_set_document_expiry(
    p_collection text, p_id text, p_expires_at timestamptz, p_now timestamptz
) returns bigint language plpgsql set search_path to {schema}, pg_temp as $$
declare
    v_keys bigint[] := array(
        select key from parlant_store_document
        where collection = p_collection and id = p_id
            and (expires_at is null or expires_at > p_now)
    );
    v_documents bigint;
begin
    v_keys := v_keys || array(select part from parlant_store_parts(v_keys));
    with locked as (
        select key from parlant_store_document
        where key = any (v_keys) and (expires_at is null or expires_at > p_now)
        order by key for update
    )
    update parlant_store_document d set expires_at = p_expires_at
        from locked where d.key = locked.key;
    get diagnostics v_documents = row_count;
    return v_documents;
end $$;
