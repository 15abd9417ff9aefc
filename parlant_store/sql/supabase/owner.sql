-- What the policies of "owner" ask, in a schema that the Data API does not show. Nobody but
-- the policies and triggers calls these functions: they need no usage of the schema.
create schema if not exists {private};

-- The ids of the session documents whose customer is the user.
create or replace function {private}.own_sessions() returns setof text
language sql stable security definer set search_path = '' as {quote}
    select id from {document}
    where collection = {sessions} and customer_id = {owner} and id is not null
{quote};

-- Whether no document has this session's id: a new session must not open what another left.
create or replace function {private}.is_unused(p_session_id text) returns boolean
language sql stable security definer set search_path = '' as {quote}
    with recursive names (name) as (
        select min(collection) from {document} where collection >= {prefix}
        union all
        select (select min(collection) from {document} where collection > name)
        from names where starts_with(name, {prefix})
    )
    select p_session_id is not null and not exists (
        select from names join {document} on collection = name and session_id = p_session_id
        where starts_with(name, {prefix})
    )
{quote};

-- Whether users may have documents in the collection: those of Parlant's stores, which have
-- a collection "metadata" beside them, hold what all users share. Each look is one step into
-- an index.
create or replace function {private}.is_open(p_collection text) returns boolean
language sql stable security definer set search_path = '' as {quote}
    select p_collection not like '%metadata' and not exists (
        select from generate_series(0, length(p_collection)) n
        cross join lateral (select left(p_collection, n) || 'metadata') as beside (name)
        where name = (select min(collection) from {document} where collection >= name)
    )
{quote};

-- Whether the columns say what the document says: a column is null unless its field is text,
-- and keeps the beginning and a digest of a long one.
create or replace function {private}.agrees(p_data jsonb, p_columns jsonb) returns boolean
language sql immutable set search_path = '' as {quote}
    select not exists (
        select from jsonb_each_text(p_columns) as columns (name, kept)
        cross join lateral (
            select case when jsonb_typeof(p_data -> name) = 'string' then p_data ->> name end
        ) as fields (text)
        where case
            when octet_length(text) > {max_bytes} then not coalesce(
                right(kept, 66) = {mark} || encode(sha256(convert_to(text, 'UTF8')), 'hex')
                and starts_with(text, left(kept, -66)), false
            )
            else kept is distinct from text
        end
    )
{quote};

-- Whether the full names are those of which the columns keep the beginning and a digest.
create or replace function {private}.names_agree(p_full text, p_columns jsonb) returns boolean
language sql immutable set search_path = '' as {quote}
    select not exists (
        -- Each of a name's values, of which jsonb would keep the last alone.
        select from json_each(p_full::json) as names (name, value)
        cross join lateral (
            select p_columns ->> name, replace(
                replace(value #>> array[]::text[], chr(1), chr(1) || chr(2)),
                chr(55295), chr(55295) || chr(1)
            )
        ) as columns (kept, escaped)
        where not coalesce(
            json_typeof(value) = 'string'
            and right(kept, 66) = {mark} || encode(sha256(convert_to(escaped, 'UTF8')), 'hex')
            and starts_with(escaped, left(kept, -66)), false
        )
    )
{quote};

-- Whether it is an object that Python reads: what one user wrote must not stop a reader of
-- everybody's.
create or replace function {private}.is_readable(p_data jsonb) returns boolean
language sql immutable set search_path = '' as {quote}
    select jsonb_typeof(p_data) = 'object'
        and not jsonb_path_exists(p_data, 'strict $.**{{{too_deep}}}')
        and not jsonb_path_exists(
            p_data,
            'strict $.** ? (@.type() == "number" && (@ >= {too_long} || @ <= -{too_long}))'
        )
{quote};

-- What a user begins without saying whose it is belongs to that user.
create or replace function {private}.own_by_default() returns trigger
language plpgsql set search_path = '' as {quote}
begin
    new.user_id := {owner};
    return new;
end
{quote};

revoke all on schema {private} from public, anon, authenticated, service_role;
revoke all on all functions in schema {private} from public, anon, authenticated, service_role;
grant execute on function
    {private}.own_sessions(), {private}.is_unused(text), {private}.is_open(text),
    {private}.agrees(jsonb, jsonb), {private}.names_agree(text, jsonb),
    {private}.is_readable(jsonb)
to authenticated;

create or replace trigger parlant_store_own before insert on {session} for each row
when (new.user_id is null and current_user = 'authenticated')
execute function {private}.own_by_default();
create or replace trigger parlant_store_own before insert on {request} for each row
when (new.user_id is null and current_user = 'authenticated')
execute function {private}.own_by_default();
