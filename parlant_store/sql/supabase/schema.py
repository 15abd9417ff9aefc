"""The tables of the models as SQL for PostgreSQL, rendered without a server."""

from importlib import resources
from typing import Any

from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from django.db.migrations.loader import MigrationLoader
from django.db.models import Model
from django.db.utils import ConnectionHandler
from psycopg import sql

from parlant_store.sql.functions import version
from parlant_store.sql.search_index import TABLES, gin_index

_APP = "parlant_store"
_SCHEMA = "{schema}"
_TARGET = "parlant_store_target"
"""The temporary schema with the tables of this version."""

_OLDEST = 150000
"""server_version_num of the oldest PostgreSQL that Supabase runs."""


def tables_sql(schema: str) -> str:
    """Return statements that create the tables in ``schema``, a plain name, as ``migrate`` does.

    Existing tables and indexes are not changed.
    """
    with _Editor(_models()) as editor:
        for model in editor.models:
            editor.create_model(model)
    indexes = (gin_index(table, editor.quote_name(table)) for table in TABLES)
    statements = [*editor.collected_sql, *indexes]
    named = [statement.replace(_SCHEMA, identifier(schema)) for statement in statements]
    return "\n".join(f"{_repeatable(statement)};" for statement in named) + "\n"


def update_sql(schema: str) -> str:
    """Return statements that bring tables of an older version in ``schema`` up to date.

    They create no tables, and change nothing if all are up to date.
    """
    terms = {
        "schema_text": literal(schema),
        "target": identifier(_TARGET),
        "target_text": literal(_TARGET),
        "values": _values(),
    }
    terms["quote"] = dollars("".join(terms.values()))
    text = resources.files(__package__).joinpath("update.sql").read_text("utf-8")
    target = f"create schema {identifier(_TARGET)};\n{tables_sql(_TARGET)}"
    return target + text.format_map(terms)


def functions_update_sql(schema: str) -> str:
    """Return statements that drop functions of another version.

    ``create or replace function`` cannot change their parameters and results.
    """
    body = f"""declare
    v_routine regprocedure;
    v_trigger text;
    v_table regclass;
begin
    if exists (
        select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where nspname = {literal(schema)} and proname = 'parlant_store_version'
            and strpos(prosrc, {literal(version())}) > 0
    ) then
        return;
    end if;
    for v_routine in
        select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where nspname = {literal(schema)} and proname like 'parlant\\_store\\_%'
    loop
        for v_trigger, v_table in
            select tgname, tgrelid::regclass from pg_trigger
            where tgfoid = v_routine and tgparentid = 0
        loop
            execute format('drop trigger %I on %s', v_trigger, v_table);
        end loop;
        execute format('drop routine %s', v_routine);
    end loop;
end"""
    return f"{do_block(body)};"


def identifier(name: str) -> str:
    """Return ``name`` as an SQL identifier, in double quotes."""
    return sql.Identifier(name).as_string(None)


def literal(value: Any) -> str:
    """Return ``value`` as an SQL literal."""
    return sql.Literal(value).as_string(None)


def do_block(body: str) -> str:
    """Return a DO statement, without its semicolon, that runs ``body`` in PL/pgSQL."""
    quote = dollars(body)
    return f"do {quote}\n{body.rstrip()}\n{quote}"


def dollars(body: str) -> str:
    """Return a dollar quote that ``body`` does not contain."""
    quote = "$$"
    while quote in body:
        quote = f"{quote[:-1]}q$"
    return quote


def _values() -> str:
    """Return the values of existing rows in new columns that are not null: table, column, SQL."""
    with _Editor(_models()) as editor:
        rows = [
            (model._meta.db_table, field.column, literal(editor.effective_default(field)))
            for model in editor.models
            for field in model._meta.local_concrete_fields
            if field.has_default() and not field.null and not field.primary_key
        ]
    texts = [f"({', '.join(map(literal, row))})" for row in rows]
    return f"(values {', '.join(texts)})"


class _Editor(DatabaseSchemaEditor):
    """Collects statements, on a connection that is never opened."""

    sql_create_table = "CREATE TABLE IF NOT EXISTS %(table)s (%(definition)s)"
    sql_create_index = DatabaseSchemaEditor.sql_create_index.replace(
        "INDEX", "INDEX IF NOT EXISTS", 1
    )
    sql_create_unique_index = DatabaseSchemaEditor.sql_create_unique_index.replace(
        "INDEX", "INDEX IF NOT EXISTS", 1
    )

    def __init__(self, models: list[type[Model]]) -> None:
        settings = {"ENGINE": "django.db.backends.postgresql", "NAME": _APP}
        connection: Any = ConnectionHandler({"default": settings})["default"]
        connection.pg_version = _OLDEST
        super().__init__(connection, collect_sql=True, atomic=False)
        self.models = [model for model in models if model._meta.can_migrate(connection)]
        self._tables = {model._meta.db_table for model in self.models}

    def quote_name(self, name: str) -> str:
        """Return the quoted name; names of tables have the placeholder of the schema."""
        return f"{_SCHEMA}.{identifier(name)}" if name in self._tables else identifier(name)

    def quote_value(self, value: Any) -> str:
        return literal(value)

    def execute(self, sql: Any, params: Any = ()) -> None:
        text = str(sql)
        self.collected_sql.append(text % tuple(map(literal, params)) if params else text)


def _models() -> list[type[Model]]:
    """Return the models of the migrations, whose fields have the order of the columns."""
    state = MigrationLoader(None).project_state()
    return list(state.apps.get_app_config(_APP).get_models())


def _repeatable(statement: str) -> str:
    """Return the statement so that it does nothing if it was run before.

    ALTER TABLE ADD CONSTRAINT has no IF NOT EXISTS.
    """
    if not statement.startswith("ALTER TABLE"):
        return statement
    return do_block(
        f"begin\n    {statement};\nexception when duplicate_object or duplicate_table then null;\n"
        "end"
    )
