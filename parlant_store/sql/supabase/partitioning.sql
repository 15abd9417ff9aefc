-- Partitions the table of documents by collection. The plain table, with its rows and indexes,
-- becomes the default partition. If something depends on the table, such as a view, which would
-- depend on that partition only, an error names it. Each partition has its own primary key; that of
-- an adopted table is its id.
do {quote}
declare
    v_document regclass := {document_text};
    v_owner oid;
    v_bound text;
    v_statements text[];
    v_statement text;
    v_index regclass;
    v_name text;
    v_next bigint;
begin
    if (select relkind from pg_class where oid = v_document) = 'p' then
        if pg_get_partkeydef(v_document) <> 'LIST (collection)' then
            raise exception '% is partitioned, and not by list (collection)', v_document;
        end if;
        for v_statement in
            select format('alter table %s drop constraint %I', v_document, conname)
            from pg_constraint where conrelid = v_document and contype = 'p'
        loop
            execute v_statement;
        end loop;
        for v_statement in
            select format('alter table %s add primary key (key)', inhrelid::regclass)
            from pg_inherits where inhparent = v_document and not exists (
                select from pg_constraint where conrelid = inhrelid and contype = 'p'
            )
        loop
            execute v_statement;
        end loop;
        return;
    end if;
    lock table {document} in access exclusive mode;
    -- The script of the policies creates it again, for all partitions.
    drop trigger if exists parlant_store_stay on {document};
    select string_agg(pg_describe_object(classid, objid, 0), ', ') into v_bound from (
        select distinct classid, objid from pg_depend
        where refclassid = 'pg_class'::regclass and refobjid = v_document and classid in (
            'pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_trigger'::regclass,
            'pg_policy'::regclass
        ) and objid not in (
            select oid from pg_policy
            where polrelid = v_document and starts_with(polname, 'parlant_store_')
        )
        union all
        select 'pg_constraint'::regclass, oid from pg_constraint
        where contype = 'f' and v_document in (conrelid, confrelid)
        union all
        select 'pg_publication_rel'::regclass, oid from pg_publication_rel
        where prrelid = v_document and (prqual is not null or prattrs is not null)
    ) bound;
    if v_bound is not null then
        raise exception '% cannot be partitioned with: %', v_document, v_bound
            using hint = 'Drop these first, and make them again afterwards.';
    end if;

    -- Statements that give the new table, which gets the old name, what the old one has.
    v_owner := (select relowner from pg_class where oid = v_document);
    v_statements := array(
        select pg_get_indexdef(indexrelid) from pg_index
        where indrelid = v_document and indisvalid
            and not exists (select from pg_constraint where conindid = indexrelid)
        order by indexrelid
    ) || array(
        select format('alter table %s add constraint %I %s', {document_text}, conname,
            pg_get_constraintdef(oid))
        from pg_constraint where conrelid = v_document and contype = 'u' order by oid
    ) || array(
        select format('grant %s on %s to %s', privilege, {document_text}, grantee)
        from ({grants}) privileges
    ) || array(
        select format('alter publication %I add table %s', pubname, {document_text})
        from pg_publication_rel join pg_publication p on p.oid = prpubid where prrelid = v_document
    );

    -- Partitioned tables can have identity columns since PostgreSQL 17 only: keys come from a
    -- sequence.
    execute format(
        'select last_value + is_called::int from %s', pg_get_serial_sequence({document_text}, 'key')
    ) into v_next;
    select greatest(v_next, max(key) + 1) into v_next from {document};
    alter table {document} alter column key drop identity;
    for v_index, v_name in
        select indexrelid, relname from pg_index join pg_class c on c.oid = indexrelid
        where indrelid = v_document
    loop
        execute format('alter index %s rename to %I', v_index, left(v_name, 55) || '_default');
    end loop;
    for v_name in
        select pubname from pg_publication_rel join pg_publication p on p.oid = prpubid
        where prrelid = v_document
    loop
        execute format('alter publication %I drop table %s', v_name, v_document);
    end loop;
    alter table {document} rename to {default_name};

    create table {document} (
        like {default} including all excluding indexes excluding statistics
    ) partition by list (collection);
    execute format('alter table %s owner to %s', {document_text}, v_owner::regrole);
    alter table {document} enable row level security;
    create sequence {sequence} as bigint;
    execute format('alter sequence %s owner to %s', {sequence_text}, v_owner::regrole);
    alter sequence {sequence} owned by {document}.key;
    perform setval({sequence_text}, v_next, false);
    alter table {document} alter column key set default nextval({sequence_text}::regclass);
    alter table {default} alter column key set default nextval({sequence_text}::regclass);
    foreach v_statement in array v_statements loop
        execute v_statement;
    end loop;
    alter table {document} attach partition {default} default;
end
{quote};
