-- Documents that belong to Parlant sessions: they are there, and end, with them. What these
-- functions say, parlant_store/content/related_documents.py says in Python.

-- Returns the names of all collections, one step into the index for each.
create or replace function {in_schema}parlant_store_names()
returns text[] language sql stable{search_path} as $$
    with recursive names (name) as (
        select min(collection) from parlant_store_document
        union all
        select (select min(collection) from parlant_store_document where collection > name)
        from names where name is not null
    )
    select array(select name from names where name is not null)
$$;

-- Returns the collections that are of a prefix, with it: the longest with which their name begins
-- and under which there are sessions, or sessions that were set aside.
create or replace function {in_schema}parlant_store_prefixes()
returns table (collection text, prefix text) language sql stable{search_path} as $$
    with names as materialized (
        select name, regexp_replace(name, '{failed}$', '') as kept
        from unnest(parlant_store_names()) as name
    ), prefixes as (
        select distinct left(kept, -8) as prefix from names where kept like '%sessions'
    )
    select distinct on (name) name, prefixes.prefix
    from names cross join lateral generate_series(0, length(kept)) as size
    join prefixes on prefixes.prefix = left(kept, size)
    order by name, size desc
$$;

-- Returns the documents that belong to the Parlant sessions among those of the keys $1: they
-- have the id of one, in a collection of the same prefix.
create or replace function {in_schema}parlant_store_parts(bigint[])
returns table (session bigint, part bigint)
language sql stable{search_path} as $$
    select s.key, d.key
    from (
        select key, id, left(collection, -8) as prefix from parlant_store_document
        where key = any ($1) and collection like '%sessions' and id is not null
    ) s
    join parlant_store_prefixes() beside using (prefix)
    join parlant_store_document d on d.collection = beside.collection and d.session_id = s.id
    where d.key <> s.key
$$;

-- Lets a document end at p_expires_at, or never, and with a Parlant session all that belongs to
-- it; returns how many documents that were. Rows are locked in the order in which others do it.
create or replace function {in_schema}parlant_store_set_document_expiry(
    p_collection text, p_id text, p_expires_at timestamptz, p_now timestamptz
) returns bigint language plpgsql{search_path} as $$
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
