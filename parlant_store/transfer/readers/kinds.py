"""The kinds of sources, each with its reader and the options that this takes."""

from collections.abc import Callable
from inspect import signature

from parlant_store.transfer.readers.base import Reader
from parlant_store.transfer.readers.openai.sqlite import OpenAISQLite
from parlant_store.transfer.readers.parlant.json_files import ParlantJSON
from parlant_store.transfer.readers.selectools.json_files import SelectoolsJSON
from parlant_store.transfer.readers.selectools.sqlite import SelectoolsSQLite

KINDS: dict[str, Callable[..., Reader]] = {
    "openai-sqlite": OpenAISQLite,
    "selectools-json": SelectoolsJSON,
    "selectools-sqlite": SelectoolsSQLite,
    "parlant-json": ParlantJSON,
}


def options_of(kind: str) -> list[str]:
    """Return the names of the options of a kind."""
    return [name for name in signature(KINDS[kind]).parameters if name != "source"]
