-- Creates a partition for each collection, in a schema of its own, and a view of it, because
-- PostgREST does not show partitions. Both have the name of the collection, or of the table that
-- was adopted for it. Documents of the collection in the default partition move, with their keys.
-- Existing partitions are not changed.
create schema if not exists {partitions};
do {quote}
declare
    v_document regclass := {document_text};
    v_default regclass := (select partdefid from pg_partitioned_table where partrelid = v_document);
    v_owner regrole := (select relowner from pg_class where oid = v_document);
    v_columns text := (
        select string_agg(quote_ident(attname), ', ') from pg_attribute
        where attrelid = v_document and attnum > 0 and not attisdropped and attgenerated = ''
    );
    v_table regclass;
    v_name text;
    v_collection text;
    v_is_made boolean;
    v_is_required boolean;
    v_is_adopted boolean;
    v_index regclass;
    v_parent_name text;
    v_rows bigint;
    v_sum numeric;
    v_moved bigint;
    v_documents bigint;
    v_sum_documents numeric;
begin
    for v_name, v_collection, v_is_made, v_is_required in
        select name, collection, is_made, is_required from {tables}
    loop
        v_is_adopted := false;
        v_moved := 0;
        v_table := {partition};
        if v_table is not null then
            if v_is_made and to_regclass(format('%I.%I', {schema_text}, v_name)) is null then
                execute format({view}, {schema_text}, v_name, v_table);
                execute format('alter view %I.%I owner to %s', {schema_text}, v_name, v_owner);
            end if;
            continue;
        end if;
        v_table := to_regclass(format('%I.%I', {schema_text}, v_name));
        continue when not v_is_made and (v_table is null or not v_is_required and not exists (
            select from pg_class where oid = v_table and relkind = 'r' and not relispartition
        ));
        lock table {document} in access exclusive mode;
        if v_table is null then
            execute format(
                'create table %I.%I (like %s including all excluding indexes)',
                {partitions_text}, v_name, v_document
            );
            v_table := format('%I.%I', {partitions_text}, v_name);
            execute format('alter table %s owner to %s', v_table, v_owner);
        elsif not {adopt} then
            raise exception '% exists already, and is no partition of %', v_table, v_document
                using hint = 'With --adopt, its rows become documents of the collection.';
        elsif not exists (
            select from pg_class where oid = v_table and relkind = 'r' and not relispartition
        ) then
            raise exception '% cannot be adopted: it is not a plain table', v_table;
        else
            execute format('alter table %s set schema %I', v_table, {partitions_text});
            v_is_adopted := true;
        end if;
        if v_default <> 0 then
            execute format(
                'with moved as (delete from %1$s where collection = %2$L returning *)'
                ' insert into %3$s (%4$s) select %4$s from moved',
                v_default, v_collection, v_table, v_columns
            );
            get diagnostics v_moved = row_count;
        end if;
        if v_is_adopted then
            execute format('select count(*), %s from %s', format({sum}, 'data'), v_table)
                into v_rows, v_sum;
        end if;
        execute format('alter table %s enable row level security', v_table);
        execute format(
            'alter table %s alter column collection set default %L', v_table, v_collection
        );
        execute format(
            'alter table %s attach partition %s for values in (%L)',
            v_document, v_table, v_collection
        );
        -- Errors have the name of the partition's index, which must show what index it is.
        for v_index, v_parent_name in
            select i.inhrelid, c.relname from pg_inherits i join pg_class c on c.oid = i.inhparent
            join pg_index on indexrelid = i.inhrelid
            where indrelid = v_table and starts_with(c.relname, 'parlant_store_doc_u_')
        loop
            execute format(
                'alter index %s rename to %I', v_index, v_parent_name || '_' || v_index::oid
            );
        end loop;
        -- For upserts by the id alone. Created after the index on collection and id, so that two
        -- inserts of the same id conflict in that one first. PostgREST uses the primary key for
        -- upserts without on_conflict.
        if exists (
            select from pg_attribute where attrelid = v_table and attname = 'id' and attnotnull
        ) then
            execute format('alter table %s add primary key (id)', v_table);
            execute format('create unique index on %s (key)', v_table);
        else
            execute format('alter table %s add primary key (key)', v_table);
        end if;
        if not exists (
            select from pg_index join pg_attribute on attrelid = indrelid and attname = 'id'
            where indrelid = v_table and indisunique and indpred is null
                and indkey::text = attnum::text
        ) then
            execute format('create unique index on %s (id)', v_table);
        end if;
        -- The trigger completes these documents.
        execute format(
            'update %s set data = data where jsonb_strip_nulls(%s) <> jsonb_strip_nulls(%s)',
            v_table, {columns_text}, {fields_text}
        );
        if v_is_adopted then
            execute format('select count(*), %s from %s where collection = %L',
                format({sum}, 'data'), v_document, v_collection) into v_documents, v_sum_documents;
            if (v_documents, v_sum_documents) <> (v_rows, v_sum) then
                raise exception '% cannot be adopted: of its % rows % are documents', v_name,
                    v_rows, v_documents;
            end if;
            raise notice '%: % rows are documents of %', v_name, v_rows - v_moved, v_collection;
        end if;
        execute format({view}, {schema_text}, v_name, v_table);
        execute format('alter view %I.%I owner to %s', {schema_text}, v_name, v_owner);
    end loop;
end
{quote};
