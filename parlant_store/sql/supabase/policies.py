"""Row level security for the tables on Supabase, rendered without a server.

Policies do not apply to the owner of the tables, as which Django connects.
"""

from importlib import resources
from typing import Any

from django.apps import apps
from django.db.models import AutoField

from parlant_store.sql import computed_columns
from parlant_store.sql.functions import LIMITS, OWNER_CLAIM, functions_sql
from parlant_store.sql.supabase.access import (
    APP,
    GUESTS,
    IS_MARKED,
    POLICIES,
    VALUES,
    Access,
    model_of,
)
from parlant_store.sql.supabase.django_tables import SEQUENCES
from parlant_store.sql.supabase.schema import do_block, identifier, literal
from parlant_store.types import USER_MARK

SERVICE_ONLY = (
    "parlant_store_count_event",
    "parlant_store_count_session",
    "parlant_store_count_sessions",
    "parlant_store_due",
    "parlant_store_ensure_index",
    "parlant_store_expire",
    "parlant_store_get_thread",
    "parlant_store_is_old",
    "parlant_store_is_whole",
    "parlant_store_list_checkpoint_infos",
    "parlant_store_list_due",
    "parlant_store_mark_value",
    "parlant_store_name_thread",
    "parlant_store_publish_session",
    "parlant_store_publish_threads",
    "parlant_store_read_channel_values",
    "parlant_store_read_checkpoints",
    "parlant_store_read_documents",
    "parlant_store_read_sessions",
    "parlant_store_read_threads",
    "parlant_store_read_writes",
    "parlant_store_retire",
    "parlant_store_session_compute",
    "parlant_store_set_thread_expiry",
    "parlant_store_stage_items",
    "parlant_store_stage_threads",
    "parlant_store_sweep",
    "parlant_store_thread_compute",
    "parlant_store_write_documents",
    "parlant_store_write_sessions",
)
"""Functions that only the service role may call."""

_APP = "parlant_store"
_OPEN_TO_ALL = """\
-- WARNING: with the policy "open", everybody who has the public key of the project can read, change
-- and delete all rows of these tables. Use it only for experiments with test data."""


def policies_sql(**options: Any) -> str:
    """Return policies, grants and revokes for the tables and functions of a schema.

    They replace those of another policy. The options are those of ``Access``. With "owner",
    sessions belong to the user in user_id, and documents to the user in customer_id or to the
    owner of their Parlant session. Raise ValueError if an option is wrong.
    """
    access = Access(**options)
    parts = [
        *([_OPEN_TO_ALL] if access.policy == "open" else []),
        f"grant usage on schema {identifier(access.schema)} to {', '.join(access.roles)};",
        _requests(access),
        access.helpers(),
        *(_table(access, model) for model in _models()),
        *(_marking(access, model) for model in VALUES),
        _sequences(access),
        functions_sql(
            identifier(access.schema),
            owner_claim=access.owner_claim or OWNER_CLAIM,
            files=("turns",),
        ),
        _functions(access),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def document_policies_sql(*, table: str, **options: Any) -> str:
    """Return the policies of documents for ``table``, a partition, without grants.

    They use functions of ``policies_sql`` with the same options.
    """
    access = Access(**options)
    return _secured(access, access.qualified(table), "Document") + "\n"


# The documents of a user and of the user's Parlant sessions, in the collections of the options. A
# document that a user writes must not be in the session of another user. In collections that
# users may only read, updates and deletes match no rows.
_OWN_DOCUMENTS = """collection in ({listed})
    and (
        customer_id = {owner}
        or {in_own_session}
    )"""
_DOCUMENT = (
    f"for all to authenticated using (\n    {_OWN_DOCUMENTS}\n)"
    """ with check (
    collection in ({open})
    and (customer_id = {owner} or (customer_id is null and session_id is not null))
    and (
        session_id is null
        or {in_own_session}
    )
    and {is_good_session}
    and {private}.agrees(data, {columns})
    and {private}.is_readable(data)
    and greatest(updated_at, expires_at) < {last_day}
    and least(updated_at, expires_at) > {first_day}
)"""
)
_CHANGE = "as restrictive for update to authenticated using (collection in ({open}))"
_REMOVAL = "as restrictive for delete to authenticated using (collection in ({open}))"
_SESSION = """for all to authenticated using (
    user_id = {owner}
) with check (
    user_id = {owner}
    and (full_names is null or {private}.names_agree(full_names, {names}, false))
    and {private}.is_readable(metadata) and {private}.is_readable(state)
    and (usage is null or {private}.is_readable(usage))
    and greatest(created_at, updated_at, expires_at) < {last_day}
    and least(created_at, updated_at, expires_at) > {first_day}
)"""
_OWN_SESSIONS = (
    "exists (\n        select from {session} s"
    " where s.key = {item}.session_key and s.user_id = {owner}\n    )"
)
_ITEM = (
    f"for all to authenticated using (\n    {_OWN_SESSIONS}\n) with check (\n    {_OWN_SESSIONS}\n"
    "    and created_at > {first_day} and created_at < {last_day}\n"
    "    and (usage is null or {private}.is_readable(usage))\n)"
)
_THREAD = """for all to authenticated using (
    user_id = {owner}
) with check (
    user_id = {owner}
    and (full_names is null or {private}.names_agree(full_names, {thread_names}, true))
    and greatest(created_at, updated_at, expires_at) < {last_day}
    and least(created_at, updated_at, expires_at) > {first_day}
)"""
_OWN_THREADS = (
    "exists (\n        select from {thread} t"
    " where t.key = thread_key and t.user_id = {owner}\n    )"
)
_VALUE = (
    f"for all to authenticated using (\n    {_OWN_THREADS}\n) with check (\n    {_OWN_THREADS}\n"
    "    and {is_marked}\n"
)
# Ancestors have smaller ids, so that they never form a circle.
_CHECKPOINT = f"""{_VALUE}    and (full_ns is null or {{private}}.names_agree(
        json_build_object('ns', full_ns)::text, jsonb_build_object('ns', checkpoint_ns), true
    ))
    and (parent_id is null or parent_id < checkpoint_id)
    and {{private}}.is_readable(versions) and {{private}}.is_versions(versions)
    and {{private}}.is_readable(metadata) and {{private}}.has_few_counters(metadata)
    and created_at > {{first_day}} and created_at < {{last_day}}
)"""
_OWNERS = {
    "Document": {"owner": _DOCUMENT, "change": _CHANGE, "removal": _REMOVAL},
    "Session": {"owner": _SESSION},
    "SessionItem": {"owner": _ITEM},
    "Thread": {"owner": _THREAD},
    "Checkpoint": {"owner": _CHECKPOINT},
    "ChannelValue": {"owner": f"{_VALUE})"},
    "CheckpointWrite": {"owner": f"{_VALUE})"},
    "ThreadMessage": {
        "owner": f"for all to authenticated using (\n    {_OWN_THREADS}\n) with check (\n"
        f"    {_OWN_THREADS}\n)"
    },
}
_OWN = {
    "Document": _OWN_DOCUMENTS,
    "Session": "user_id = {owner}",
    "SessionItem": _OWN_SESSIONS,
    "Thread": "user_id = {owner}",
    **dict.fromkeys((*VALUES, "ThreadMessage"), _OWN_THREADS),
}
"""The conditions for rows of the user."""

# Rows of other users are not counted, in whatever order PostgreSQL evaluates the policies.
_READING = """as restrictive for select to {guests} using (
    case
        when (select parlant_store_requests.measure({table})) is null then true
        when {own} then parlant_store_requests.weigh(
            octet_length(json_build_array({columns})::text) + 200,
            (select parlant_store_requests.measure({table}))
        )
        else false
    end
)"""
POLICY_NAMES = (*POLICIES, "change", "removal", "reading")
"""The names of the policies of a table, without "parlant_store_"."""


def _models() -> list[str]:
    return [model.__name__ for model in apps.get_app_config(APP).get_models()]


def _table(access: Access, model: str) -> str:
    table = access.table(model)
    parts = [_secured(access, table, model)]
    parts.append(f"grant select, insert, update, delete on {table} to service_role;")
    guests = ", ".join(access.guests(model))
    if guests:
        # Without the generated keys: a user who chose them could take keys of other users' rows.
        columns = ", ".join(map(identifier, _written_columns(model)))
        parts.append(
            f"grant select, insert ({columns}), update ({columns}), delete on {table} to {guests};"
        )
    return "\n".join(parts)


def _marking(access: Access, model: str) -> str:
    """Return the trigger that marks values of users, so that they call what servers call."""
    table = access.table(model)
    guests = ", ".join(map(literal, access.guests(model)))
    if not guests:
        return f"drop trigger if exists parlant_store_mark on {table};"
    return (
        f"create or replace trigger parlant_store_mark before insert or update on {table}"
        f" for each row when (current_user in ({guests}) and not starts_with(new.type,"
        f" {literal(USER_MARK)}))"
        f" execute function {access.qualified('parlant_store_mark_value')}();"
    )


def _columns(model: str) -> list[str]:
    """Return the columns of the table, without the generated key."""
    fields = model_of(model)._meta.concrete_fields
    return [str(field.column) for field in fields if not isinstance(field, AutoField)]


def _written_columns(model: str) -> list[str]:
    """Return the columns that users may write."""
    computed = computed_columns.COLUMNS.get(model_of(model)._meta.db_table, {})
    return [column for column in _columns(model) if column not in computed]


def _secured(access: Access, table: str, model: str) -> str:
    """Return statements that turn row level security on, and create the policies."""
    policies = {"service": "for all to service_role using (true) with check (true)"}
    own = "true"
    guests = ", ".join(access.guests(model))
    if guests and access.policy == "owner":
        policies |= {name: text.format_map(access.terms()) for name, text in _OWNERS[model].items()}
        own = _OWN[model].format_map(access.terms())
    elif guests:
        check = IS_MARKED if model in VALUES else "true"
        policies["open"] = f"for all to anon, authenticated using (true) with check ({check})"
    if guests:
        columns = ", ".join(map(identifier, _columns(model)))
        table_name = literal(model_of(model)._meta.db_table)
        policies["reading"] = _READING.format(
            guests=guests, own=own, columns=columns, table=table_name
        )
    return "\n".join(
        [
            f"alter table {table} enable row level security;",
            f"revoke all on table {table} from public, anon, authenticated, service_role;",
            *(f"drop policy if exists parlant_store_{name} on {table};" for name in POLICY_NAMES),
            *(
                f"create policy parlant_store_{name} on {table} {rule};"
                for name, rule in policies.items()
            ),
        ]
    )


def _sequences(access: Access) -> str:
    """Return revokes for the sequences of identity columns, which inserts do not need."""
    tables = ", ".join(literal(access.table(model)) for model in _models())
    body = f"""declare
    v_table regclass;
    v_sequence regclass;
begin
    foreach v_table in array array[{tables}]::regclass[] loop
{SEQUENCES}
    end loop;
end"""
    return f"{do_block(body)};"


def _requests(access: Access) -> str:
    """Return the function that PostgREST calls before each request, and those of the policies."""
    text = resources.files(__package__).joinpath("requests.sql").read_text("utf-8")
    terms = {
        "has_guests": str(bool(GUESTS[access.policy])).lower(),
        "columns": "|".join(sorted({name for model in _models() for name in _columns(model)})),
        "tables": "|".join(rf"{name.removeprefix(f'{APP}_')}\M" for name in _tables()),
    }
    return text.format(quote="$$", **terms, **LIMITS)


def _tables() -> list[str]:
    return [model_of(name)._meta.db_table for name in _models()]


def _functions(access: Access) -> str:
    """Return grants for all functions, which get a fixed search_path.

    Functions that ``migrate`` created use the search_path of their callers, which may be users.
    """
    service_only = ", ".join(map(literal, SERVICE_ONLY))
    guests = ", ".join(GUESTS[access.policy])
    to_guests = f"""
        if v_name not in ({service_only}) then
            execute format('grant execute on routine %s to {guests}', v_routine);
        end if;"""
    body = f"""declare
    v_routine regprocedure;
    v_name text;
begin
    for v_routine, v_name in
        select p.oid::regprocedure, p.proname
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = {literal(access.schema)} and p.proname like 'parlant\\_store\\_%'
    loop
        execute format(
            'alter routine %s set search_path to %I, pg_temp', v_routine, {literal(access.schema)}
        );
        execute format(
            'revoke all on routine %s from public, anon, authenticated, service_role', v_routine
        );
        execute format('grant execute on routine %s to service_role', v_routine);
        if v_name = 'parlant_store_ensure_index' then
            execute format('alter routine %s security definer', v_routine);
        end if;\
{to_guests if guests else ""}
    end loop;
end"""
    return f"{do_block(body)};"
