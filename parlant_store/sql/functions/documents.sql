-- Documents. Filters have the form of parlant_store_where; p_columns is an object with those
-- columns that are copied from fields of the document, and terms and failed_calls.

-- Inserts a document, which replaces an expired one with its id; returns false if the id is taken.
create or replace function {in_schema}parlant_store_insert_one(
    p_collection text, p_document text, p_columns json, p_now timestamptz
) returns boolean language plpgsql{search_path} as $$
begin
    insert into parlant_store_document as d (
        collection, id, version, creation_utc, session_id, customer_id, agent_id, data, updated_at,
        terms, failed_calls
    ) values (
        p_collection, p_columns ->> 'id', p_columns ->> 'version', p_columns ->> 'creation_utc',
        p_columns ->> 'session_id', p_columns ->> 'customer_id', p_columns ->> 'agent_id',
        parlant_store_as_jsonb(p_document, {max_row}, 'a document'), p_now,
        (p_columns ->> 'terms')::tsvector, (p_columns ->> 'failed_calls')::bigint
    )
    on conflict (collection, id) do update set
        version = excluded.version, creation_utc = excluded.creation_utc,
        session_id = excluded.session_id, customer_id = excluded.customer_id,
        agent_id = excluded.agent_id, data = excluded.data,
        updated_at = excluded.updated_at, expires_at = excluded.expires_at,
        terms = excluded.terms, failed_calls = case
            when d.active_minute is null then excluded.failed_calls else d.failed_calls
        end
    where d.expires_at <= p_now;
    return found;
end $$;

-- Inserts a document and returns its text, null if its id is taken. If a document matches p_taken,
-- which means that the number is taken, p_number becomes the highest number among the documents
-- that match p_group, plus one. Calls with the same p_turn wait for each other.
create or replace function {in_schema}parlant_store_insert_numbered(
    p_collection text, p_document text, p_columns json, p_number text,
    p_group json, p_taken json, p_turn text, p_now timestamptz
) returns text language plpgsql{search_path} as $$
declare
    v_data jsonb := parlant_store_as_jsonb(p_document, {max_row}, 'a document');
    v_taken boolean;
    v_next numeric;
begin
    perform parlant_store_wait_turn(p_turn);
    execute format(
        'select exists (select from parlant_store_document where %s)',
        parlant_store_matching(
            p_collection, parlant_store_as_jsonb(p_taken::text, {max_filter}, 'a filter'), p_now
        )
    ) into v_taken;
    if v_taken then
        execute format(
            'select floor((data ->> %L)::numeric) + 1 from parlant_store_document'
            ' where %s order by %s limit 1',
            p_number,
            parlant_store_matching(
            p_collection, parlant_store_as_jsonb(p_group::text, {max_filter}, 'a filter'), p_now
        ),
            parlant_store_order(
                jsonb_build_array(jsonb_build_array(p_number, 'desc')), 'data'
            )
        ) into v_next;
        v_data := v_data || jsonb_build_object(p_number, v_next);
    end if;
    if parlant_store_insert_one(p_collection, v_data::text, p_columns, p_now) then
        return v_data;
    end if;
    return null;
end $$;

-- Returns {"documents": [text, ...], "total": number of matches, at most p_count_to}: the documents
-- after the cursor (p_created, p_id), which may be null. With a null p_count_to there is no total.
create or replace function {in_schema}parlant_store_find(
    p_collection text, p_filter json, p_limit bigint, p_created text, p_id text,
    p_direction text, p_count_to bigint, p_now timestamptz
) returns json language plpgsql stable{search_path} as $$
declare
    v_where text := parlant_store_matching(
        p_collection, parlant_store_as_jsonb(p_filter::text, {max_filter}, 'a filter'), p_now
    );
    v_order text;
    v_documents json;
    v_total bigint;
begin
    if p_direction not in ('asc', 'desc') then
        raise invalid_parameter_value using message = format('%L is no direction', p_direction);
    end if;
    if p_created is not null then
        v_where := v_where || format(
            ' and (coalesce(creation_utc, ''''), coalesce(id, '''')) %s (%L, %L)',
            case p_direction when 'asc' then '>' else '<' end, p_created, p_id
        );
    end if;
    v_order := format(
        'coalesce(creation_utc, '''') %1$s, coalesce(id, '''') %1$s', p_direction
    );
    if row_security_active('parlant_store_document') then
        execute format(
            'select parlant_store_limit_answer(sum(octet_length(data::text))) from ('
            'select data from parlant_store_document where %s order by %s limit %L) page',
            v_where, v_order, p_limit
        );
    end if;
    execute format(
        'select coalesce(json_agg(data::text), ''[]'') from ('
        'select data from parlant_store_document where %s order by %s limit %L) page',
        v_where, v_order, p_limit
    ) into v_documents;
    if p_count_to is not null then
        -- Ordered, so that counting up to a low limit scans an index and not the table.
        execute format(
            'select count(*) from ('
            'select from parlant_store_document where %s order by %s limit %L) counted',
            v_where, v_order, p_count_to
        ) into v_total;
    end if;
    return json_build_object('documents', v_documents, 'total', v_total);
end $$;

-- Returns the text of the first document that matches p_filter, in the order of p_sort
-- (parlant_store_order); null for none.
create or replace function {in_schema}parlant_store_find_one(
    p_collection text, p_filter json, p_sort json, p_now timestamptz
) returns text language plpgsql stable{search_path} as $$
declare
    v_document text;
begin
    execute format(
        'select data from parlant_store_document where %s order by %s limit 1',
        parlant_store_matching(
            p_collection, parlant_store_as_jsonb(p_filter::text, {max_filter}, 'a filter'), p_now
        ),
        parlant_store_order(parlant_store_as_jsonb(p_sort::text, {max_filter}, 'a filter'), 'data')
    ) into v_document;
    return v_document;
end $$;

-- Locks the first document of the collection $1 that matches the filter $2 and has not expired at
-- $3, and returns its key; null for none.
create or replace function {in_schema}parlant_store_lock_one(text, jsonb, timestamptz)
returns bigint language plpgsql{search_path} as $$
declare
    v_key bigint;
begin
    execute format(
        'select key from parlant_store_document where %s order by %s limit 1 for update',
        parlant_store_matching($1, $2, $3), parlant_store_order('[]', 'data')
    ) into v_key;
    return v_key;
end $$;

-- Merges p_document into the first document that matches p_filter; with p_upsert, inserts it if
-- there is none, and calls with the same p_turn wait for each other. Returns {"matched": boolean,
-- "document": text}, with a null document if its id is taken, or null if nothing matched and
-- nothing was inserted.
create or replace function {in_schema}parlant_store_update_one(
    p_collection text, p_filter json, p_document text, p_columns json,
    p_upsert boolean, p_turn text, p_now timestamptz
) returns json language plpgsql{search_path} as $$
declare
    v_data jsonb := parlant_store_as_jsonb(p_document, {max_row}, 'a document');
    v_columns jsonb := parlant_store_as_jsonb(p_columns::text, {max_batch}, 'columns');
    v_key bigint;
    v_document text;
begin
    if p_upsert then
        perform parlant_store_wait_turn(p_turn);
    end if;
    v_key := parlant_store_lock_one(
        p_collection, parlant_store_as_jsonb(p_filter::text, {max_filter}, 'a filter'), p_now
    );
    if v_key is not null then
        if v_columns ->> 'id' is not null then
            delete from parlant_store_document
                where collection = p_collection and id = v_columns ->> 'id'
                    and expires_at <= p_now;
        end if;
        update parlant_store_document d set
            data = d.data || v_data,
            updated_at = p_now,
            id = case when v_columns ? 'id' then v_columns ->> 'id' else d.id end,
            version = case
                when v_columns ? 'version' then v_columns ->> 'version' else d.version
            end,
            creation_utc = case
                when v_columns ? 'creation_utc' then v_columns ->> 'creation_utc'
                else d.creation_utc
            end,
            session_id = case
                when v_columns ? 'session_id' then v_columns ->> 'session_id' else d.session_id
            end,
            customer_id = case
                when v_columns ? 'customer_id' then v_columns ->> 'customer_id'
                else d.customer_id
            end,
            agent_id = case
                when v_columns ? 'agent_id' then v_columns ->> 'agent_id' else d.agent_id
            end,
            terms = case
                when v_columns ? 'terms' then (v_columns ->> 'terms')::tsvector else d.terms
            end,
            failed_calls = case
                when v_columns ? 'failed_calls' then (v_columns ->> 'failed_calls')::bigint
                else d.failed_calls
            end
        where collection = p_collection and key = v_key
        returning data into v_document;
        return json_build_object('matched', true, 'document', v_document);
    elsif p_upsert then
        if parlant_store_insert_one(p_collection, p_document, p_columns, p_now) then
            v_document := v_data;
        end if;
        return json_build_object('matched', false, 'document', v_document);
    end if;
    return null;
end $$;

-- Returns the text of a document with its times; null if there is none.
create or replace function {in_schema}parlant_store_get_document(
    p_collection text, p_id text, p_now timestamptz
) returns json language sql stable{search_path} as $$
    select json_build_object(
        'document', data::text, 'updated_at', updated_at, 'expires_at', expires_at
    ) from parlant_store_document
    where collection = p_collection and id = p_id
        and (expires_at is null or expires_at > p_now)
$$;

-- Deletes the first document that matches p_filter and returns its text; null for none.
create or replace function {in_schema}parlant_store_delete_one(
    p_collection text, p_filter json, p_now timestamptz
) returns text language plpgsql{search_path} as $$
declare
    v_key bigint := parlant_store_lock_one(
        p_collection, parlant_store_as_jsonb(p_filter::text, {max_filter}, 'a filter'), p_now
    );
    v_document text;
begin
    delete from parlant_store_document where collection = p_collection and key = v_key
        returning data into v_document;
    return v_document;
end $$;

-- Returns the collections with documents that have not expired.
create or replace function {in_schema}parlant_store_list_collections(p_now timestamptz)
returns json language sql stable{search_path} as $$
    select coalesce(json_agg(name order by name), '[]')
    from unnest(parlant_store_names()) as name where exists (
        select from parlant_store_document
        where collection = name and (expires_at is null or expires_at > p_now)
    )
$$;

-- Deletes all documents of the collection and returns their number.
create or replace function {in_schema}parlant_store_drop_collection(p_collection text)
returns bigint language plpgsql{search_path} as $$
declare
    v_documents bigint;
begin
    delete from parlant_store_document where collection = p_collection;
    get diagnostics v_documents = row_count;
    return v_documents;
end $$;

-- Returns [key, text] of one document of each version, and of one document without a version, by a
-- loose index scan.
create or replace function {in_schema}parlant_store_list_versions(
    p_collection text, p_now timestamptz
) returns json language sql stable{search_path} as $$
    with recursive firsts (key) as (
        select (
            select d.key from parlant_store_document d
            where d.collection = p_collection and d.version is not null
                and (d.expires_at is null or d.expires_at > p_now)
            order by d.version, d.key limit 1
        )
        union all
        select (
            select d.key from parlant_store_document d
            where d.collection = p_collection
                and d.version > (
                    select version from parlant_store_document
                    where collection = p_collection and key = firsts.key
                )
                and (d.expires_at is null or d.expires_at > p_now)
            order by d.version, d.key limit 1
        )
        from firsts where key is not null
    )
    select coalesce(json_agg(json_build_array(key, data::text) order by key), '[]')
    from parlant_store_document where collection = p_collection and key in (
        select key from firsts where key is not null
        union all
        select (
            select d.key from parlant_store_document d
            where d.collection = p_collection and d.version is null
                and (d.expires_at is null or d.expires_at > p_now)
            order by d.version, d.key limit 1
        )
    )
$$;

-- Returns [key, text] of the documents of a version, or of those without one, after the key
-- p_after.
create or replace function {in_schema}parlant_store_read_version(
    p_collection text, p_version text, p_after bigint, p_limit bigint, p_now timestamptz
) returns json language plpgsql stable{search_path} as $$
declare
    v_page json;
begin
    execute format(
        'select coalesce(json_agg(json_build_array(key, data::text)), ''[]'') from ('
        'select key, data from parlant_store_document'
        ' where collection = %L and %s and (expires_at is null or expires_at > %L)'
        ' order by version, key limit %L) page',
        p_collection,
        case
            when p_version is null then format('version is null and key > %L', p_after)
            else format(
                '(version, key) > (%1$L, %2$L) and version <= %1$L', p_version, p_after
            )
        end,
        p_now, p_limit
    ) into v_page;
    return v_page;
end $$;

-- Replaces documents that have not changed since they were read. p_documents is an array of
-- objects, each with the new columns of a row, its key and its old text. Returns the keys of the
-- replaced rows. Rows are locked in the order of their keys.
create or replace function {in_schema}parlant_store_replace(p_documents json, p_now timestamptz)
returns json language plpgsql{search_path} as $$
declare
    v_keys json;
begin
    perform parlant_store_limit(octet_length(p_documents::text), {max_batch}, 'bytes of documents');
    with new as (
        select * from json_to_recordset(p_documents) as new (
            key bigint, old text, collection text, id text, version text, creation_utc text,
            session_id text, customer_id text, agent_id text, data text,
            terms text, failed_calls bigint
        )
    ), locked as (
        select key from parlant_store_document where key in (select key from new)
        order by key for update
    ), replaced as (
        update parlant_store_document d set
            collection = new.collection, id = new.id, version = new.version,
            creation_utc = new.creation_utc, session_id = new.session_id,
            customer_id = new.customer_id, agent_id = new.agent_id,
            terms = new.terms::tsvector, failed_calls = case
                when d.active_minute is null then new.failed_calls else d.failed_calls
            end,
            data = parlant_store_as_jsonb(new.data, {max_row}, 'a document'), updated_at = p_now
        from locked join new using (key)
        where d.key = locked.key and d.data::text = new.old
        returning d.key
    )
    select coalesce(json_agg(key), '[]') into v_keys from replaced;
    return v_keys;
end $$;
