-- Indexes on documents that a framework requires.

-- Creates an index on p_fields, an array of [field, "asc" or "desc"], unless there is one of this
-- name; a unique one covers the documents of p_collection only. Returns whether it created the
-- index. Only the owner of the table can create it. Therefore the script of the policies, which
-- lets only service_role call this function, makes it a security definer.
create or replace function {in_schema}parlant_store_ensure_index(
    p_name text, p_collection text, p_fields jsonb, p_unique boolean
) returns boolean language plpgsql{search_path} as $$
declare
    v_columns text[] := '{}';
    v_field text;
    v_direction text;
    v_index regclass;
begin
    if p_name !~ '^parlant_store_doc_[ux]_[0-9a-f]{16}$' then
        raise invalid_parameter_value using message = format('%L names no index', p_name);
    end if;
    perform pg_advisory_xact_lock(hashtextextended('parlant_store_doc', 0));
    if to_regclass(p_name) is not null then
        return false;
    end if;
    for v_field, v_direction in
        select pair ->> 0, pair ->> 1 from jsonb_array_elements(p_fields) pair
    loop
        if v_field !~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$' or v_direction not in ('asc', 'desc') then
            raise invalid_parameter_value using message = format('%L is no field', v_field);
        end if;
        v_columns := v_columns || case
            when p_unique then format('{unique_value}', 'data', v_field)
            when v_field in ({promoted}) then format('%I %s', v_field, v_direction)
            when v_field in ({number_fields}) then
                format('{indexed_number} %3$s', 'data', v_field, v_direction)
            else format('{indexed_text} %3$s', 'data', v_field, v_direction)
        end;
    end loop;
    execute case
        when p_unique then format(
            'create unique index %I on parlant_store_document (collection, %s)'
            ' where collection = %L',
            p_name, array_to_string(v_columns, ', '), p_collection
        )
        else format(
            'create index %I on parlant_store_document (collection, %s) where %s is not null',
            p_name, array_to_string(v_columns, ', '),
            regexp_replace(v_columns[1], ' (asc|desc)$', '')
        )
    end;
    -- Errors have the name of the partition's index, which must show what index it is.
    for v_index in select inhrelid from pg_inherits where inhparent = p_name::regclass loop
        execute format('alter index %s rename to %I', v_index, p_name || '_' || v_index::oid);
    end loop;
    return true;
end $$;
