"""The models' tables as SQL for PostgreSQL, rendered with no server."""

from importlib import resources
from typing import Any

from django.apps import apps
from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from django.db.migrations.loader import MigrationLoader
from django.db.models import Model
from django.db.utils import ConnectionHandler
from psycopg import sql

from parlant_store.sql.functions import version
from parlant_store.sql.search_index import terms_index

_APP = "parlant_store"
_SCHEMA = "{schema}"
_WANTED = "parlant_store_wanted"
"""Where the tables stand for a moment as they are to be."""

_OLDEST = 150000
"""The oldest PostgreSQL that Supabase runs, as it tells its version."""


def tables_sql(schema: str) -> str:
    """The statements that make the tables in ``schema``, a plain name, as ``migrate`` does.

    What is there already, by its name, is left as it is.
    """
    with _Editor(_models()) as editor:
        for model in editor.models:
            editor.create_model(model)
    item = editor.quote_name(apps.get_model(_APP, "SessionItem")._meta.db_table)
    statements = [*editor.collected_sql, terms_index(item)]
    named = [statement.replace(_SCHEMA, identifier(schema)) for statement in statements]
    return "\n".join(f"{_repeatable(statement)};" for statement in named) + "\n"


def update_sql(schema: str) -> str:
    """The statements that bring tables of an older version in ``schema`` up to date.

    They change nothing where all is as it should be, and make no table: ``tables_sql`` does.
    """
    terms = {
        "schema_text": literal(schema),
        "wanted": identifier(_WANTED),
        "wanted_text": literal(_WANTED),
        "values": _values(),
    }
    terms["quote"] = dollars("".join(terms.values()))
    text = resources.files(__package__).joinpath("update.sql").read_text("utf-8")
    made = f"create schema {identifier(_WANTED)};\n{tables_sql(_WANTED)}"
    return made + text.format_map(terms)


def functions_update_sql(schema: str) -> str:
    """Removes functions of another version, whose arguments and results may differ."""
    body = f"""declare
    v_routine regprocedure;
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
        execute format('drop routine %s', v_routine);
    end loop;
end"""
    return f"{do_block(body)};"


def identifier(name: str) -> str:
    """``name`` as SQL writes it: in double quotes."""
    return sql.Identifier(name).as_string(None)


def literal(value: Any) -> str:
    """``value`` as SQL writes it: a text in quotes."""
    return sql.Literal(value).as_string(None)


def do_block(body: str) -> str:
    """A DO statement, without its semicolon, that runs ``body`` in PL/pgSQL."""
    quote = dollars(body)
    return f"do {quote}\n{body.rstrip()}\n{quote}"


def dollars(body: str) -> str:
    """The dollar quote to put around ``body``, which does not have it."""
    quote = "$$"
    while quote in body:
        quote = f"{quote[:-1]}q$"
    return quote


def _values() -> str:
    """What rows get in new columns that may not be null: table, column and SQL of each."""
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
    """Collects statements on a connection that is never opened."""

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
        """The quoted name; that of a table stands in the schema to come."""
        return f"{_SCHEMA}.{identifier(name)}" if name in self._tables else identifier(name)

    def quote_value(self, value: Any) -> str:
        return literal(value)

    def execute(self, sql: Any, params: Any = ()) -> None:
        text = str(sql)
        self.collected_sql.append(text % tuple(map(literal, params)) if params else text)


def _models() -> list[type[Model]]:
    """The models as the migrations know them: with their columns in the order of the tables."""
    state = MigrationLoader(None).project_state()
    return list(state.apps.get_app_config(_APP).get_models())


def _repeatable(statement: str) -> str:
    """The statement; one that has no IF NOT EXISTS does nothing when it was done before."""
    if not statement.startswith("ALTER TABLE"):
        return statement
    return do_block(
        f"begin\n    {statement};\nexception when duplicate_object or duplicate_table then null;\n"
        "end"
    )
