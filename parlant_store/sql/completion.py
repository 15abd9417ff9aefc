"""What has to be in a database beside the tables: functions, and the search index.

The migrations make them. Where a project switches migrations off, an upgrade brings other
functions, or something was dropped, the end of ``manage.py migrate`` makes them.
"""

from typing import Any, NamedTuple

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.sql.closing import CLOSE, Open, find_open
from parlant_store.sql.functions import functions_sql, names, signatures, version
from parlant_store.sql.search_index import SQLITE_PARTS, complete_index

TABLES = (
    "parlant_store_document",
    "parlant_store_session",
    "parlant_store_session_item",
    "parlant_store_request",
)

_POSTGRESQL = """
SELECT
    ARRAY(SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(name) IS NULL),
    ARRAY(SELECT proname::text FROM pg_proc
        WHERE proname LIKE 'parlant\\_store\\_%%' AND pg_function_is_visible(oid)),
    coalesce((SELECT prosrc FROM pg_proc
        WHERE proname = 'parlant_store_version' AND pg_function_is_visible(oid)), ''),
    EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_am ON pg_am.oid = c.relam
        WHERE i.indrelid = to_regclass('parlant_store_session_item') AND amname = 'gin'),
    EXISTS (SELECT FROM pg_policy WHERE polrelid = to_regclass('parlant_store_session')
        AND polname = 'parlant_store_service'),
    ARRAY(SELECT DISTINCT setting FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace
        CROSS JOIN unnest(proconfig) AS setting
        WHERE proname LIKE 'parlant\\_store\\_%%' AND pg_function_is_visible(p.oid)
            AND setting LIKE 'search\\_path=%%'
            AND NOT starts_with(setting, 'search_path=' || quote_ident(nspname) || ','))
"""
_SQLITE = "SELECT name FROM sqlite_master WHERE name LIKE 'parlant\\_store\\_%' ESCAPE '\\'"


class State(NamedTuple):
    """What is wrong with the tables and what stands beside them."""

    tables: list[str]
    """Those that are missing."""

    functions: list[str]
    """Those that are missing."""

    is_outdated: bool
    """Whether the functions are those of another version."""

    has_index: bool
    """Whether searches have their index."""

    is_secured: bool
    """Whether supabase_sql or supabase_rls made the policies: its script makes the rest."""

    strays: list[str]
    """Settings of functions that make them work on the tables of another schema."""

    open: list[Open]
    """What the public roles of Supabase may use, and no script of the policies lets them."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing beside the tables."""
        wrong = self.functions or self.is_outdated or not self.has_index or self.strays
        return not (self.tables or wrong)


def state_of(connection: BaseDatabaseWrapper) -> State:
    """What the database says of itself."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_POSTGRESQL, [list(TABLES)])
            tables, found, source, has_index, is_secured, strays = cursor.fetchone()
        functions = sorted(names().difference(found))
        is_outdated = f"'{version()}'" not in source
        open_ = find_open(connection)
        return State(tables, functions, is_outdated, has_index, is_secured, strays, open_)
    with connection.cursor() as cursor:
        cursor.execute(_SQLITE)
        there = {name for (name,) in cursor.fetchall()}
    tables = [name for name in TABLES if name not in there]
    return State(tables, [], False, there.issuperset(SQLITE_PARTS), False, [], [])


def complete(connection: BaseDatabaseWrapper) -> bool:
    """Make what is missing beside the tables, and close it; False when there is nothing to do."""
    state = state_of(connection)
    is_complete = state.is_complete or bool(state.tables) or state.is_secured
    is_closed = not any(each.is_own for each in state.open)
    if is_complete and is_closed:
        return False
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if not is_complete and not state.has_index:
            complete_index(connection)
        if not is_complete and (state.functions or state.is_outdated or state.strays):
            _make_functions(connection)
        if connection.vendor == "postgresql":
            cursor.execute(CLOSE)
    return True


def _make_functions(connection: BaseDatabaseWrapper) -> None:
    """Those of another version go first: their arguments and results may differ."""
    old = signatures(connection)
    with connection.cursor() as cursor:
        for signature in old:
            cursor.execute(f"DROP FUNCTION {signature}")
        cursor.execute(functions_sql())


def complete_after_migrate(
    *, using: str, verbosity: int = 1, stdout: Any = None, **kwargs: Any
) -> None:
    """Receive post_migrate. Emptying tables sends it as well, but without a plan."""
    connection = connections[using]
    if "plan" not in kwargs or connection.vendor not in ("postgresql", "sqlite"):
        return
    if not router.allow_migrate(using, "parlant_store") or not complete(connection):
        return
    if verbosity >= 1 and stdout is not None:
        stdout.write("  Made what parlant_store needs beside its tables.\n")
