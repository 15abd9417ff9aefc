-- Gives tables with the rows of a collection the columns of documents, in place. Each row becomes a
-- document of the collection. Times become ISO 8601 texts in the form that Python gives times in
-- UTC; a time without a zone is in UTC. Defaults, checks, indexes and triggers are kept, except a
-- primary key that is not the id, and NOT NULL where a document may have null. Policies are
-- dropped: the policies of documents replace them.
-- Of several rows with one id the first one keeps it, unless a document has the id; the others
-- become documents of the collection of failed migrations, each with the original row and the
-- reason. The rows are counted and their data is summed up before and after.
do {quote}
declare
    v_document regclass := {document_text};
    v_table regclass;
    v_name text;
    v_problem text;
    v_changes text;
    v_fills text[];
    v_statement text;
    v_has_keys boolean;
    v_shared boolean;
    v_id_is_key boolean;
    v_collection text;
    v_failed text;
    v_is_required boolean;
    v_partition regclass;
    v_rows bigint;
    v_sum numeric;
    v_remaining bigint;
    v_sum_remaining numeric;
    v_ids text[];
    v_sum_failed numeric;
begin
    for v_name, v_collection, v_failed, v_is_required in
        select name, collection, failed_collection, is_required from {tables}
    loop
        v_table := to_regclass(format('%I.%I', {schema_text}, v_name));
        if v_is_required and v_table is null
            and to_regclass(format('%I.%I', {partitions_text}, v_name)) is null
        then
            raise exception 'there is no table % to adopt in the schema %', v_name, {schema_text};
        end if;
        continue when not exists (
            select from pg_class where oid = v_table and relkind = 'r' and not relispartition
        );
        execute format('lock table %s in access exclusive mode', v_table);
        select string_agg(name, ', ' order by name desc) into v_problem
        from (values ('id'), ('data')) required (name) where not exists (
            select from pg_attribute where attrelid = v_table and attname = name
        );
        if v_problem is not null then
            raise exception '% cannot be adopted: it has no column %', v_table, v_problem
                using hint = 'A table to adopt has at least the columns id and data.';
        end if;
        select string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ')
            into v_problem
        from pg_attribute a where attrelid = v_table and attnum > 0 and not attisdropped
        and not exists (
            select from pg_attribute d where d.attrelid = v_document and d.attname = a.attname
            and (d.atttypid = a.atttypid
                or (d.atttypid, a.atttypid) in (select target, source from {casts}))
        );
        if v_problem is not null then
            raise exception '% cannot be adopted with its column %', v_table, v_problem
                using hint = 'Documents have no such column, or none of such a type: drop it, '
                    'or move its values into data.';
        end if;

        for v_statement in
            select format('alter table %s no force row level security', v_table)
            from pg_class where oid = v_table and relforcerowsecurity
            union all
            select format('drop policy %I on %s', polname, v_table)
            from pg_policy where polrelid = v_table
            union all
            select format('alter table %s alter column %I drop expression', v_table, attname)
            from pg_attribute where attrelid = v_table and attgenerated <> ''
        loop
            execute v_statement;
        end loop;
        execute format('select coalesce(quote_literal(id), ''a row without an id'') from %s'
            ' where jsonb_typeof(data::jsonb) <> ''object'' limit 1', v_table) into v_problem;
        if v_problem is not null then
            raise exception '% cannot be adopted: data of % must be a JSON object',
                v_table, v_problem;
        end if;
        execute format('select count(*), %s from %s',
            format({sum}, 'coalesce(data::jsonb, ''{{}}'')'), v_table) into v_rows, v_sum;
        v_id_is_key := exists (
            select from pg_constraint join pg_attribute on attrelid = conrelid and attname = 'id'
            where conrelid = v_table and contype = 'p' and conkey = array[attnum]
        );
        v_has_keys := exists (
            select from pg_attribute
            where attrelid = v_table and attname = 'key' and not attisdropped
        );
        -- All other changes in one statement, which rewrites the table at most once.
        with columns as (
            select d.attnum as number, quote_ident(d.attname) as name,
                a.attname is null as is_missing,
                format_type(d.atttypid, d.atttypmod)
                    || coalesce(' collate ' || nullif(d.attcollation, 0)::regcollation, '') as type,
                a.atttypid is distinct from d.atttypid
                    or a.attcollation is distinct from d.attcollation as is_other,
                coalesce(template, '%s') as template,
                d.attnotnull or d.attname = 'id' and v_id_is_key as is_full,
                a.attnotnull as was_full, a.attidentity <> '' as is_identity,
                case when d.attname = 'collection' then format('%L', v_collection)
                    else pg_get_expr(of_documents.adbin, d.attrelid) end as value,
                case when d.attname <> 'key' then pg_get_expr(own.adbin, a.attrelid) end
                    as own_value,
                d.attgenerated <> '' as is_generated
            from pg_attribute d
            left join pg_attrdef of_documents
                on of_documents.adrelid = d.attrelid and of_documents.adnum = d.attnum
            left join pg_attribute a
                on a.attrelid = v_table and a.attname = d.attname and not a.attisdropped
            left join pg_attrdef own on own.adrelid = a.attrelid and own.adnum = a.attnum
            left join {casts} on (target, source) = (d.atttypid, a.atttypid)
            where d.attrelid = v_document and d.attnum > 0 and not d.attisdropped
        ), changes (place, number, change) as (
            select 1, 0, format('drop constraint %I', conname)
            from pg_constraint where conrelid = v_table and contype = 'p'
            union all
            select 2, number, format('alter column %s drop not null', name)
            from columns where was_full and not is_full
            union all
            select 2, number, format('alter column %s drop identity', name)
            from columns where is_identity
            union all
            select 3, number, format('alter column %s drop default', name)
            from columns where own_value is not null and is_other
            union all
            select 4, number, format('alter column %1$s type %2$s using %3$s', name, type,
                format(template, name))
            from columns where is_other and not is_missing
            union all
            select 5, number, format('alter column %s set default %s', name,
                case when own_value is null then value else format(template, own_value) end)
            from columns where not is_missing and not is_generated
                and (own_value is null or is_other) and coalesce(own_value, value) is not null
            union all
            select 6, number, concat_ws(' ', 'add column', name, type, case when is_generated
                then format('generated always as (%s) stored', value) else 'default ' || value end,
                case when is_full then 'not null' end)
            from columns where is_missing
        )
        select string_agg(change, ', ' order by place, number),
            (select array_agg(format('update %1$s set %2$s = %3$s where %2$s is null', v_table,
                name, coalesce(own_value, value, '''{{}}''')))
            || array_agg(format('alter table %s alter column %s set not null', v_table, name))
            from columns where is_full and not was_full)
        into v_changes, v_fills from changes;
        if v_changes is not null then
            execute format('alter table %s %s', v_table, v_changes);
        end if;
        foreach v_statement in array coalesce(v_fills, '{{}}') loop
            execute v_statement;
        end loop;
        if v_has_keys then
            execute format('select exists (select from %s join %s using (key))',
                v_table, v_document) into v_shared;
            if v_shared then
                raise exception '% cannot be adopted: documents have keys of its rows', v_table
                    using hint = 'Drop its column key: its rows get new keys.';
            end if;
            execute format('select setval(%L, greatest(nextval(%1$L), max(key) + 1), false)'
                ' from %s', {sequence_text}, v_table);
        end if;

        -- A document of the store with the same id keeps it: agents use this one.
        delete from {document} where collection = v_collection and expires_at <= now();
        execute format($sql$
            with rows as (
                select ctid as place, data, {columns} as columns, case jsonb_typeof(data -> 'id')
                    when 'string' then data ->> 'id' else id end as id
                from %1$s
            ), numbered as (
                select *, row_number() over (partition by id order by place) as number
                from rows where id is not null
            ), moved as (
                delete from %1$s where ctid in (
                    select place from numbered where number > 1 or id in (
                        select data ->> 'id' from %2$s
                        where collection = %3$L and jsonb_typeof(data -> 'id') = 'string'
                    )
                ) returning ctid as place
            ), originals as (
                select id, data, data || coalesce((
                    select jsonb_object_agg(key, value)
                    from jsonb_each(jsonb_strip_nulls(columns))
                    where jsonb_typeof(data -> key) is distinct from 'string'
                ), '{{}}') as document
                from moved join rows using (place)
            ), failed as (
                insert into %2$s (collection, data) select %4$L, coalesce((
                    select jsonb_object_agg(key, value) from jsonb_each(document)
                    where key in ('version', 'session_id', 'customer_id', 'agent_id')
                        and jsonb_typeof(value) = 'string'
                ), '{{}}') || jsonb_build_object(
                    'id', replace(gen_random_uuid()::text, '-', ''),
                    'creation_utc', {now},
                    'collection', %5$L::text,
                    'reason', format('the table %%2$s had the id %%1$L twice', id, %6$L),
                    'document', document
                ) from originals
            )
            select array_agg(id order by id), %7$s from originals
        $sql$, v_table, v_document, v_collection, v_failed,
            regexp_replace(v_failed, {failed} || '$', ''), v_name, format({sum}, 'data'))
            into v_ids, v_sum_failed;
        execute format('select count(*), %s from %s', format({sum}, 'data'), v_table)
            into v_remaining, v_sum_remaining;
        if v_remaining + cardinality(coalesce(v_ids, '{{}}')) <> v_rows
            or v_sum_remaining + v_sum_failed <> v_sum
        then
            raise exception '% cannot be adopted: % of its % rows would be lost, or others',
                v_table, v_rows - v_remaining - cardinality(coalesce(v_ids, '{{}}')), v_rows;
        end if;
        -- If the collection already has a partition, its documents move to this table.
        v_partition := {partition};
        if v_partition is not null then
            for v_statement in
                select format({view}, {schema_text}, v.relname, v_table)
                from pg_class v join pg_class p on p.oid = v_partition
                where v.relkind = 'v' and v.relname in (p.relname, v_collection)
                    and v.relnamespace = (
                        select oid from pg_namespace where nspname = {schema_text}
                    )
            loop
                execute v_statement;
            end loop;
            execute format('alter table %s detach partition %s', v_document, v_partition);
            execute format('insert into %1$s (%2$s) select %2$s from %3$s', v_document, (
                select string_agg(quote_ident(attname), ', ') from pg_attribute
                where attrelid = v_document and attnum > 0 and not attisdropped
                    and attgenerated = ''
            ), v_partition);
            execute format('drop table %s', v_partition);
        end if;
        if v_ids is not null then
            raise warning '%: % of % rows have the id of another row; they are in % now: %',
                v_name, cardinality(v_ids), v_rows, v_failed,
                array_to_string(v_ids[:20], ', ') || case when v_ids[21] is null then ''
                    else ' ...' end;
        end if;
    end loop;
end
{quote};
