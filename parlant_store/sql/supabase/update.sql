-- Brings tables of an older version up to date, by comparing them with tables of this version in a
-- temporary schema. Rows are kept, and so are columns that the app does not have, which become
-- nullable.
do {quote}
declare
    v_schema text := {schema_text};
    v_table text;
    v_old regclass;
    v_new regclass;
    v_partitioned boolean;
    v_statement text;
begin
    for v_table, v_old, v_new, v_partitioned in
        select n.relname, o.oid, n.oid, o.relkind = 'p' from pg_class n
        join pg_class o on o.relname = n.relname and o.relkind in ('r', 'p')
            and o.relnamespace = (select oid from pg_namespace where nspname = v_schema)
        where n.relkind = 'r'
            and n.relnamespace = (select oid from pg_namespace where nspname = {target_text})
        order by n.oid
    loop
        for v_statement in
            with columns as (
                select n.attname as name, n.attnum as place, o.attname is null as is_missing,
                    format_type(n.atttypid, n.atttypmod) || coalesce(
                        ' collate ' || case when n.attcollation <> t.typcollation
                            then n.attcollation::regcollation::text end, ''
                    ) as type,
                    (o.atttypid, o.atttypmod, o.attcollation)
                        is distinct from (n.atttypid, n.atttypmod, n.attcollation) as is_other,
                    n.attnotnull as is_full, o.attnotnull as was_full,
                    pg_get_expr(of_new.adbin, v_new) as value,
                    pg_get_expr(of_old.adbin, v_old) as old_value,
                    filled, n.attidentity <> '' or o.attidentity <> '' as is_identity,
                    n.attgenerated <> '' as is_generated, o.attgenerated <> '' as was_generated
                from pg_attribute n join pg_type t on t.oid = n.atttypid
                left join pg_attribute o
                    on o.attrelid = v_old and o.attname = n.attname and not o.attisdropped
                left join pg_attrdef of_new on of_new.adrelid = v_new and of_new.adnum = n.attnum
                left join pg_attrdef of_old on of_old.adrelid = v_old and of_old.adnum = o.attnum
                left join {values} fills (of_table, of_column, filled)
                    on of_table = v_table and of_column = n.attname
                where n.attrelid = v_new and n.attnum > 0 and not n.attisdropped
                    and not (v_partitioned and n.attidentity <> '')
            ), computed as (
                select *, not is_missing and (
                    is_other or not was_generated or old_value is distinct from value
                ) as is_changed from columns where is_generated
            ), missing as (
                -- In the order of the columns, unless one that changes its type may be among the
                -- columns from which they are computed.
                select *, case when exists (select from columns where is_other and not is_missing)
                    then 8 else 2 end as step
                from computed where is_missing
            ), steps (step, place, statement) as (
                -- Columns that policies use cannot change their type; the script creates them
                -- again.
                select 1, 0, format('drop policy %I on %s', polname, v_old) from pg_policy
                where polrelid = v_old and starts_with(polname, 'parlant_store_')
                    and exists (select from columns where is_other and not is_missing)
                union all
                select 1, place, format('alter table %s alter column %I drop expression', v_old, name)
                from columns where was_generated and not is_generated
                union all
                select 2, place, format('alter table %s add column %I %s', v_old, name, concat_ws(' ',
                    type, 'default ' || coalesce(value, filled), case when is_full then 'not null' end))
                from columns where is_missing and not is_generated
                union all
                select 3, place, format('alter table %s alter column %I drop default', v_old, name)
                from columns where not is_generated and (
                    is_missing and value is null and filled is not null
                    or not is_missing and old_value is not null and (is_other or value is null)
                )
                union all
                select 4, place, format('alter table %1$s alter column %2$I type %3$s using %2$I::%4$s',
                    v_old, name, type, split_part(type, ' collate ', 1))
                from columns where is_other and not is_missing and not is_generated
                union all
                select 5, place, format('alter table %s alter column %I set default %s', v_old, name,
                    value)
                from columns where not is_missing and value is not null and not is_generated
                    and (is_other or old_value is distinct from value)
                union all
                select 6, place, format('update %1$s set %2$I = %3$s where %2$I is null', v_old, name,
                    coalesce(value, filled))
                from columns where is_full and not was_full and not is_generated
                    and coalesce(value, filled) is not null
                union all
                select 7, place, format('alter table %s alter column %I %s not null', v_old, name,
                    case when is_full then 'set' else 'drop' end)
                from columns where is_full <> was_full and not is_identity
                union all
                -- Computed from the columns before; one whose expression changes is computed again.
                select 8, 0, format('alter table %s drop column %I', v_old, name)
                from computed where is_changed
                union all
                select step, place, format('alter table %s add column %I %s generated always as (%s)'
                    ' stored', v_old, name, type, value)
                from (
                    select step, place, name, type, value from missing
                    union all
                    select 8, place, name, type, value from computed where is_changed
                ) generated
                union all
                select 8, attnum, format('alter table %s alter column %I drop not null', v_old, attname)
                from pg_attribute o
                where attrelid = v_old and attnum > 0 and not attisdropped and attnotnull
                    and not atthasdef and attidentity = '' and not exists (
                        select from pg_attribute n
                        where n.attrelid = v_new and n.attname = o.attname and not n.attisdropped
                    )
                union all
                select 9, 0, format('alter table %s drop constraint %I', v_old, o.conname)
                from pg_constraint o left join pg_constraint n
                    on n.conrelid = v_new and n.conname = o.conname
                where o.conrelid = v_old and o.contype = 'u' and n.oid is null
                    and starts_with(o.conname, 'parlant_store_')
                union all
                select 10, 0, format('drop index %s', o.indexrelid::regclass)
                from pg_index o join pg_class c on c.oid = o.indexrelid
                left join pg_class n on n.relname = c.relname
                    and n.oid in (select indexrelid from pg_index where indrelid = v_new)
                where o.indrelid = v_old and starts_with(c.relname, 'parlant_store_')
                    and c.relname !~ '^parlant_store_doc_[ux]_'
                    and not exists (select from pg_constraint where conindid = o.indexrelid)
                    and regexp_replace(pg_get_indexdef(n.oid), ' INDEX .*? USING ', ' ')
                        is distinct from
                        regexp_replace(pg_get_indexdef(o.indexrelid), ' INDEX .*? USING ', ' ')
                union all
                select 11, 0, format('alter table %s add constraint %I %s', v_old, n.conname,
                    replace(pg_get_constraintdef(n.oid), {target_text}, quote_ident(v_schema)))
                from pg_constraint n
                where n.conrelid = v_new and n.contype in ('u', 'f', 'c') and not exists (
                    select from pg_constraint o where o.conrelid = v_old and o.conname = n.conname
                )
            )
            select statement from steps order by step, place
        loop
            execute v_statement;
        end loop;
    end loop;
    -- Older versions have 0 where no tokens are known.
    v_old := to_regclass(format('%I.parlant_store_session', v_schema));
    if exists (
        select from pg_attribute where attrelid = v_old and attname = 'tokens' and not attnotnull
    ) then
        execute format('update %s set tokens = null where tokens::text = %L', v_old, '0');
    end if;
end
{quote};
drop schema {target} cascade;
