"""LangGraph's checkpointer (langgraph.checkpoint.base) and long-term store (langgraph.store.base).

::

    from parlant_store.adapters.langgraph import Checkpointer, Store

    graph = builder.compile(checkpointer=Checkpointer(), store=Store())
"""

from parlant_store.adapters.extras import missing_extra

try:
    import langgraph.store.base  # noqa: F401
except ImportError as exc:
    raise missing_extra("langgraph", "LangGraph") from exc

from parlant_store.adapters.langgraph.checkpointer import Checkpointer
from parlant_store.adapters.langgraph.store import Store

__all__ = ["Checkpointer", "Store"]
