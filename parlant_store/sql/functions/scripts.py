"""The text of the SQL functions, and the migration operation that creates them."""

import re
from functools import cache
from hashlib import sha256
from importlib import resources

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import ProjectState

from parlant_store.content.checkpoint_state import INTERRUPT
from parlant_store.content.memories import MAX_NAMESPACE_BYTES
from parlant_store.content.text_search import MAX_MATCHES, MAX_SEARCHED
from parlant_store.content.thread_messages import MAX_TITLE
from parlant_store.content.times import MAX_TTL_SECONDS
from parlant_store.sql.closing import CLOSE
from parlant_store.sql.differences import base_name
from parlant_store.sql.generated_columns import (
    POSTGRESQL_FRAMEWORK,
    POSTGRESQL_LENGTH_CLASS,
    POSTGRESQL_MINUTE,
)
from parlant_store.sql.index_expressions import (
    NUMBER_FIELDS,
    PREFIX,
    indexed_number,
    indexed_text,
    unique_value,
)
from parlant_store.sql.migration_operations import OutsideModels
from parlant_store.types import FAILED, PROMOTED, USER_MARK

FILES = (
    "limits",
    "requests",
    "answers",
    "filters",
    "removal",
    "sessions",
    "history",
    "checkpoints",
    "checkpoint_reading",
    "reading",
    "threads",
    "records",
    "thread_records",
    "related_documents",
    "conversations",
    "computed_columns",
    "turns",
    "documents",
    "memories",
    "retention",
    "indexes",
    "status",
)
"""The .sql files of this folder; types come before the functions that use them."""

LIMITS = {
    "max_request": 1_048_576,  # bytes of a request to a function
    "max_request_by_table": 262_144,  # to a table, where nothing is counted before it is parsed
    "max_filter": 262_144,  # bytes of its JSON
    "max_conditions": 1_000,
    "max_values_of_filter": 5_000,
    "max_levels": 200,  # for servers as well
    "max_sorts": 20,
    "max_query": 65_536,
    "max_row": 1_048_576,  # bytes of a document, an item, metadata or a state
    "max_values": 100_000,  # in one of these
    "max_items": 10_000,
    "max_batch": 4_194_304,
    "max_answer": 4_194_304,
    "max_read": 8_388_608,  # of rows of a table, each column as often as it is named
}
"""Limits on one call of a user, because PostgreSQL needs many times the size of it."""

MAX_DELETED = 5_000
"""Limit on the items deleted in one statement, where no statement may take long."""

MAX_DISTANCE = 1_000_000
"""Limit on the ancestors of a checkpoint that are read: parents might form a circle."""

ROW_BYTES = 200
"""What a row of a thread counts for in a read or a write of several, besides its value."""

UNCHECKED = "SET LOCAL check_function_bodies TO off"
"""Lets migrations create the functions before the last columns; tests call all functions."""

OWNER_CLAIM = "sub"
"""The claim with the user's id in Supabase's tokens."""


def functions_sql(
    schema: str | None = None,
    *,
    owner_claim: str = OWNER_CLAIM,
    files: tuple[str, ...] = FILES,
) -> str:
    """Return the text of all functions, or of those in ``files``.

    With ``schema``, a quoted identifier, they are created there and always use its tables. Without
    it, they use the search_path of the caller, so that their schema can be renamed or copied.
    ``owner_claim`` is the claim with the owner in a user's token, nested with dots.
    """
    values = {
        "version": version(),
        "search_path": "" if schema is None else f" set search_path to {schema}, pg_temp",
        "in_schema": "" if schema is None else f"{schema}.",
        "owner_claim": _array(owner_claim.split(".")),
    }
    names = r"\{(version|search_path|in_schema|owner_claim)\}"
    return re.sub(names, lambda match: values[match[1]], _text(files))


@cache
def names() -> frozenset[str]:
    """Return the names of the functions."""
    return frozenset(re.findall(r"create or replace function {in_schema}(\w+)", _text()))


@cache
def version() -> str:
    """Return the version of the functions, which parlant_store_version returns as well."""
    return sha256(_text().encode()).hexdigest()[:12]


@cache
def _text(files: tuple[str, ...] = FILES) -> str:
    folder = resources.files(__package__)
    text = "\n".join(folder.joinpath(f"{name}.sql").read_text("utf-8") for name in files)
    for name, value in _EXPRESSIONS.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _array(texts: list[str]) -> str:
    """Return an SQL array of texts, for use inside dollar quotes."""
    escapes = str.maketrans({"\\": "\\\\", "'": "''", "$": "\\x24"})
    return "array[" + ", ".join(f"E'{text.translate(escapes)}'" for text in texts) + "]"


def signatures(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the functions in the schema of the connection, of any version."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.oid::regprocedure::text FROM pg_proc p"
            " JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE n.nspname = current_schema() AND p.proname LIKE 'parlant\\_store\\_%'"
        )
        return [signature for (signature,) in cursor.fetchall()]


def _template(expression: str) -> str:
    """Return an indexed expression for format: %1$I is the column, %2$L the field."""
    return expression.replace("'{field}'", "%2$L").replace("'", "''")


MAX_FIGURE = 1_000_000_000
"""Limit on the figures of Parlant sessions, which users may write as well."""

_FAILED_CALLS = f"least(greatest(coalesce({{}}.failed_calls, 0), 0), {MAX_FIGURE})"

_IS_MESSAGE = "{0} ->> 'kind' = 'message' and {0} ->> 'deleted' is distinct from 'true'"

# A message of a user opens a turn.
_IS_TURN = (
    "case when {role} = 'user' then"
    " {first} + count(*) filter (where {role} = 'user') over ({window}) end"
)
_TOKENS_OF_ITEM = "coalesce(tokens, 0) + coalesce((usage ->> 'total_tokens')::bigint, 0)"

_EXPRESSIONS = {
    "turn": _IS_TURN.format(role="role", first="v_turn", window="order by ord"),
    "turn_of_all": _IS_TURN.format(
        role="item.role", first="next_turn - turns", window="partition by key order by item.ord"
    ),
    "turn_of_new": _IS_TURN.format(
        role="role", first="p_turns[place]", window="partition by place order by ord"
    ),
    "tokens_of_item": _TOKENS_OF_ITEM,
    "sums": (
        f"coalesce(sum({_TOKENS_OF_ITEM}), 0), coalesce(sum(failed_calls), 0),"
        " array_agg(usage) filter (where usage is not null)"
    ),
    "usage_left": (
        "case when v_usage is null then s.usage"
        " else parlant_store_sum_usage(array[s.usage], v_usage) end"
    ),
    "indexed_number": _template(indexed_number("postgresql", "%1$I", "{field}")),
    "indexed_text": _template(indexed_text("postgresql", "%1$I", "{field}")),
    "unique_value": _template(unique_value("%1$I", "{field}")),
    "number_fields": ", ".join(f"'{field}'" for field in NUMBER_FIELDS),
    "promoted": ", ".join(f"'{field}'" for field in PROMOTED),
    "prefix": str(PREFIX),
    "max_matches": str(MAX_MATCHES),
    "max_searched": str(MAX_SEARCHED),
    "failed": FAILED,
    "max_figure": str(MAX_FIGURE),
    "limited_old": _FAILED_CALLS.format("old"),
    "limited_new": _FAILED_CALLS.format("new"),
    "minute_new": POSTGRESQL_MINUTE.format("new.updated_at"),
    "minute_old": POSTGRESQL_MINUTE.format("old.updated_at"),
    "minute_d": POSTGRESQL_MINUTE.format("d.updated_at"),
    "minute_s": POSTGRESQL_MINUTE.format("s.updated_at"),
    "minute_before": POSTGRESQL_MINUTE.format("p_before"),
    "minute": POSTGRESQL_MINUTE.format("updated_at"),
    "is_message": _IS_MESSAGE.format("data"),
    "is_d_message": _IS_MESSAGE.format("d.data"),
    "is_old_message": _IS_MESSAGE.format("old.data"),
    "is_new_message": _IS_MESSAGE.format("new.data"),
    "length_after_removal": POSTGRESQL_LENGTH_CLASS.format("item_count - v_messages"),
    "length_after_addition": POSTGRESQL_LENGTH_CLASS.format("item_count + v_messages"),
    "length_of_new": POSTGRESQL_LENGTH_CLASS.format("new.item_count"),
    "framework_of_new": POSTGRESQL_FRAMEWORK.format("new.state"),
    "length_of_figures": POSTGRESQL_LENGTH_CLASS.format("coalesce(f.messages, 0)"),
    "is_hidden": "starts_with(session_id, chr(1) || chr(4))",
    "is_staged_thread": "starts_with(thread_id, chr(1) || chr(5))",
    "size_before": (
        f"sum(octet_length(value) + {ROW_BYTES}) over (order by key)"
        f" - octet_length(value) - {ROW_BYTES}"
    ),
    "row_bytes": str(ROW_BYTES),
    "user_mark": USER_MARK,
    "base_name": base_name("v.type"),
    "base_name_in_place": base_name("p_types[v_place]"),
    "max_title": str(MAX_TITLE),
    "interrupt": str(INTERRUPT),
    "max_deleted": str(MAX_DELETED),
    "max_distance": str(MAX_DISTANCE),
    "max_bigint": str(2**63 - 1),
    "max_int": str(2**31 - 1),
    "max_ttl": str(MAX_TTL_SECONDS),
    "max_namespace": str(MAX_NAMESPACE_BYTES),
    **{name: str(number) for name, number in LIMITS.items()},
}


class CreateFunctions(OutsideModels):
    """Create the functions of the .sql files, and close them; only on PostgreSQL.

    If they are missing or of another version, manage.py migrate creates them again
    (parlant_store.sql.completion).
    """

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        connection = schema_editor.connection
        if connection.vendor != "postgresql" or not self.is_allowed(app_label, connection):
            return
        schema_editor.execute(f"{UNCHECKED}; {functions_sql()}", params=None)
        # In the transaction that creates the tables, so that they are never open.
        schema_editor.execute(CLOSE, params=None)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: ProjectState
    ) -> None:
        connection = schema_editor.connection
        if connection.vendor != "postgresql" or not self.is_allowed(app_label, connection):
            return
        for signature in signatures(connection):
            schema_editor.execute(f"DROP FUNCTION {signature}", params=None)

    def describe(self) -> str:
        return "Create the functions of parlant_store on PostgreSQL"
