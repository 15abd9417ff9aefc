"""SQL that closes Django's other tables to the Data API."""

from django.apps import apps
from django.db.migrations.recorder import MigrationRecorder

from parlant_store.sql.supabase.schema import do_block, literal

_APP = "parlant_store"

SEQUENCES = """\
        for v_sequence in
            select s.oid::regclass from pg_depend d join pg_class s on s.oid = d.objid
            where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
                and d.refobjid = v_table and s.relkind = 'S'
        loop
            execute format(
                'revoke all on sequence %s from public, anon, authenticated', v_sequence
            );
        end loop;"""


def lock_django_sql(schema: str) -> str:
    """Return statements that close all other tables of the installed apps to the Data API.

    Tables that are missing in ``schema`` when they run are skipped.
    """
    models = [model._meta for model in apps.get_models(include_auto_created=True)]
    names = {model.db_table for model in models if model.managed and model.app_label != _APP}
    names.add(MigrationRecorder.Migration._meta.db_table)
    body = f"""declare
    v_table regclass;
    v_sequence regclass;
begin
    for v_table in
        select c.oid::regclass from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = {literal(schema)} and c.relkind in ('r', 'p') and c.relname in (
            {", ".join(map(literal, sorted(names)))}
        )
        order by c.relname
    loop
        execute format('alter table %s enable row level security', v_table);
        execute format('revoke all on table %s from public, anon, authenticated', v_table);
        execute format('drop policy if exists parlant_store_service on %s', v_table);
        execute format(
            'create policy parlant_store_service on %s for all to service_role'
            ' using (true) with check (true)', v_table
        );
{SEQUENCES}
    end loop;
end"""
    return (
        "-- Closes Django's other tables. Policies do not apply to their owner, as which Django\n"
        "-- connects.\n"
        f"{do_block(body)};\n"
    )
