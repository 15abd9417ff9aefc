"""Row level security for the tables on Supabase, rendered with no server.

Django itself connects as the owner of the tables, which no policy binds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources

from django.apps import apps
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import AutoField, Model

from parlant_store import codec
from parlant_store.sql.supabase.schema import do_block, identifier, literal
from parlant_store.types import PROMOTED

POLICIES = ("service", "owner", "open")
"""Who may use the tables: only the service role; users too, each what is theirs; everybody."""

SESSIONS_COLLECTION = "parlant_sessions_sessions"
"""The collection of Parlant's sessions, as ``configure_container`` names it."""

SERVICE_ONLY = (
    "parlant_store_due",
    "parlant_store_ensure_index",
    "parlant_store_expire",
    "parlant_store_is_old",
    "parlant_store_is_whole",
    "parlant_store_list_due",
    "parlant_store_names",
    "parlant_store_parts",
    "parlant_store_retire",
)
"""Functions that no user may call."""

_APP = "parlant_store"
_GUESTS = {"service": (), "owner": ("authenticated",), "open": ("anon", "authenticated")}
_NAME_BYTES = 63
_USERS_WRITE_IT = "user_metadata"
_MARK = "chr(1) || chr(3)"
"""What codec.to_column puts between the beginning of a long text and its digest."""

_OPEN_TO_ALL = """\
-- WARNING: with the policy "open" whoever has the project's public key reads, changes and
-- removes everything in these tables. It is for trying things out on data of no worth."""

_SEQUENCES = """\
        for v_sequence in
            select s.oid::regclass from pg_depend d join pg_class s on s.oid = d.objid
            where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
                and d.refobjid = v_table and s.relkind = 'S'
        loop
            execute format(
                'revoke all on sequence %s from public, anon, authenticated', v_sequence
            );
        end loop;"""


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
    access = _Access(
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
    access = _Access(
        schema=schema,
        policy=policy,
        owner_claim=owner_claim,
        sessions_collection=sessions_collection,
    )
    return _secured(access, access.qualified(table), "Document") + "\n"


def lock_django_sql(schema: str) -> str:
    """Closes every other table of the installed apps in ``schema`` to the Data API.

    Tables that are not there when it runs are passed over.
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
{_SEQUENCES}
    end loop;
end"""
    return (
        "-- Django's other tables. Django connects as their owner, whom this does not bind.\n"
        f"{do_block(body)};\n"
    )


@dataclass(frozen=True, kw_only=True)
class _Access:
    """What the arguments mean in SQL; raises ValueError where they mean nothing."""

    schema: str
    policy: str
    owner_claim: str | None
    sessions_collection: str

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"The policy {self.policy!r} must be one of {', '.join(POLICIES)}")
        if self.owner_claim is not None:
            if self.policy != "owner":
                raise ValueError("A claim of the owner goes with the policy owner alone")
            _check_claim(self.owner_claim)
        codec.check_name(self.sessions_collection, "The collection of sessions")

    @property
    def roles(self) -> tuple[str, ...]:
        return ("service_role", *_GUESTS[self.policy])

    @property
    def owner(self) -> str:
        """The user's name, asked once per statement; null for nobody, never empty.

        Supabase's linter takes auth.jwt() for slow unless it stands in a select of its own.
        """
        if self.owner_claim is None:
            return "(select auth.uid())::text"
        path = ", ".join(map(literal, self.owner_claim.split(".")))
        return f"(select nullif((select auth.jwt()) #>> array[{path}], ''))"

    @property
    def prefix(self) -> str:
        """What the collections of Parlant's session store begin with."""
        before, separator, _ = self.sessions_collection.rpartition("_")
        return before + separator

    @property
    def private(self) -> str:
        name = f"{_APP}_private"
        if self.schema != "public":
            name = f"{name}_{self.schema}"
        if len(name.encode()) > _NAME_BYTES:
            name = f"{_APP}_private_{sha256(self.schema.encode()).hexdigest()[:16]}"
        return identifier(name)

    def qualified(self, table: str) -> str:
        return f"{identifier(self.schema)}.{identifier(table)}"

    def table(self, model: str) -> str:
        return self.qualified(_model(model)._meta.db_table)

    def terms(self) -> dict[str, str]:
        """What the templates name."""
        terms = {
            "private": self.private,
            "owner": self.owner,
            "sessions": literal(codec.to_column(self.sessions_collection)),
            "events": literal(codec.to_column(f"{self.prefix}events")),
            "prefix": literal(codec.escape(self.prefix)),
            "max_bytes": str(codec.MAX_COLUMN_BYTES),
            "mark": _MARK,
            "columns": _object(PROMOTED),
            "names": _object(("namespace", "session_id", "user_id")),
            "too_deep": str(codec.MAX_DEPTH + 1),
            # What Python cannot count: years, and digits of integers.
            "first_day": "'0001-01-02 UTC'",
            "last_day": "'9999-12-31 UTC'",
            "too_long": "1e4300",
            **{model: self.table(name) for model, name in _TABLES.items()},
        }
        return terms | {"quote": _dollars(terms.values())}

    def helpers(self) -> str:
        """The functions and triggers of "owner", or their end."""
        if self.policy == "owner":
            text = resources.files(__package__).joinpath("owner.sql").read_text("utf-8")
            return text.format_map(self.terms())
        triggers = (
            f"drop trigger if exists parlant_store_own on {self.table(model)};"
            for model in ("Session", "Request")
        )
        return "\n".join([*triggers, f"drop schema if exists {self.private} cascade;"])


_TABLES = {
    "document": "Document",
    "session": "Session",
    "item": "SessionItem",
    "request": "Request",
}

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


def _model(name: str) -> type[Model]:
    return apps.get_model(_APP, name)


def _models() -> list[str]:
    return [model.__name__ for model in apps.get_app_config(_APP).get_models()]


def _check_claim(claim: str) -> None:
    if not all(claim.split(".")) or not claim.isprintable():
        raise ValueError(f"The claim {claim!r} must be names with dots between them")
    if _USERS_WRITE_IT in claim:
        raise ValueError(
            f"The claim {claim!r} cannot name the owner: users write {_USERS_WRITE_IT} themselves, "
            "and could be anyone; app_metadata is safe from them"
        )


def _object(columns: Iterable[str]) -> str:
    pairs = ", ".join(f"{literal(column)}, {identifier(column)}" for column in columns)
    return f"jsonb_build_object({pairs})"


def _dollars(texts: Iterable[str]) -> str:
    """Dollars to put around a text that holds ``texts``."""
    whole = "".join(texts)
    quote = "$$"
    while quote in whole:
        quote = f"{quote[:-1]}q$"
    return quote


def _table(access: _Access, model: str) -> str:
    table = access.table(model)
    parts = [_secured(access, table, model)]
    parts.append(f"grant select, insert, update, delete on {table} to service_role;")
    guests = ", ".join(_GUESTS[access.policy])
    if guests:
        # Not the keys that the tables give: who chose them could take those of others.
        given = ", ".join(map(identifier, _columns(model)))
        parts.append(
            f"grant select, insert ({given}), update ({given}), delete on {table} to {guests};"
        )
    return "\n".join(parts)


def _columns(model: str) -> list[str]:
    fields = _model(model)._meta.concrete_fields
    return [str(field.column) for field in fields if not isinstance(field, AutoField)]


def _secured(access: _Access, table: str, model: str) -> str:
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


def _sequences(access: _Access) -> str:
    """Nobody needs the sequences of identity columns to insert."""
    tables = ", ".join(literal(access.table(model)) for model in _models())
    body = f"""declare
    v_table regclass;
    v_sequence regclass;
begin
    foreach v_table in array array[{tables}]::regclass[] loop
{_SEQUENCES}
    end loop;
end"""
    return f"{do_block(body)};"


def _functions(access: _Access) -> str:
    """Each function, whatever its parameters, for those who may call it."""
    service_only = ", ".join(map(literal, SERVICE_ONLY))
    guests = ", ".join(_GUESTS[access.policy])
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
