-- Filters and sorts of documents (parlant_store/query.py) as SQL, every value a literal.

-- The condition that p_filter is, on the column of JSON p_column. A filter is one of
--   {"all": [filter, ...]}  {"any": [filter, ...]}  {"not": filter}
--   {"field", "in": [JSON text, ...], "null": whether null and missing ones match}
--   {"field", "sign": "<" "<=" ">" ">=", "kind": "string" "number" "boolean", "value": JSON text}
-- A field with "column": true is a column of its own; "in" is then what the column keeps.
create or replace function {schema}.parlant_store_where(p_filter jsonb, p_column text)
returns text language plpgsql stable set search_path to {schema}, pg_temp as $$
declare
    v_field text := p_filter ->> 'field';
    v_sql text;
begin
    if p_filter ? 'all' then
        select string_agg(parlant_store_where(part, p_column), ' and ') into v_sql
            from jsonb_array_elements(p_filter -> 'all') part;
        return coalesce('(' || v_sql || ')', 'true');
    elsif p_filter ? 'any' then
        select string_agg(parlant_store_where(part, p_column), ' or ') into v_sql
            from jsonb_array_elements(p_filter -> 'any') part;
        return coalesce('(' || v_sql || ')', 'false');
    elsif p_filter ? 'not' then
        return format('(%s) is not true', parlant_store_where(p_filter -> 'not', p_column));
    elsif p_filter ? 'in' then
        v_sql := concat_ws(' or ',
            case
                when (p_filter -> 'column')::boolean then
                    parlant_store_column_in(v_field, p_filter -> 'in')
                else parlant_store_value_in(p_column, v_field, p_filter -> 'in')
            end,
            case when (p_filter -> 'null')::boolean then
                format('coalesce(%I -> %L, ''null'') = ''null''', p_column, v_field)
            end
        );
        return '(' || coalesce(nullif(v_sql, ''), 'false') || ')';
    elsif p_filter ->> 'sign' in ('<', '<=', '>', '>=') then
        return parlant_store_compared(
            p_column, v_field, p_filter ->> 'sign', p_filter ->> 'kind', p_filter ->> 'value'
        );
    end if;
    raise invalid_parameter_value using message = format('%L is no filter', p_filter);
end $$;

-- The column is one of p_texts; null for none.
create or replace function {schema}.parlant_store_column_in(p_column text, p_texts jsonb)
returns text language sql stable set search_path to {schema}, pg_temp as $$
    select case jsonb_array_length(p_texts)
        when 0 then null
        when 1 then format('%I = %L', p_column, p_texts ->> 0)
        else format(
            '%I = any (%L::text[])', p_column, array(select jsonb_array_elements_text(p_texts))
        )
    end
$$;

-- The field's value is one of p_operands, JSON texts; null for none. Where an index may keep the
-- field, it finds the rows, and the value itself confirms them.
create or replace function {schema}.parlant_store_value_in(
    p_column text, p_field text, p_operands jsonb
) returns text language plpgsql stable set search_path to {schema}, pg_temp as $$
declare
    v_operands jsonb[] := array(
        select operand::jsonb from jsonb_array_elements_text(p_operands) operand
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
        v_of_texts := format('(%I -> %L) = any (%L::jsonb[])', p_column, p_field, v_texts);
        if p_field ~ '^[A-Za-z_][A-Za-z0-9_]{0,62}$' then
            v_of_texts := format(
                '({indexed_text} is not null and {indexed_text} = any (%3$L::text[]) and %4$s)',
                p_column, p_field,
                array(select left(operand #>> '{}', {prefix}) from unnest(v_texts) operand),
                v_of_texts
            );
        end if;
    end if;
    if cardinality(v_others) > 0 then
        v_of_others := format('(%I -> %L) = any (%L::jsonb[])', p_column, p_field, v_others);
        if p_field in ({number_fields}) and 'number' = all (
            select jsonb_typeof(operand) from unnest(v_others) operand
        ) then
            v_of_others := format(
                '({indexed_number} = any (%3$L::bigint[]) and %4$s)', p_column, p_field,
                array(select parlant_store_clamped(operand) from unnest(v_others) operand),
                v_of_others
            );
        end if;
    end if;
    return nullif(concat_ws(' or ', v_of_texts, v_of_others), '');
end $$;

-- What the indexes on numbers keep of p_number.
create or replace function {schema}.parlant_store_clamped(p_number jsonb)
returns bigint language sql immutable set search_path to {schema}, pg_temp as $$
    select round(least(greatest(p_number::numeric, -9e18), 9e18))::bigint
$$;

-- The field's value is of p_kind and compares so with p_operand, JSON text.
create or replace function {schema}.parlant_store_compared(
    p_column text, p_field text, p_sign text, p_kind text, p_operand text
) returns text language plpgsql stable set search_path to {schema}, pg_temp as $$
declare
    v_sql text;
begin
    if p_kind = 'string' then
        return format(
            '(jsonb_typeof(%1$I -> %2$L) = ''string'''
            ' and (%1$I ->> %2$L) collate "C" %3$s %4$L)',
            p_column, p_field, p_sign, p_operand::jsonb #>> '{}'
        );
    end if;
    v_sql := format(
        '(jsonb_typeof(%1$I -> %2$L) = %3$L and (%1$I -> %2$L) %4$s %5$L::jsonb)',
        p_column, p_field, p_kind, p_sign, p_operand
    );
    if p_kind = 'number' and p_field in ({number_fields}) then
        v_sql := format(
            '({indexed_number} %3$s %4$s and %5$s)', p_column, p_field,
            left(p_sign, 1) || '=', parlant_store_clamped(p_operand::jsonb), v_sql
        );
    end if;
    return v_sql;
end $$;

-- The order that p_sort is, an array of [field, "asc" or "desc"], and then that of find.
-- Ascending, what is missing or null comes first, then booleans, texts and numbers.
create or replace function {schema}.parlant_store_order(p_sort jsonb)
returns text language plpgsql stable set search_path to {schema}, pg_temp as $$
declare
    v_keys text := '';
    v_field text;
    v_way text;
    v_nulls text;
begin
    for v_field, v_way in select pair ->> 0, pair ->> 1 from jsonb_array_elements(p_sort) pair loop
        if v_way = 'asc' then
            v_nulls := 'nulls first';
        elsif v_way = 'desc' then
            v_nulls := 'nulls last';
        else
            raise invalid_parameter_value using message = format('%L is no direction', v_way);
        end if;
        if v_field in ({number_fields}) then
            v_keys := v_keys || format('{indexed_number} %3$s, ', 'data', v_field, v_way);
        end if;
        v_keys := v_keys || format(
            'case when jsonb_typeof(data -> %1$L) = ''number'''
            ' then (data ->> %1$L)::numeric end %2$s %3$s,'
            ' case when jsonb_typeof(data -> %1$L) = ''string'''
            ' then (data ->> %1$L) collate "C" end %2$s %3$s,'
            ' case when jsonb_typeof(data -> %1$L) = ''boolean'''
            ' then (data ->> %1$L)::boolean end %2$s %3$s, ',
            v_field, v_way, v_nulls
        );
    end loop;
    return v_keys || 'coalesce(creation_utc, ''''), coalesce(id, '''')';
end $$;

-- The condition of a document of the collection that is alive and that p_filter finds.
create or replace function {schema}.parlant_store_matching(
    p_collection text, p_filter jsonb, p_now timestamptz
) returns text language sql stable set search_path to {schema}, pg_temp as $$
    select format(
        'collection = %L and %s and (expires_at is null or expires_at > %L)',
        p_collection, parlant_store_where(p_filter, 'data'), p_now
    )
$$;
