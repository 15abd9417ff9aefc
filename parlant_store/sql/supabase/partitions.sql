-- Each collection is a partition of its name, in a schema of the partitions: PostgREST hides what
-- is a partition, so it shows a view of that name. Documents of the collection that are in the
-- default partition move, with their keys. Partitions that are there are left alone.
create schema if not exists {partitions};
do {quote}
declare
    v_document regclass := {document_text};
    v_default regclass := (select partdefid from pg_partitioned_table where partrelid = v_document);
    v_owner regrole := (select relowner from pg_class where oid = v_document);
    v_columns text := (
        select string_agg(quote_ident(attname), ', ') from pg_attribute
        where attrelid = v_document and attnum > 0 and not attisdropped
    );
    v_table regclass;
    v_name text;
    v_index regclass;
    v_name_of_all text;
begin
    foreach v_name in array array[{collections}] loop
        continue when exists (
            select from pg_inherits
            where inhrelid = to_regclass(format('%I.%I', {partitions_text}, v_name))
                and inhparent = v_document
        );
        lock table {document} in access exclusive mode;
        v_table := to_regclass(format('%I.%I', {schema_text}, v_name));
        if v_table is null then
            execute format(
                'create table %I.%I (like %s including all excluding indexes)',
                {partitions_text}, v_name, v_document
            );
            v_table := format('%I.%I', {partitions_text}, v_name);
            execute format('alter table %s owner to %s', v_table, v_owner);
        elsif not {adopt} then
            raise exception '% is there already, and is no partition of %', v_table, v_document
                using hint = 'With --adopt a table keeps its rows, as documents of its name.';
        elsif not exists (
            select from pg_class where oid = v_table and relkind = 'r' and not relispartition
        ) then
            raise exception '% cannot be adopted: it is no table of its own', v_table;
        else
            execute format('alter table %s set schema %I', v_table, {partitions_text});
        end if;
        if v_default <> 0 then
            execute format(
                'with moved as (delete from %1$s where collection = %2$L returning *)'
                ' insert into %3$s (%4$s) select %4$s from moved',
                v_default, v_name, v_table, v_columns
            );
        end if;
        execute format('alter table %s enable row level security', v_table);
        execute format('alter table %s alter column collection set default %L', v_table, v_name);
        execute format(
            'alter table %s attach partition %s for values in (%L)', v_document, v_table, v_name
        );
        -- Errors name the index of a partition, and are told apart by its name.
        for v_index, v_name_of_all in
            select i.inhrelid, c.relname from pg_inherits i join pg_class c on c.oid = i.inhparent
            join pg_index on indexrelid = i.inhrelid
            where indrelid = v_table and starts_with(c.relname, 'parlant_store_doc_u_')
        loop
            execute format(
                'alter index %s rename to %I', v_index, v_name_of_all || '_' || v_index::oid
            );
        end loop;
        -- For upserts by the id alone. Made after the index on collection and id, which two
        -- who insert the same id are to meet at first.
        if not exists (
            select from pg_index join pg_attribute on attrelid = indrelid and attname = 'id'
            where indrelid = v_table and indisunique and indpred is null
                and indkey::text = attnum::text
        ) then
            execute format('create unique index on %s (id)', v_table);
        end if;
        -- The trigger completes these.
        execute format(
            'update %s set data = data where jsonb_strip_nulls(%s) <> jsonb_strip_nulls(%s)',
            v_table, {columns_text}, {fields_text}
        );
        execute format(
            'create view %I.%I with (security_invoker = true) as select {view_columns} from %s'
            ' where expires_at is null or expires_at > now()',
            {schema_text}, v_name, v_table
        );
        execute format('alter view %I.%I owner to %s', {schema_text}, v_name, v_owner);
    end loop;
end
{quote};
