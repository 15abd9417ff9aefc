"""Row level security for the tables on Supabase, rendered with no server.

Django itself connects as the owner of the tables, which no policy binds.
"""

from django.apps import apps
from django.db.models import AutoField

from parlant_store.sql.supabase.access import (
    APP,
    GUESTS,
    POLICIES,
    SESSIONS_COLLECTION,
    Access,
    model_of,
)
from parlant_store.sql.supabase.locking import SEQUENCES
from parlant_store.sql.supabase.schema import do_block, identifier, literal

SERVICE_ONLY = (
    "parlant_store_due",
    "parlant_store_ensure_index",
    "parlant_store_expire",
    "parlant_store_is_old",
    "parlant_store_is_whole",
    "parlant_store_list_due",
    "parlant_store_retire",
)
"""Functions that no user may call."""

_APP = "parlant_store"
_OPEN_TO_ALL = """\
-- WARNING: with the policy "open" whoever has the project's public key reads, changes and
-- removes everything in these tables. It is for trying things out on data of no worth."""


def policies_sql(
    *,
    schema: str,
    policy: str,
    owner_claim: str | None = None,
    sessions_collection: str = SESSIONS_COLLECTION,
) -> str:
    """Policies, grants and revokes for the tables and functions in ``schema``, a plain name.

    They take the place of those of any other policy. With "owner", sessions belong to the
    user in user_id and documents to the one in customer_id, or to whoever has their session
    in ``sessions_collection``; the user is auth.uid(), or what ``owner_claim`` names in the
    token, dots leading into objects. Raises ValueError when an argument is wrong.
    """
    access = Access(
        schema=schema,
        policy=policy,
        owner_claim=owner_claim,
        sessions_collection=sessions_collection,
    )
    parts = [
        *([_OPEN_TO_ALL] if policy == "open" else []),
        f"grant usage on schema {identifier(schema)} to {', '.join(access.roles)};",
        access.helpers(),
        *(_table(access, model) for model in _models()),
        _sequences(access),
        _functions(access),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def document_policies_sql(
    *,
    schema: str,
    table: str,
    policy: str,
    owner_claim: str | None = None,
    sessions_collection: str = SESSIONS_COLLECTION,
) -> str:
    """The policies of documents for ``table``, a partition of theirs; it is granted to nobody.

    It is for after ``policies_sql`` with the same arguments, whose functions it uses.
    """
    access = Access(
        schema=schema,
        policy=policy,
        owner_claim=owner_claim,
        sessions_collection=sessions_collection,
    )
    return _secured(access, access.qualified(table), "Document") + "\n"


# A user's documents, and those of the user's sessions. What a user writes must not appear in
# another's session, nor among what all users share; what Parlant's other stores say of a
# customer, as the tags, is for the customer to read alone.
_DOCUMENT = """for all to authenticated using (
    customer_id = {owner}
    or (starts_with(collection, {prefix}) and session_id in (select {private}.own_sessions()))
) with check (
    (customer_id = {owner} or (customer_id is null and session_id is not null))
    and (
        session_id is null
        or (starts_with(collection, {prefix}) and session_id in (select {private}.own_sessions()))
    )
    and case collection
        when {sessions} then
            customer_id = {owner}
            and (id in (select {private}.own_sessions()) or {private}.is_unused(id))
        when {events} then true
        else {private}.is_open(collection)
    end
    and {private}.agrees(data, {columns})
    and {private}.is_readable(data)
    and greatest(updated_at, expires_at) < {last_day}
    and least(updated_at, expires_at) > {first_day}
)"""
_REMOVAL = """as restrictive for delete to authenticated using (
    case when collection in ({sessions}, {events}) then true
    else {private}.is_open(collection) end
)"""
_SESSION = """for all to authenticated using (
    user_id = {owner}
) with check (
    user_id = {owner}
    and (full_names is null or {private}.names_agree(full_names, {names}))
    and {private}.is_readable(metadata) and {private}.is_readable(state)
    and greatest(created_at, updated_at, expires_at) < {last_day}
    and least(created_at, updated_at, expires_at) > {first_day}
)"""
_OWN_SESSIONS = (
    "exists (\n        select from {session} s"
    " where s.key = {item}.session_key and s.user_id = {owner}\n    )"
)
_ITEM = (
    f"for all to authenticated using (\n    {_OWN_SESSIONS}\n) with check (\n    {_OWN_SESSIONS}\n"
    "    and (terms is null or text is not null)\n"
    "    and created_at > {first_day} and created_at < {last_day}\n)"
)
_REQUEST = """for all to authenticated using (
    user_id = {owner}
) with check (
    user_id = {owner}
)"""
_OWNERS = {
    "Document": {"owner": _DOCUMENT, "removal": _REMOVAL},
    "Session": {"owner": _SESSION},
    "SessionItem": {"owner": _ITEM},
    "Request": {"owner": _REQUEST},
}
_NAMES = (*POLICIES, "removal")


def _models() -> list[str]:
    return [model.__name__ for model in apps.get_app_config(APP).get_models()]


def _table(access: Access, model: str) -> str:
    table = access.table(model)
    parts = [_secured(access, table, model)]
    parts.append(f"grant select, insert, update, delete on {table} to service_role;")
    guests = ", ".join(GUESTS[access.policy])
    if guests:
        # Not the keys that the tables give: who chose them could take those of others.
        given = ", ".join(map(identifier, _columns(model)))
        parts.append(
            f"grant select, insert ({given}), update ({given}), delete on {table} to {guests};"
        )
    return "\n".join(parts)


def _columns(model: str) -> list[str]:
    fields = model_of(model)._meta.concrete_fields
    return [str(field.column) for field in fields if not isinstance(field, AutoField)]


def _secured(access: Access, table: str, model: str) -> str:
    """Row level security on the table, and its policies."""
    policies = {"service": "for all to service_role using (true) with check (true)"}
    if access.policy == "owner":
        policies |= {name: text.format_map(access.terms()) for name, text in _OWNERS[model].items()}
    elif access.policy == "open":
        policies["open"] = "for all to anon, authenticated using (true) with check (true)"
    return "\n".join(
        [
            f"alter table {table} enable row level security;",
            f"revoke all on table {table} from public, anon, authenticated, service_role;",
            *(f"drop policy if exists parlant_store_{name} on {table};" for name in _NAMES),
            *(
                f"create policy parlant_store_{name} on {table} {rule};"
                for name, rule in policies.items()
            ),
        ]
    )


def _sequences(access: Access) -> str:
    """Nobody needs the sequences of identity columns to insert."""
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


def _functions(access: Access) -> str:
    """Each function, whatever its parameters, for those who may call it."""
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
            'revoke all on routine %s from public, anon, authenticated, service_role', v_routine
        );
        execute format('grant execute on routine %s to service_role', v_routine);\
{to_guests if guests else ""}
    end loop;
end"""
    return f"{do_block(body)};"
