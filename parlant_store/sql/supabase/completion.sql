-- Completes documents that are written by their columns, as over the REST API: each promoted column
-- and its field in data get the same value.
--   insert: a text in data goes into the column; if data has none, the column goes into data.
--   update: if only the column changes, it changes the field, to null as well; if only the field
--     changes, it changes the column, and a field that data lacks keeps its old value. If both
--     change, this is as in an insert.
--   update without changes: as an insert.
-- A column is null unless its field is text, and has the beginning and a digest of a long text. In
-- rows that the functions of the store write, both are equal already. An update of data sets
-- updated_at, unless it has a value for it. An insert replaces an expired document.
create or replace function {schema}.parlant_documents_complete() returns trigger
language plpgsql set search_path = '' as {quote}
declare
    v_data jsonb := new.data;
    v_columns jsonb := {new_columns};
    v_old_data jsonb;
    v_old_columns jsonb;
    v_field text;
    v_text text;
    v_is_new_column boolean;
    v_is_new_field boolean;
begin
    if tg_op = 'INSERT' then
        v_data := coalesce(v_data, '{{}}');
        delete from {document}
            where collection = new.collection and id = new.id and expires_at <= now();
    elsif new is distinct from old then
        v_old_data := old.data;
        v_old_columns := {old_columns};
    end if;
    if jsonb_typeof(v_data) <> 'object' then
        raise check_violation using message = format('data of %L must be a JSON object', new.id);
    end if;
    if jsonb_strip_nulls(v_columns) <> jsonb_strip_nulls({fields}) then
        foreach v_field in array array[{names}] loop
            v_is_new_column := v_columns -> v_field is distinct from v_old_columns -> v_field;
            v_is_new_field := v_data ? v_field
                and v_data -> v_field is distinct from v_old_data -> v_field;
            if v_columns ->> v_field is not null then
                if not v_is_new_column then
                    if not v_data ? v_field then
                        v_data := v_data || jsonb_build_object(
                            v_field, coalesce(v_old_data -> v_field, v_columns -> v_field)
                        );
                    end if;
                elsif not v_is_new_field
                    or jsonb_typeof(v_data -> v_field) <> 'string'
                then
                    v_data := v_data || jsonb_build_object(v_field, v_columns -> v_field);
                end if;
            elsif v_is_new_column and not v_is_new_field and v_data ? v_field then
                v_data := v_data || jsonb_build_object(v_field, null);
            end if;
            v_text := case when jsonb_typeof(v_data -> v_field) = 'string' then
                v_data ->> v_field
            end;
            if octet_length(v_text) > {max_bytes} then
                v_text := rtrim((
                    select left(v_text, n) from generate_series({prefix_bytes}, 1, -1) n
                    where octet_length(left(v_text, n)) <= {prefix_bytes} limit 1
                ), chr(1)) || chr(1) || chr(3)
                    || encode(sha256(convert_to(v_text, 'UTF8')), 'hex');
            end if;
            v_columns := v_columns || jsonb_build_object(v_field, v_text);
        end loop;
        new := jsonb_populate_record(new, v_columns);
    end if;
    new.data := v_data;
    if tg_op = 'UPDATE' and new.data <> old.data and new.updated_at = old.updated_at then
        new.updated_at := statement_timestamp();
    end if;
    return new;
end
{quote};
revoke all on function {schema}.parlant_documents_complete()
    from public, anon, authenticated, service_role;
create or replace trigger parlant_store_complete before insert or update on {document}
for each row execute function {schema}.parlant_documents_complete();
