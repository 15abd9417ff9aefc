"""The kinds of sources, each with its reader and the options that this takes."""

from collections.abc import Callable
from inspect import signature

from parlant_store.transfer.readers.base import Reader
from parlant_store.transfer.readers.langgraph.postgres import LangGraphPostgres
from parlant_store.transfer.readers.langgraph.sqlite import LangGraphSQLite
from parlant_store.transfer.readers.openai.postgres import PostgresSession
from parlant_store.transfer.readers.openai.redis import OpenAIRedis
from parlant_store.transfer.readers.openai.sqlalchemy import OpenAISQLAlchemy
from parlant_store.transfer.readers.openai.sqlite import OpenAISQLite
from parlant_store.transfer.readers.parlant.json_files import ParlantJSON
from parlant_store.transfer.readers.parlant.tables import ParlantSeed
from parlant_store.transfer.readers.selectools.json_files import SelectoolsJSON
from parlant_store.transfer.readers.selectools.redis import SelectoolsRedis
from parlant_store.transfer.readers.selectools.sqlite import SelectoolsSQLite
from parlant_store.transfer.readers.selectools.supabase import SelectoolsSupabase

KINDS: dict[str, Callable[..., Reader]] = {
    "openai-sqlite": OpenAISQLite,
    "openai-sqlalchemy": OpenAISQLAlchemy,
    "openai-redis": OpenAIRedis,
    "selectools-json": SelectoolsJSON,
    "selectools-sqlite": SelectoolsSQLite,
    "selectools-redis": SelectoolsRedis,
    "selectools-supabase": SelectoolsSupabase,
    "parlant-json": ParlantJSON,
    "parlant-seed": ParlantSeed,
    "postgres-session": PostgresSession,
    "langgraph-sqlite": LangGraphSQLite,
    "langgraph-postgres": LangGraphPostgres,
}


def options_of(kind: str) -> list[str]:
    """Return the names of the options of a kind."""
    return [name for name in signature(KINDS[kind]).parameters if name != "source"]
