"""Access options of the policies, as SQL."""

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
from parlant_store.types import FAILED, PROMOTED

POLICIES = ("service", "owner", "open")
"""Who may use the tables: only the service role; users too, each what is theirs; everybody."""

TABLE_PREFIX = "parlant_"
"""What the names of a server's collections begin with, unless ``server_stores`` says otherwise."""

ANONYMOUS = ("allow", "deny")
"""Whether those who signed in anonymously are users."""

APP = "parlant_store"
GUESTS = {"service": (), "owner": ("authenticated",), "open": ("anon", "authenticated")}
_NAME_BYTES = 63
_USERS_WRITE_IT = "user_metadata"
_SIGNED_IN = "coalesce((select auth.jwt()) ->> 'is_anonymous', 'false') = 'false'"
_MARK = "chr(1) || chr(3)"
"""What codec.to_column puts between the beginning of a long text and its digest."""


_TABLES = {
    "document": "Document",
    "session": "Session",
    "item": "SessionItem",
    "request": "Request",
}


@dataclass(frozen=True, kw_only=True)
class Access:
    """The roles that policies admit, and to what; raises ValueError when an argument is wrong."""

    schema: str
    """Where the tables are: a plain name."""

    policy: str
    """One of POLICIES. What follows is for "owner" alone."""

    owner_claim: str | None = None
    """What names the owner in a user's token, dots leading into objects; None: auth.uid()."""

    table_prefixes: Sequence[str] = (TABLE_PREFIX,)
    """Those of the servers: users read and write what is theirs of the sessions and events."""

    sessions_collection: str | None = None
    """A collection of Parlant's sessions, in place of those of ``table_prefixes``."""

    user_collections: Sequence[str] = ()
    """Other collections in which users read and write documents of their own."""

    readable_collections: Sequence[str] = ()
    """Other collections in which users read what is theirs."""

    anonymous: str = "allow"
    """One of ANONYMOUS."""

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"The policy {self.policy!r} must be one of {', '.join(POLICIES)}")
        if self.owner_claim is not None:
            if self.policy != "owner":
                raise ValueError("A claim of the owner goes with the policy owner alone")
            _check_claim(self.owner_claim)
        if self.anonymous not in ANONYMOUS:
            raise ValueError(f"anonymous must be one of {', '.join(ANONYMOUS)}")
        if self.policy != "owner" and self.anonymous == "deny":
            raise ValueError("To deny anonymous users goes with the policy owner alone")
        if self.policy != "owner" and (self.user_collections or self.readable_collections):
            raise ValueError("Collections for users go with the policy owner alone")
        if not self.table_prefixes and self.sessions_collection is None:
            raise ValueError("No prefix of a server's collections is given")
        for name in (*self.sessions_collections, *self.readable_collections):
            _check_collection(name)
        for name in self.user_collections:
            _check_open(name)

    @property
    def roles(self) -> tuple[str, ...]:
        return ("service_role", *GUESTS[self.policy])

    @property
    def owner(self) -> str:
        """The user's name, asked once per statement; null for nobody, never empty.

        Supabase's linter takes auth.jwt() for slow unless it stands in a select of its own.
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
        """The collections of Parlant's sessions that are the users'."""
        if self.sessions_collection is not None:
            return (self.sessions_collection,)
        return tuple(dict.fromkeys(f"{each}sessions_{SESSIONS}" for each in self.table_prefixes))

    @property
    def open_collections(self) -> tuple[str, ...]:
        """Those in which users may write."""
        events = (f"{_prefix(name)}events" for name in self.sessions_collections)
        names = (*self.sessions_collections, *events, *self.user_collections)
        return tuple(dict.fromkeys(names))

    @property
    def listed_collections(self) -> tuple[str, ...]:
        """Those in which users may read."""
        return tuple(dict.fromkeys((*self.open_collections, *self.readable_collections)))

    def in_own_session(self) -> str:
        """The condition that a document is of a Parlant session of the user's."""
        beside: dict[str, list[str]] = {}
        by_prefix = {_prefix(name): name for name in self.sessions_collections}
        for name in self.listed_collections:
            prefix = prefix_of(name, by_prefix)
            if prefix is not None:
                beside.setdefault(by_prefix[prefix], []).append(name)
        conditions = (
            f"collection in ({_texts(names)})"
            f" and session_id in (select {self.private}.own_sessions({_text(sessions)}))"
            for sessions, names in beside.items()
        )
        return "\n        or ".join(conditions)

    def is_good_session(self) -> str:
        """The condition on a Parlant session that a user writes; true of other documents."""
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
        """The condition on a partition in pg_class that users may read in it."""
        if self.policy == "open":
            return "true"
        bounds = ", ".join(
            literal("FOR VALUES IN ('{}')".format(codec.escape(name).replace("'", "''")))
            for name in (self.listed_collections if self.policy == "owner" else ())
        )
        return f"pg_get_expr(relpartbound, oid) = any (array[{bounds}]::text[])"

    def guests(self, model: str) -> tuple[str, ...]:
        """The roles besides the service role that may use a table.

        What users need not see has no grant, not only no row: pg_graphql shows what has one.
        """
        is_internal = self.policy == "owner" and model == "Request"
        return () if is_internal else GUESTS[self.policy]

    def terms(self) -> dict[str, str]:
        """What the templates name."""
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
            "too_deep": str(codec.MAX_DEPTH + 1),
            # What Python cannot count: years, and digits of integers.
            "first_day": "'0001-01-02 UTC'",
            "last_day": "'9999-12-31 UTC'",
            "too_long": "1e4300",
            "max_row": str(LIMITS["max_row"]),
            **{model: self.table(name) for model, name in _TABLES.items()},
        }
        return terms | {"quote": dollars("".join(terms.values()))}

    def helpers(self) -> str:
        """The functions and triggers of "owner", or their end."""
        if self.policy == "owner":
            text = resources.files(__package__).joinpath("owner.sql").read_text("utf-8")
            return text.format_map(self.terms())
        triggers = (
            f"drop trigger if exists parlant_store_{name} on {self.table(model)};"
            for model, name in (("Session", "own"), ("Request", "own"), ("Document", "stay"))
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
    """What the collections begin with that are beside those of Parlant's sessions."""
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
    """What the names of collections say, users must not be able to say."""
    _check_collection(name)
    reasons = {
        FAILED: "what could not be migrated goes back from it into other collections",
        METADATA: "it says the version of other collections",
        SESSIONS: "--table-prefix and --sessions-collection open Parlant's sessions",
    }
    for end, reason in reasons.items():
        if name.endswith(end):
            raise ValueError(f"Users must not write to the collection {name!r}: {reason}")


def _check_claim(claim: str) -> None:
    if not all(claim.split(".")) or not claim.isprintable():
        raise ValueError(f"The claim {claim!r} must be names with dots between them")
    if _USERS_WRITE_IT in claim:
        raise ValueError(
            f"The claim {claim!r} cannot name the owner: users write {_USERS_WRITE_IT} themselves, "
            "and could be anyone; app_metadata is safe from them"
        )


def _text(name: str) -> str:
    """A collection's name as its column keeps it."""
    return literal(codec.escape(name))


def _texts(names: Iterable[str]) -> str:
    return ", ".join(map(_text, names))


def _object(columns: Iterable[str]) -> str:
    pairs = ", ".join(f"{literal(column)}, {identifier(column)}" for column in columns)
    return f"jsonb_build_object({pairs})"
