-- PostgreSQL needs many times the size of a request, before any function or policy runs. Therefore
-- PostgREST calls a function first that checks the length; it is the same for all schemas of the
-- project.
create schema if not exists parlant_store_requests;
grant usage on schema parlant_store_requests to public;
create or replace function parlant_store_requests.check_length() returns void
language plpgsql stable set search_path = '' as {quote}
declare
    v_path text := current_setting('request.path', true);
    v_length text := current_setting('request.headers', true)::json ->> 'content-length';
    v_limit int := case
        when v_path ~ '^/*rpc/[a-z_]+$' then {max_request} else {max_request_by_table}
    end;
begin
    -- Any letter of a table or function may be encoded in the path.
    if current_setting('role') in ('anon', 'authenticated')
        and current_setting('request.method', true) in ('POST', 'PATCH', 'PUT')
        and (
            v_path ~ '^/*(rpc/)?parlant_store_' or strpos(v_path, '%') > 0 or exists (
                select from pg_catalog.pg_class c
                join pg_catalog.pg_namespace n on n.oid = relnamespace
                where relkind in ('r', 'p') and starts_with(nspname, 'parlant_store_collections')
                    and relname = ltrim(v_path, '/')
            )
        )
        and coalesce(nullif(v_length, '')::numeric > v_limit, true)
    then
        raise program_limit_exceeded using
            message = coalesce(
                format('a request of a user has at most %s bytes, not ' || v_length, v_limit),
                'a request of a user needs the header content-length'
            );
    end if;
end
{quote};
grant execute on function parlant_store_requests.check_length() to public;
-- Requests to a table are statements of PostgREST, which no function limits: they may name a column
-- a thousand times, and repeat a row for each row of another table. This function returns how often
-- a value of a row may be in the statement and its answer, which is as often as the most frequent
-- column plus once for each step into JSON, and the size in bytes up to which a row does not count:
-- a page of such rows is not too much, but answers of writes have no pages. It returns null in
-- functions, which have limits of their own, without PostgREST, and for sessions and threads that are
-- read only for the owner of an item or a value.
create or replace function parlant_store_requests.measure(p_table text) returns bigint[]
language plpgsql stable set search_path = '' as {quote}
declare
    v_query text := current_query();
    v_path text := coalesce(current_setting('request.path', true), '');
    v_values constant text := 'parlant_store_(checkpoint|checkpoint_write|channel_value)\M';
begin
    if v_path ~ '^(/*rpc/.*)?$' then
        -- The result of a function would be copied as often.
        if v_path ~ '^/*rpc/parlant_store_' and v_query ~ '\m(WHERE|ORDER BY)\M' then
            raise program_limit_exceeded using
                message = 'results of functions of the store can be neither filtered nor sorted';
        end if;
        return null;
    elsif v_query ~ '\mJOIN\M' or v_query ~ 'parlant_store_session_item\M'
        and v_query ~ 'parlant_store_session\M'
        or v_query ~ v_values and v_query ~ 'parlant_store_thread\M'
    then
        raise program_limit_exceeded using
            message = 'a request of a user to a table of the store names no other table',
            hint = 'Send a request for each table.';
    elsif p_table = 'parlant_store_session' and v_query ~ 'parlant_store_session_item\M'
        or p_table = 'parlant_store_thread' and v_query ~ v_values
    then
        return null;
    end if;
    return array[
        (select coalesce(max(count), 0) from (
            select count(*) from regexp_matches(
                v_query, '\m({columns}|parlant_store_(?!{tables})\w+)\M', 'g'
            ) named group by named
        ) counted) + (
            select count(*) from regexp_matches(v_query, '[*]|->', 'g')
        ),
        case when v_query ~ '\mRETURNING [^1]' then 0 else {max_read} / 1000 end
    ];
end
{quote};
-- Counts the bytes of a row that a user may see, and raises an error if one request has too many.
create or replace function parlant_store_requests.weigh(p_bytes bigint, p_measure bigint[])
returns boolean language plpgsql set search_path = '' as {quote}
declare
    v_bytes bigint := p_bytes * p_measure[1];
    v_name constant text := 'parlant_store.bytes_of_request';
begin
    if v_bytes <= p_measure[2] then
        return true;
    end if;
    v_bytes := v_bytes + coalesce(nullif(current_setting(v_name, true), ''), '0')::bigint;
    if v_bytes > {max_read} then
        raise program_limit_exceeded using
            message = 'a request of a user to a table or collection reads more than {max_read}'
                ' bytes, each column counted as often as it is named',
            hint = 'Name fewer columns, filter by the id or the session, or call the functions of'
                ' the store, which take a limit.';
    end if;
    perform set_config(v_name, v_bytes::text, true);
    return true;
end
{quote};
grant execute on function parlant_store_requests.measure(text) to public;
grant execute on function parlant_store_requests.weigh(bigint, bigint[]) to public;
do {quote}
declare
    v_name constant text := 'parlant_store_requests.check_length';
    v_before text := (
        select split_part(setting, '=', 2) from pg_db_role_setting, unnest(setconfig) setting
        where setrole = to_regrole('authenticator')
            and setdatabase in (0, (select oid from pg_database where datname = current_database()))
            and starts_with(setting, 'pgrst.db_pre_request=')
        order by setdatabase desc limit 1
    );
begin
    if to_regrole('authenticator') is null or {has_guests} = coalesce(v_before = v_name, false) then
        return;
    elsif coalesce(v_before, '') not in ('', v_name) then
        if {has_guests} then
            raise warning 'the length of requests is not limited: PostgREST calls % first', v_before
                using hint = format('Call %s() there.', v_name);
        end if;
        return;
    elsif {has_guests} then
        execute format(
            'alter role authenticator in database %I set pgrst.db_pre_request to %L',
            current_database(), v_name
        );
    else
        execute format(
            'alter role authenticator in database %I reset pgrst.db_pre_request',
            current_database()
        );
    end if;
    notify pgrst, 'reload config';
exception when insufficient_privilege then
    raise warning 'the length of requests is not limited: %', sqlerrm
        using hint = format(
            'alter role authenticator set pgrst.db_pre_request to %L', v_name
        );
end
{quote};
