-- Tables named like a collection get the columns of documents, in place. Every row stays, and
-- becomes a document of the collection. Times become ISO 8601 texts as Python writes those of
-- UTC, and a time without a zone is taken as of UTC. Defaults, checks, indexes and triggers stay,
-- save the primary key and what refused null where a document may have it. Policies are dropped:
-- those of documents take their place.
do {quote}
declare
    v_document regclass := {document_text};
    v_table regclass;
    v_name text;
    v_odd text;
    v_changes text;
    v_filled text[];
    v_statement text;
    v_has_keys boolean;
    v_shared boolean;
begin
    foreach v_name in array array[{collections}] loop
        v_table := to_regclass(format('%I.%I', {schema_text}, v_name));
        continue when not exists (
            select from pg_class where oid = v_table and relkind = 'r' and not relispartition
        );
        select string_agg(name, ', ' order by name desc) into v_odd
        from (values ('id'), ('data')) wanted (name) where not exists (
            select from pg_attribute where attrelid = v_table and attname = name
        );
        if v_odd is not null then
            raise exception '% cannot be adopted: it has no column %', v_table, v_odd
                using hint = 'A table to adopt has at least the columns id and data.';
        end if;
        select string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ')
            into v_odd
        from pg_attribute a where attrelid = v_table and attnum > 0 and not attisdropped
        and not exists (
            select from pg_attribute d where d.attrelid = v_document and d.attname = a.attname
            and (d.atttypid = a.atttypid
                or (d.atttypid, a.atttypid) in (select target, source from {casts}))
        );
        if v_odd is not null then
            raise exception '% cannot be adopted with its column %', v_table, v_odd
                using hint = 'Documents have no such column, or none of such a type: drop it, '
                    'or move what it keeps into data.';
        end if;

        for v_statement in
            select format('drop policy %I on %s', polname, v_table)
            from pg_policy where polrelid = v_table
            union all
            select format('alter table %s alter column %I drop expression', v_table, attname)
            from pg_attribute where attrelid = v_table and attgenerated <> ''
        loop
            execute v_statement;
        end loop;
        v_has_keys := exists (
            select from pg_attribute
            where attrelid = v_table and attname = 'key' and not attisdropped
        );
        -- Every other change in one statement, which writes the table anew at most once.
        with columns as (
            select quote_ident(d.attname) as name, a.attname is null as is_missing,
                format_type(d.atttypid, d.atttypmod)
                    || coalesce(' collate ' || nullif(d.attcollation, 0)::regcollation, '') as type,
                a.atttypid is distinct from d.atttypid
                    or a.attcollation is distinct from d.attcollation as is_other,
                coalesce(template, '%s') as template, d.attnotnull as is_full,
                a.attnotnull as was_full, a.attidentity <> '' as is_identity,
                case when d.attname = 'collection' then format('%L', v_name)
                    else pg_get_expr(of_documents.adbin, d.attrelid) end as value,
                case when d.attname <> 'key' then pg_get_expr(own.adbin, a.attrelid) end
                    as own_value
            from pg_attribute d
            left join pg_attrdef of_documents
                on of_documents.adrelid = d.attrelid and of_documents.adnum = d.attnum
            left join pg_attribute a
                on a.attrelid = v_table and a.attname = d.attname and not a.attisdropped
            left join pg_attrdef own on own.adrelid = a.attrelid and own.adnum = a.attnum
            left join {casts} on (target, source) = (d.atttypid, a.atttypid)
            where d.attrelid = v_document and d.attnum > 0 and not d.attisdropped
        ), changes (place, change) as (
            select 1, format('drop constraint %I', conname)
            from pg_constraint where conrelid = v_table and contype = 'p'
            union all
            select 2, format('alter column %s drop not null', name)
            from columns where was_full and not is_full
            union all
            select 2, format('alter column %s drop identity', name) from columns where is_identity
            union all
            select 3, format('alter column %s drop default', name)
            from columns where own_value is not null and is_other
            union all
            select 4, format('alter column %1$s type %2$s using %3$s', name, type,
                format(template, name))
            from columns where is_other and not is_missing
            union all
            select 5, format('alter column %s set default %s', name,
                case when own_value is null then value else format(template, own_value) end)
            from columns where not is_missing and (own_value is null or is_other)
                and coalesce(own_value, value) is not null
            union all
            select 6, concat_ws(' ', 'add column', name, type, 'default ' || value,
                case when is_full then 'not null' end)
            from columns where is_missing
        )
        select string_agg(change, ', ' order by place),
            (select array_agg(format('update %1$s set %2$s = %3$s where %2$s is null', v_table,
                name, coalesce(own_value, value, '''{{}}''')))
            || array_agg(format('alter table %s alter column %s set not null', v_table, name))
            from columns where is_full and not was_full)
        into v_changes, v_filled from changes;
        if v_changes is not null then
            execute format('alter table %s %s', v_table, v_changes);
        end if;
        foreach v_statement in array coalesce(v_filled, '{{}}') loop
            execute v_statement;
        end loop;
        if v_has_keys then
            execute format('select exists (select from %s join %s using (key))',
                v_table, v_document) into v_shared;
            if v_shared then
                raise exception '% cannot be adopted: documents have keys of its rows', v_table
                    using hint = 'Drop its column key: its rows get others.';
            end if;
            execute format('select setval(%L, greatest(nextval(%1$L), max(key) + 1), false)'
                ' from %s', {sequence_text}, v_table);
        end if;
    end loop;
end
{quote};
