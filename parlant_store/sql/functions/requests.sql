-- Writes over HTTP, where an answer may get lost after the server has committed.

-- Removes at most p_limit requests that nobody will repeat any more.
create or replace function {schema}.parlant_store_forget_requests(p_limit bigint)
returns void language plpgsql set search_path to {schema}, pg_temp as $$
begin
    delete from parlant_store_request where id in (
        select id from parlant_store_request where created_at < now() - interval '1 hour'
        order by created_at limit p_limit for update skip locked
    );
end $$;

-- Calls parlant_store_<p_function> with p_arguments, a JSON object of its parameters, unless
-- that was done under this p_request before; returns what it returned then. A repeat waits
-- for the first as long as that is going on.
create or replace function {schema}.parlant_store_once(
    p_request uuid, p_function text, p_arguments jsonb
) returns json language plpgsql set search_path to {schema}, pg_temp as $$
declare
    v_types text;
    v_arguments text;
    v_answer json;
begin
    insert into parlant_store_request (id) values (p_request) on conflict do nothing;
    if not found then
        select answer into strict v_answer from parlant_store_request where id = p_request;
        return v_answer;
    end if;
    select string_agg(format('%I %s', name, format_type(type, null)), ', ' order by place),
            string_agg(format('%1$I => a.%1$I', name), ', ' order by place)
        into strict v_types, v_arguments
    from pg_proc, unnest(proargnames, proargtypes::oid[]) with ordinality as a (name, type, place)
    where pronamespace = (select oid from pg_namespace where nspname = current_schema())
        and proname = 'parlant_store_' || p_function and type is not null
        and p_function in (
            'add_items', 'pop_item', 'clear', 'delete_session', 'set_metadata', 'set_expiry',
            'save', 'branch', 'expire', 'retire', 'insert_one', 'insert_numbered', 'update_one',
            'delete_one', 'drop_collection', 'replace', 'ensure_index', 'set_document_expiry'
        );
    if v_types is null then
        raise invalid_parameter_value using message = format('there is no %L to call', p_function);
    end if;
    execute format(
        'select to_json(r) from jsonb_to_record($1) as a (%s)'
        ' cross join lateral parlant_store_%s(%s) as r',
        v_types, p_function, v_arguments
    ) into v_answer using p_arguments;
    update parlant_store_request set answer = v_answer where id = p_request;
    perform parlant_store_forget_requests(10);
    return v_answer;
end $$;

-- Says which functions these are, to those who ask over HTTP.
create or replace function {schema}.parlant_store_version()
returns text language sql stable set search_path to {schema}, pg_temp as $$
    select '{version}'
$$;
