"""LangGraph's long-term store (langgraph.store.base) on a store.

::

    from parlant_store.adapters.langgraph import Store

    graph = builder.compile(store=Store())
"""

from parlant_store.adapters.extras import missing_extra

try:
    import langgraph.store.base  # noqa: F401
except ImportError as exc:
    raise missing_extra("langgraph", "LangGraph") from exc

from parlant_store.adapters.langgraph.store import Store

__all__ = ["Store"]
