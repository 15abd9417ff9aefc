"""Fields of the state of a checkpoint that are not LangGraph's own, and the mark of interrupts."""

from collections.abc import Mapping
from typing import Any

from parlant_store.content import codec
from parlant_store.exceptions import InvalidItem

METADATA = "__parlant_store_metadata__"
"""The metadata that JSON cannot represent."""

VALUES = "__parlant_store_values__"
"""Values of channels that are not those of their versions: an imported checkpoint may have them."""


INTERRUPT = -3
"""The idx of a write that interrupts its task (langgraph.checkpoint.base.WRITES_IDX_MAP)."""


def split_metadata(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields that JSON can represent, and the others."""
    plain, others = {}, {}
    for name, value in metadata.items():
        try:
            codec.check(value, name)
        except InvalidItem:
            others[name] = value
        else:
            plain[name] = value
    return plain, others
