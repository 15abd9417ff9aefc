"""The access options of the policies, as SQL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources

from django.apps import apps
from django.db.models import Model

from parlant_store.content import codec
from parlant_store.content.related_documents import METADATA, SESSIONS, prefix_of
from parlant_store.sql.functions import LIMITS, functions_sql
from parlant_store.sql.supabase.schema import dollars, identifier, literal
from parlant_store.types import FAILED, PROMOTED, USER_MARK

POLICIES = ("service", "owner", "open")
"""Who may use the tables: the service role; also signed-in users, for rows of their own; all."""

TABLE_PREFIX = "parlant_"
"""The default prefix of a server's collections, as in ``server_stores``."""

ANONYMOUS = ("allow", "deny")
"""Whether the policy admits users who signed in anonymously."""

APP = "parlant_store"
GUESTS = {"service": (), "owner": ("authenticated",), "open": ("anon", "authenticated")}
VALUES = ("Checkpoint", "ChannelValue", "CheckpointWrite")
"""Models of tables with serialized values, of which those that users write have a mark.

Serializers of graphs may call any function that the bytes of a value name: a user who writes one
could run code where a server reads it.
"""

MAX_DELTA_CHANNELS = 100
"""Limit on the channels of a user's checkpoint whose values are in those before it."""

_NAME_BYTES = 63
_USER_METADATA = "user_metadata"
_SIGNED_IN = "coalesce((select auth.jwt()) ->> 'is_anonymous', 'false') = 'false'"
_MARK = "chr(1) || chr(3)"
"""The separator that codec.to_column puts before the digest of a long text."""

IS_MARKED = f"starts_with(type, {literal(USER_MARK)})"
"""The condition that a value is marked as that of a user."""

_VERSION = (
    r"^(-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?"
    r'|"([^"\\[:cntrl:]]|\\(["\\/bfnrt]|u[0-9a-fA-F]{4}))*")$'
)
"""The JSON text of a number or a string."""

_TRIGGERS = (("Session", "own"), ("Thread", "own"), ("Request", "own"), ("Document", "stay"))
"""Those of the policy "owner"."""

_TABLES = {
    "document": "Document",
    "session": "Session",
    "item": "SessionItem",
    "request": "Request",
    "thread": "Thread",
}


@dataclass(frozen=True, kw_only=True)
class Access:
    """Which roles the policies admit, and to which rows.

    Raise ValueError if an argument is wrong.
    """

    schema: str
    """The schema of the tables: a plain name."""

    policy: str
    """One of POLICIES. The options below are for "owner" only."""

    owner_claim: str | None = None
    """The claim with the owner in a user's token, nested with dots; None: auth.uid()."""

    table_prefixes: Sequence[str] = (TABLE_PREFIX,)
    """The prefixes of servers: users read and write their own Parlant sessions and events."""

    sessions_collection: str | None = None
    """A collection of Parlant's sessions, instead of those of ``table_prefixes``."""

    user_collections: Sequence[str] = ()
    """Other collections in which users read and write documents of their own."""

    readable_collections: Sequence[str] = ()
    """Other collections in which users read documents of their own."""

    anonymous: str = "allow"
    """One of ANONYMOUS."""

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"The policy {self.policy!r} must be one of {', '.join(POLICIES)}")
        if self.owner_claim is not None:
            if self.policy != "owner":
                raise ValueError("A claim of the owner needs the policy owner")
            _check_claim(self.owner_claim)
        if self.anonymous not in ANONYMOUS:
            raise ValueError(f"anonymous must be one of {', '.join(ANONYMOUS)}")
        if self.policy != "owner" and self.anonymous == "deny":
            raise ValueError("Denying anonymous users needs the policy owner")
        if self.policy != "owner" and (self.user_collections or self.readable_collections):
            raise ValueError("Collections for users need the policy owner")
        if not self.table_prefixes and self.sessions_collection is None:
            raise ValueError("There is no prefix of a server's collections")
        for name in (*self.sessions_collections, *self.readable_collections):
            _check_collection(name)
        for name in self.user_collections:
            _check_open(name)

    @property
    def roles(self) -> tuple[str, ...]:
        return ("service_role", *GUESTS[self.policy])

    @property
    def owner(self) -> str:
        """SQL for the id of the user, evaluated once per statement; null without a user.

        Supabase's linter warns that auth.jwt() is slow unless it is in its own select.
        """
        if self.owner_claim is None:
            name = "(select auth.uid())::text"
        else:
            path = ", ".join(map(literal, self.owner_claim.split(".")))
            name = f"nullif((select auth.jwt()) #>> array[{path}], '')"
        if self.anonymous == "deny":
            name = f"case when {_SIGNED_IN} then {name} end"
        return f"(select {name})"

    @property
    def sessions_collections(self) -> tuple[str, ...]:
        """The collections of Parlant's sessions in which users have sessions."""
        if self.sessions_collection is not None:
            return (self.sessions_collection,)
        return tuple(dict.fromkeys(f"{each}sessions_{SESSIONS}" for each in self.table_prefixes))

    @property
    def open_collections(self) -> tuple[str, ...]:
        """The collections in which users may write."""
        events = (f"{_prefix(name)}events" for name in self.sessions_collections)
        names = (*self.sessions_collections, *events, *self.user_collections)
        return tuple(dict.fromkeys(names))

    @property
    def listed_collections(self) -> tuple[str, ...]:
        """The collections in which users may read."""
        return tuple(dict.fromkeys((*self.open_collections, *self.readable_collections)))

    def in_own_session(self) -> str:
        """Return the condition that a document is in a Parlant session of the user."""
        by_sessions: dict[str, list[str]] = {}
        by_prefix = {_prefix(name): name for name in self.sessions_collections}
        for name in self.listed_collections:
            prefix = prefix_of(name, by_prefix)
            if prefix is not None:
                by_sessions.setdefault(by_prefix[prefix], []).append(name)
        conditions = (
            f"collection in ({_texts(names)})"
            f" and session_id in (select {self.private}.own_sessions({_text(sessions)}))"
            for sessions, names in by_sessions.items()
        )
        return "\n        or ".join(conditions)

    def is_good_session(self) -> str:
        """Return the condition on a Parlant session that a user writes; true of others."""
        cases = (
            f"when {_text(name)} then customer_id = {self.owner} and ("
            f"id in (select {self.private}.own_sessions({_text(name)}))"
            f" or {self.private}.is_unused({_text(_prefix(name))}, id))"
            for name in self.sessions_collections
        )
        return "\n        ".join(["case collection", *cases, "else true end"])

    @property
    def private(self) -> str:
        name = f"{APP}_private"
        if self.schema != "public":
            name = f"{name}_{self.schema}"
        if len(name.encode()) > _NAME_BYTES:
            name = f"{APP}_private_{sha256(self.schema.encode()).hexdigest()[:16]}"
        return identifier(name)

    def qualified(self, table: str) -> str:
        return f"{identifier(self.schema)}.{identifier(table)}"

    def table(self, model: str) -> str:
        return self.qualified(model_of(model)._meta.db_table)

    def may_read_partition(self) -> str:
        """Return the condition on a row of pg_class, a partition, that users may read it."""
        if self.policy == "open":
            return "true"
        bounds = ", ".join(
            literal("FOR VALUES IN ('{}')".format(codec.escape(name).replace("'", "''")))
            for name in (self.listed_collections if self.policy == "owner" else ())
        )
        return f"pg_get_expr(relpartbound, oid) = any (array[{bounds}]::text[])"

    def guests(self, model: str) -> tuple[str, ...]:
        """Return the roles other than the service role that may use a table.

        Tables that users do not need have no grant: pg_graphql shows tables with a grant.
        """
        is_internal = self.policy == "owner" and model == "Request"
        return () if is_internal else GUESTS[self.policy]

    def terms(self) -> dict[str, str]:
        """Return the terms of the templates."""
        terms = {
            "private": self.private,
            "in_schema": f"{identifier(self.schema)}.",
            "owner": self.owner,
            "open": _texts(self.open_collections),
            "listed": _texts(self.listed_collections),
            "in_own_session": self.in_own_session(),
            "is_good_session": self.is_good_session(),
            "max_bytes": str(codec.MAX_COLUMN_BYTES),
            "mark": _MARK,
            "columns": _object(PROMOTED),
            "names": _object(("namespace", "session_id", "user_id")),
            "thread_names": _object(("namespace", "thread_id", "user_id")),
            "is_marked": IS_MARKED,
            "version": literal(_VERSION),
            "too_deep": str(codec.MAX_DEPTH + 1),
            # The limits of Python's years, and of the digits of its integers.
            "first_day": "'0001-01-02 UTC'",
            "last_day": "'9999-12-31 UTC'",
            "too_long": "1e4300",
            "max_row": str(LIMITS["max_row"]),
            "max_delta_channels": str(MAX_DELTA_CHANNELS),
            **{model: self.table(name) for model, name in _TABLES.items()},
        }
        return terms | {"quote": dollars("".join(terms.values()))}

    def helpers(self) -> str:
        """Return the functions and triggers of "owner", or statements that drop them."""
        if self.policy == "owner":
            text = resources.files(__package__).joinpath("owner.sql").read_text("utf-8")
            return text.format_map(self.terms())
        triggers = (
            f"drop trigger if exists parlant_store_{name} on {self.table(model)};"
            for model, name in _TRIGGERS
        )
        return "\n".join(
            [
                *triggers,
                f"drop schema if exists {self.private} cascade;",
                functions_sql(identifier(self.schema), files=("answers",)),
            ]
        )


def model_of(name: str) -> type[Model]:
    return apps.get_model(APP, name)


def _prefix(sessions: str) -> str:
    """Return the prefix of the related collections of a collection of Parlant's sessions."""
    if sessions.endswith(SESSIONS):
        return sessions.removesuffix(SESSIONS)
    before, separator, _ = sessions.rpartition("_")
    return before + separator


def _check_collection(name: str) -> None:
    codec.check_name(name, "The name of a collection")
    if not name.isprintable():
        raise ValueError(f"The collection {name!r} has characters that cannot be printed")
    if codec.is_long(name):
        raise ValueError(f"The collection {name!r} has more than {codec.MAX_COLUMN_BYTES} bytes")


def _check_open(name: str) -> None:
    """Refuse collections on whose documents servers act."""
    _check_collection(name)
    reasons = {
        FAILED: "documents that could not be migrated return from it to other collections",
        METADATA: "it has the version of other collections",
        SESSIONS: "--table-prefix and --sessions-collection open Parlant's sessions",
    }
    for end, reason in reasons.items():
        if name.endswith(end):
            raise ValueError(f"Users must not write to the collection {name!r}: {reason}")


def _check_claim(claim: str) -> None:
    if not all(claim.split(".")) or not claim.isprintable():
        raise ValueError(f"The claim {claim!r} must be names with dots between them")
    if _USER_METADATA in claim:
        raise ValueError(
            f"The claim {claim!r} cannot be the owner: users write {_USER_METADATA} themselves, "
            "and could take any id; use app_metadata, which only servers write"
        )


def _text(name: str) -> str:
    """Return SQL for the name of a collection in the form of its column."""
    return literal(codec.escape(name))


def _texts(names: Iterable[str]) -> str:
    return ", ".join(map(_text, names))


def _object(columns: Iterable[str]) -> str:
    pairs = ", ".join(f"{literal(column)}, {identifier(column)}" for column in columns)
    return f"jsonb_build_object({pairs})"
