-- Row level security, policies and grants of each partition of documents. They apply to statements
-- that name the partition; to statements that name the table of all documents, those of the table
-- apply. Views have the security_invoker option: a query of a view has the rights of the caller on
-- the partition. Users have grants only on the partitions and views of collections that they may
-- read.
do {quote}
declare
    v_document regclass := {document_text};
    v_sequence text := pg_get_serial_sequence({document_text}, 'key');
    v_partition regclass;
    v_view regclass;
    v_statement text;
    v_roles text := (
        select string_agg(role::text, ', ') from unnest(array[{roles}]::regrole[]) role
        where has_any_column_privilege(role, v_document, 'insert')
    );
    v_readable regclass[];
begin
    if (select relkind from pg_class where oid = v_document) <> 'p' then
        return;
    end if;
    v_readable := array(
        select inhrelid from pg_inherits join pg_class on oid = inhrelid
        where inhparent = v_document and {is_readable}
    );
    for v_partition in
        select inhrelid from pg_inherits where inhparent = v_document order by inhrelid
    loop
        execute replace({policies}, {default_text}, v_partition::text);
        for v_statement in
            select format('grant %s on %s to %s', privilege, v_partition, grantee)
            from ({grants}) privileges where grantee::text in ({roles})
                and (grantee = 'service_role'::regrole or v_partition = any (v_readable))
        loop
            execute v_statement;
        end loop;
    end loop;
    for v_view, v_partition in
        select v.oid, c.oid from pg_inherits join pg_class c on c.oid = inhrelid
        join pg_class v on v.relkind = 'v' and (
            v.relname = c.relname or pg_get_expr(c.relpartbound, c.oid)
                = 'FOR VALUES IN (''' || replace(v.relname, '''', '''''') || ''')'
        )
        where inhparent = v_document
            and c.relnamespace = (select oid from pg_namespace where nspname = {partitions_text})
            and v.relnamespace = (select oid from pg_namespace where nspname = {schema_text})
        order by v.oid
    loop
        execute format('revoke all on table %s from public, {role_names}', v_view);
        execute format(
            'grant select, insert, update, delete on table %s to %s', v_view,
            case when v_partition = any (v_readable) then v_roles else 'service_role' end
        );
    end loop;
    execute format('revoke all on schema %I from public, {role_names}', {partitions_text});
    execute format('grant usage on schema %I to %s', {partitions_text}, v_roles);
    -- A default, unlike an identity, uses the sequence with the rights of the role that inserts.
    execute format('revoke all on sequence %s from public, {role_names}', v_sequence);
    execute format('grant usage on sequence %s to %s', v_sequence, v_roles);
end
{quote};
