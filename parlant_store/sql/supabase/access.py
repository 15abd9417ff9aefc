"""Whom policies let in, as SQL says it."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources

from django.apps import apps
from django.db.models import Model

from parlant_store import codec
from parlant_store.sql.supabase.schema import dollars, identifier, literal
from parlant_store.types import PROMOTED

POLICIES = ("service", "owner", "open")
"""Who may use the tables: only the service role; users too, each what is theirs; everybody."""

SESSIONS_COLLECTION = "parlant_sessions_sessions"
"""The collection of Parlant's sessions, as ``configure_container`` names it."""

APP = "parlant_store"
GUESTS = {"service": (), "owner": ("authenticated",), "open": ("anon", "authenticated")}
_NAME_BYTES = 63
_USERS_WRITE_IT = "user_metadata"
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
        return ("service_role", *GUESTS[self.policy])

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
        return terms | {"quote": dollars("".join(terms.values()))}

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


def model_of(name: str) -> type[Model]:
    return apps.get_model(APP, name)


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
