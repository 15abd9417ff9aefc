-- Filters and sorts (parlant_store/content/query.py) as SQL, each value as a literal.

-- Returns the condition of the filter $1 on the JSON column $2. A filter is one of
--   {"all": [filter, ...]}  {"any": [filter, ...]}  {"not": filter}
--   {"field", "in": [JSON text, ...], "null": whether null and missing ones match}
--   {"field", "sign": "<" "<=" ">" ">=", "kind": "string" "number" "boolean", "value": JSON text}
-- A field with "column": true has a column of its own; "in" then has values of that column.
create or replace function {in_schema}parlant_store_where(jsonb, text)
returns text language plpgsql stable{search_path} as $$
begin
    if row_security_active('parlant_store_document') then
        perform parlant_store_limit(count(*), {max_conditions}, 'conditions in a filter')
            from jsonb_path_query($1, 'strict $.**.field', '{}', true);
        perform parlant_store_limit(count(*), {max_values_of_filter}, 'values in a filter')
            from jsonb_path_query($1, 'strict $.**.in[*]', '{}', true);
    end if;
    return parlant_store_part_where($1, $2, {max_levels});
end $$;

-- Returns the condition of the filter or part of a filter $1, which may have $3 levels.
create or replace function {in_schema}parlant_store_part_where(jsonb, text, int)
returns text language plpgsql stable{search_path} as $$
declare
    v_filter jsonb := $1;
    v_column text := $2;
    v_field text := v_filter ->> 'field';
    v_sql text;
begin
    if $3 = 0 then
        raise program_limit_exceeded using message = 'a filter has too many levels';
    elsif v_filter ? 'all' then
        select string_agg(parlant_store_part_where(part, v_column, $3 - 1), ' and ') into v_sql
            from jsonb_array_elements(v_filter -> 'all') part;
        return coalesce('(' || v_sql || ')', 'true');
    elsif v_filter ? 'any' then
        select string_agg(parlant_store_part_where(part, v_column, $3 - 1), ' or ') into v_sql
            from jsonb_array_elements(v_filter -> 'any') part;
        return coalesce('(' || v_sql || ')', 'false');
    elsif v_filter ? 'not' then
        return format(
            '(%s) is not true', parlant_store_part_where(v_filter -> 'not', v_column, $3 - 1)
        );
    elsif v_filter ? 'in' then
        v_sql := concat_ws(' or ',
            case
                when (v_filter -> 'column')::boolean then
                    parlant_store_column_in(v_field, v_filter -> 'in')
                else parlant_store_value_in(v_column, v_field, v_filter -> 'in')
            end,
            case when (v_filter -> 'null')::boolean then
                format('coalesce(%I -> %L, ''null'') = ''null''', v_column, v_field)
            end
        );
        return '(' || coalesce(nullif(v_sql, ''), 'false') || ')';
    elsif v_filter ->> 'sign' in ('<', '<=', '>', '>=') then
        return parlant_store_compared(
            v_column, v_field, v_filter ->> 'sign', v_filter ->> 'kind', v_filter ->> 'value'
        );
    end if;
    raise invalid_parameter_value using message =
        format('%L is no filter', left(v_filter::text, 200));
end $$;

-- Returns the condition that the column $1 is one of the texts $2; null if there are none.
create or replace function {in_schema}parlant_store_column_in(text, jsonb)
returns text language sql stable{search_path} as $$
    select case jsonb_array_length($2)
        when 0 then null
        when 1 then format('%I = %L', $1, $2 ->> 0)
        else format('%I = any (%L::text[])', $1, array(select jsonb_array_elements_text($2)))
    end
$$;

-- Returns the condition that the field $2 of the column $1 is one of $3, JSON texts; null if there
-- are none. For a field that may be indexed, the condition has the indexed expression as well,
-- which may be shortened or rounded, and the value itself.
create or replace function {in_schema}parlant_store_value_in(text, text, jsonb)
returns text language plpgsql stable{search_path} as $$
declare
    v_column text := $1;
    v_field text := $2;
    v_operands jsonb[] := array(
        select operand::jsonb from jsonb_array_elements_text($3) operand
    );
    v_texts jsonb[] := array(
        select operand from unnest(v_operands) operand where jsonb_typeof(operand) = 'string'
    );
    v_others jsonb[] := array(
        select operand from unnest(v_operands) operand where jsonb_typeof(operand) <> 'string'
    );
    v_of_texts text;
    v_of_others text;
begin
    if cardinality(v_texts) > 0 then
        v_of_texts := format('(%I -> %L) = any (%L::jsonb[])', v_column, v_field, v_texts);
        if v_field ~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$' then
            v_of_texts := format(
                '({indexed_text} is not null and {indexed_text} = any (%3$L::text[]) and %4$s)',
                v_column, v_field,
                array(select left(operand #>> '{}', {prefix}) from unnest(v_texts) operand),
                v_of_texts
            );
        end if;
    end if;
    if cardinality(v_others) > 0 then
        v_of_others := format('(%I -> %L) = any (%L::jsonb[])', v_column, v_field, v_others);
        if v_field in ({number_fields}) and 'number' = all (
            select jsonb_typeof(operand) from unnest(v_others) operand
        ) then
            v_of_others := format(
                '({indexed_number} = any (%3$L::bigint[]) and %4$s)', v_column, v_field,
                array(select parlant_store_clamped(operand::numeric) from unnest(v_others) operand),
                v_of_others
            );
        end if;
    end if;
    return nullif(concat_ws(' or ', v_of_texts, v_of_others), '');
end $$;

-- Returns the number $1 as it is in the indexes on numbers.
create or replace function {in_schema}parlant_store_clamped(numeric)
returns bigint language sql immutable{search_path} as $$
    select round(least(greatest($1, -9e18), 9e18))::bigint
$$;

-- Returns the condition that the field $2 of the column $1 is of the kind $4 and compares by $3
-- with the JSON text $5.
create or replace function {in_schema}parlant_store_compared(text, text, text, text, text)
returns text language plpgsql stable{search_path} as $$
declare
    v_column text := $1;
    v_field text := $2;
    v_sign text := $3;
    v_kind text := $4;
    v_operand text := $5;
    v_sql text;
begin
    if v_kind = 'string' then
        return format(
            '(jsonb_typeof(%1$I -> %2$L) = ''string'''
            ' and (%1$I ->> %2$L) collate "C" %3$s %4$L)',
            v_column, v_field, v_sign, v_operand::jsonb #>> '{}'
        );
    end if;
    v_sql := format(
        '(jsonb_typeof(%1$I -> %2$L) = %3$L and (%1$I -> %2$L) %4$s %5$L::jsonb)',
        v_column, v_field, v_kind, v_sign, v_operand
    );
    if v_kind = 'number' and v_field in ({number_fields}) then
        v_sql := format(
            '({indexed_number} %3$s %4$s and %5$s)', v_column, v_field,
            left(v_sign, 1) || '=', parlant_store_clamped(v_operand::jsonb::numeric), v_sql
        );
    end if;
    return v_sql;
end $$;

-- Returns the order of the sort $1 on the JSON column $2, followed by the order of
-- parlant_store_find. $1 is an array of [field, "asc" or "desc"]. Ascending, missing fields and
-- null come first, then booleans, texts and numbers.
create or replace function {in_schema}parlant_store_order(jsonb, text)
returns text language plpgsql stable{search_path} as $$
declare
    v_keys text := '';
    v_field text;
    v_direction text;
    v_nulls text;
begin
    perform parlant_store_limit(jsonb_array_length($1), {max_sorts}, 'fields of a sort');
    for v_field, v_direction in select pair ->> 0, pair ->> 1 from jsonb_array_elements($1) pair loop
        if v_direction = 'asc' then
            v_nulls := 'nulls first';
        elsif v_direction = 'desc' then
            v_nulls := 'nulls last';
        else
            raise invalid_parameter_value using message = format('%L is no direction', v_direction);
        end if;
        if v_field in ({number_fields}) then
            v_keys := v_keys || format('{indexed_number} %3$s, ', $2, v_field, v_direction);
        end if;
        v_keys := v_keys || format(
            'case when jsonb_typeof(%4$I -> %1$L) = ''number'''
            ' then (%4$I ->> %1$L)::numeric end %2$s %3$s,'
            ' case when jsonb_typeof(%4$I -> %1$L) = ''string'''
            ' then (%4$I ->> %1$L) collate "C" end %2$s %3$s,'
            ' case when jsonb_typeof(%4$I -> %1$L) = ''boolean'''
            ' then (%4$I ->> %1$L)::boolean end %2$s %3$s, ',
            v_field, v_direction, v_nulls, $2
        );
    end loop;
    return v_keys || 'coalesce(creation_utc, ''''), coalesce(id, '''')';
end $$;

-- Returns the condition for the documents of the collection $1 that match the filter $2 and have
-- not expired at $3.
create or replace function {in_schema}parlant_store_matching(text, jsonb, timestamptz)
returns text language sql stable{search_path} as $$
    select format(
        'collection = %L and %s and (expires_at is null or expires_at > %L)',
        $1, parlant_store_where($2, 'data'), $3
    )
$$;
