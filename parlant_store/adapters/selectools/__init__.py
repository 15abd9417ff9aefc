"""The ``SessionStore`` of selectools (selectools.sessions) on a store.

::

    from parlant_store.adapters.selectools import SessionStore

    config = AgentConfig(session_store=SessionStore(), session_id="session-1")
"""

from parlant_store.adapters.extras import missing_extra

try:
    import selectools.sessions  # noqa: F401
except ImportError as exc:
    raise missing_extra("selectools", "selectools") from exc

from parlant_store.adapters.selectools.keys import Key
from parlant_store.adapters.selectools.session_store import SessionStore
from parlant_store.adapters.selectools.usage import UsageObserver

__all__ = ["Key", "SessionStore", "UsageObserver"]
