-- The functions of the policies "owner", in a schema that the Data API does not expose. Only
-- policies, triggers and functions of the store call them, for which no USAGE on the schema is
-- needed. The script drops and creates the schema, with all that depends on it.
drop schema if exists {private} cascade;
create schema {private};

-- Returns the ids of the Parlant sessions in a collection whose customer is the user.
create function {private}.own_sessions(p_collection text) returns setof text
language sql stable security definer set search_path = '' as {quote}
    select id from {document}
    where collection = p_collection and customer_id = {owner} and id is not null
{quote};

-- Whether no document has the id of this session, in the collections whose names start with the
-- prefix: a new session must not give access to documents of an old one.
create function {private}.is_unused(p_prefix text, p_session_id text) returns boolean
language sql stable security definer set search_path = '' as {quote}
    with recursive names (name) as (
        select min(collection) from {document} where collection >= p_prefix
        union all
        select (select min(collection) from {document} where collection > name)
        from names where starts_with(name, p_prefix)
    )
    select p_session_id is not null and not exists (
        select from names join {document} on collection = name and session_id = p_session_id
        where starts_with(name, p_prefix)
    )
{quote};

-- Raises an error if a document would move. An expired one may be replaced.
create function {private}.stay() returns trigger
language plpgsql set search_path = '' as {quote}
begin
    raise insufficient_privilege using
        message = format('new row violates row-level security policy for table "%s"', tg_table_name),
        detail = 'Users change neither the collection, the id nor the owner of a document.';
end
{quote};

-- Whether the columns have the values of the fields: a column is null unless its field is text, and
-- has the beginning and a digest of a long text.
create function {private}.agrees(p_data jsonb, p_columns jsonb) returns boolean
language sql immutable set search_path = '' as {quote}
    select not exists (
        select from jsonb_each_text(p_columns) as columns (name, value)
        cross join lateral (
            select case when jsonb_typeof(p_data -> name) = 'string' then p_data ->> name end
        ) as fields (text)
        where case
            when octet_length(text) > {max_bytes} then not coalesce(
                right(value, 66) = {mark} || encode(sha256(convert_to(text, 'UTF8')), 'hex')
                and starts_with(text, left(value, -66)), false
            )
            else value is distinct from text
        end
    )
{quote};

-- Whether the columns have the beginnings and digests of the full names, which are escaped as the
-- columns are if p_is_escaped is true.
create function {private}.names_agree(p_full text, p_columns jsonb, p_is_escaped boolean)
returns boolean
language sql immutable set search_path = '' as {quote}
    select not exists (
        -- All values of a name: jsonb would only keep the last one.
        select from json_each(p_full::json) as names (name, value)
        cross join lateral (
            select p_columns ->> name, case
                when p_is_escaped then value #>> array[]::text[]
                else replace(
                    replace(value #>> array[]::text[], chr(1), chr(1) || chr(2)),
                    chr(55295), chr(55295) || chr(1)
                )
            end
        ) as columns (shortened, escaped)
        where not coalesce(
            json_typeof(value) = 'string'
            and right(shortened, 66) = {mark} || encode(sha256(convert_to(escaped, 'UTF8')), 'hex')
            and starts_with(escaped, left(shortened, -66)), false
        )
    )
{quote};

-- Whether it is an object that Python can read and is not too long: a row that one user wrote must
-- not break reads of all rows.
create function {private}.is_readable(p_data jsonb) returns boolean
language sql immutable set search_path = '' as {quote}
    select jsonb_typeof(p_data) = 'object'
        and octet_length(p_data::text) <= {max_row}
        and not jsonb_path_exists(p_data, 'strict $.**{{{too_deep}}}')
        and not jsonb_path_exists(
            p_data,
            'strict $.** ? (@.type() == "number" && (@ >= {too_long} || @ <= -{too_long}))'
        )
{quote};

-- Whether each value is the JSON text of a number or a string.
create function {private}.is_versions(p_versions jsonb) returns boolean
language sql immutable set search_path = '' as {quote}
    select not exists (
        select from jsonb_each(p_versions) as version (channel, value)
        where jsonb_typeof(value) <> 'string' or octet_length(value::text) > {max_bytes}
            or (value #>> array[]::text[]) !~ {version}
    )
{quote};

-- Whether there are few channels whose history is read to delete checkpoints.
create function {private}.has_few_counters(p_metadata jsonb) returns boolean
language sql immutable set search_path = '' as {quote}
    select case
        when jsonb_typeof(p_metadata -> 'counters_since_delta_snapshot') = 'object' then (
            select count(*) <= {max_delta_channels}
            from jsonb_object_keys(p_metadata -> 'counters_since_delta_snapshot')
        )
        else true
    end
{quote};

-- Sessions and threads that a user creates without an owner belong to the user.
create function {private}.own_by_default() returns trigger
language plpgsql set search_path = '' as {quote}
begin
    new.user_id := {owner};
    return new;
end
{quote};

-- The requests of parlant_store_once, through which alone users call these functions: they have no
-- grant on the table. $2 and $4 are whether the caller is a user, who has requests of its own.
create function {private}.begin_request(uuid, boolean) returns text[]
language plpgsql security definer set search_path = '' as {quote}
declare
    v_owner text := case when $2 then {owner} end;
    v_stored {request};
begin
    if $2 and v_owner is null then
        raise insufficient_privilege using message = 'a request of a user needs an owner';
    end if;
    for v_tries in 1 .. 10 loop
        insert into {request} (id, user_id) values ($1, v_owner) on conflict do nothing;
        if found then
            return null;
        end if;
        select * into v_stored from {request} where id = $1;
        exit when $2 and v_stored.user_id is distinct from v_owner and found;
        if v_stored.created_at > now() - interval '1 hour' then
            return array[v_stored.answer];
        end if;
        delete from {request} where id = $1 and created_at <= now() - interval '1 hour';
    end loop;
    raise insufficient_privilege using message = 'the request id was used by another user';
end
{quote};
create function {private}.end_request(uuid, text, boolean, boolean) returns void
language plpgsql security definer set search_path = '' as {quote}
begin
    if $3 then
        update {request} set answer = $2
            where id = $1 and (not $4 or user_id = {owner});
    else
        delete from {request} where id = $1 and (not $4 or user_id = {owner});
    end if;
    delete from {request} where id in (
        select id from {request} where created_at < now() - interval '1 hour'
        order by created_at limit 10 for update skip locked
    );
end
{quote};
create or replace function {in_schema}parlant_store_begin_request(uuid) returns text[]
language sql return {private}.begin_request($1, current_user = 'authenticated');
create or replace function {in_schema}parlant_store_end_request(uuid, text, boolean) returns void
language sql return {private}.end_request($1, $2, $3, current_user = 'authenticated');

revoke all on schema {private} from public, anon, authenticated, service_role;
revoke all on all functions in schema {private} from public, anon, authenticated, service_role;
grant execute on function
    {private}.own_sessions(text), {private}.is_unused(text, text),
    {private}.agrees(jsonb, jsonb), {private}.names_agree(text, jsonb, boolean),
    {private}.is_readable(jsonb), {private}.is_versions(jsonb),
    {private}.has_few_counters(jsonb)
to authenticated;
grant execute on function
    {private}.begin_request(uuid, boolean), {private}.end_request(uuid, text, boolean, boolean)
to authenticated, service_role;

create or replace trigger parlant_store_own before insert on {session} for each row
when (new.user_id is null and current_user = 'authenticated')
execute function {private}.own_by_default();
create or replace trigger parlant_store_own before insert on {thread} for each row
when (new.user_id is null and current_user = 'authenticated')
execute function {private}.own_by_default();
-- Runs after parlant_store_complete: triggers run in the order of their names.
create or replace trigger parlant_store_stay before update on {document} for each row
when (
    current_user = 'authenticated' and (
        (old.collection, old.id) is distinct from (new.collection, new.id)
        or (old.session_id, old.customer_id) is distinct from (new.session_id, new.customer_id)
        and coalesce(old.expires_at > statement_timestamp(), true)
    )
)
execute function {private}.stay();
