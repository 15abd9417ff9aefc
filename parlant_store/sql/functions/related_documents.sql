-- The related documents of Parlant sessions, which expire with them;
-- parlant_store/content/related_documents.py is the same in Python.

-- Returns the names of all collections, by a loose index scan.
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

-- Returns the collections that have a prefix, each with it: the longest that its name starts with
-- and that has a collection of sessions, or of sessions whose migration failed.
create or replace function {in_schema}parlant_store_prefixes()
returns table (collection text, prefix text) language sql stable{search_path} as $$
    with names as materialized (
        select name, regexp_replace(name, '{failed}$', '') as original
        from unnest(parlant_store_names()) as name
    ), prefixes as (
        select distinct left(original, -8) as prefix from names where original like '%sessions'
    )
    select distinct on (name) name, prefixes.prefix
    from names cross join lateral generate_series(0, length(original)) as size
    join prefixes on prefixes.prefix = left(original, size)
    order by name, size desc
$$;

-- Returns the related documents of the Parlant sessions among the documents with the keys $1: those
-- with the id of such a session in session_id, in a collection of the same prefix.
create or replace function {in_schema}parlant_store_related_documents(bigint[])
returns table (session bigint, document bigint)
language sql stable{search_path} as $$
    select s.key, d.key
    from (
        select key, id, left(collection, -8) as prefix from parlant_store_document
        where key = any ($1) and collection like '%sessions' and id is not null
    ) s
    join parlant_store_prefixes() related using (prefix)
    join parlant_store_document d on d.collection = related.collection and d.session_id = s.id
    where d.key <> s.key
$$;

-- Sets expires_at of a document, null for never; with a Parlant session, also of its related
-- documents. Returns the number of documents. Rows are locked in the order of their keys, as
-- everywhere.
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
    v_keys := v_keys || array(select document from parlant_store_related_documents(v_keys));
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
