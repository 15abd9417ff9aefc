-- Writes over HTTP, where the answer may get lost after the server has committed.

-- Deletes at most $1 requests that are older than an hour, after which none is repeated.
create or replace function {in_schema}parlant_store_forget_requests(bigint)
returns void language plpgsql{search_path} as $$
begin
    delete from parlant_store_request where id in (
        select id from parlant_store_request where created_at < now() - interval '1 hour'
        order by created_at limit $1 for update skip locked
    );
end $$;

-- Calls parlant_store_<p_function> with p_arguments, a JSON object of its parameters, and stores
-- the answer under p_request. A call that repeats p_request within an hour waits for the first one
-- and returns its answer. The answer of a call that changed nothing because an id is taken or
-- missing is not stored.
create or replace function {in_schema}parlant_store_once(
    p_request uuid, p_function text, p_arguments json
) returns json language plpgsql{search_path} as $$
declare
    v_types text;
    v_arguments text;
    v_stored text[];
    v_answer json;
begin
    perform parlant_store_limit_json(p_arguments::text, 2 * {max_batch}, 'the arguments');
    v_stored := parlant_store_begin_request(p_request);
    if v_stored is not null then
        return v_stored[1];
    end if;
    select string_agg(format('%I %s', name, format_type(type, null)), ', ' order by place),
            string_agg(format('a.%I', name), ', ' order by place)
        into strict v_types, v_arguments
    from pg_proc, unnest(proargnames, proargtypes::oid[])
        with ordinality as parameter (parameter_name, type, place)
    cross join lateral (select coalesce(nullif(parameter_name, ''), 'p_total')) as named (name)
    where pg_function_is_visible(pg_proc.oid)
        and proname = 'parlant_store_' || p_function and type is not null
        and p_function in (
            'add_items', 'pop_item', 'clear', 'delete_session', 'delete_hidden', 'set_metadata',
            'set_expiry', 'add_usage',
            'save', 'branch', 'replace_tail', 'keep_latest', 'expire', 'retire', 'insert_one', 'insert_numbered', 'update_one',
            'delete_one', 'drop_collection', 'replace', 'ensure_index', 'set_document_expiry',
            'write_sessions', 'write_documents', 'write_memories', 'stage_items', 'publish_session',
            'put_checkpoint', 'put_writes', 'delete_thread', 'hide_thread', 'delete_runs',
            'copy_thread', 'prune_threads', 'expire_threads', 'stage_threads', 'publish_threads',
            'set_thread_expiry'
        );
    if v_types is null then
        raise invalid_parameter_value using message = format('there is no %L to call', p_function);
    end if;
    execute format(
        'select to_json(r) from json_to_record($1) as a (%s)'
        ' cross join lateral parlant_store_%s(%s) as r',
        v_types, p_function, v_arguments
    ) into v_answer using p_arguments;
    perform parlant_store_end_request(p_request, v_answer::text, not coalesce(
        p_function in ('insert_numbered', 'copy_thread') and v_answer is null
        or p_function in ('branch', 'replace_tail') and v_answer ->> 'items' is null
        or p_function in ('branch', 'add_usage', 'replace_tail')
            and 'true' in (v_answer ->> 'is_missing', v_answer ->> 'is_taken')
        or p_function = 'insert_one' and v_answer::text = 'false'
        or p_function = 'update_one' and v_answer is not null and v_answer ->> 'document' is null,
        false
    ));
    return v_answer;
end $$;

-- Returns the version of these functions.
create or replace function {in_schema}parlant_store_version()
returns text language sql stable{search_path} as $$
    select '{version}'
$$;
