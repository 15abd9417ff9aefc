"""The OpenAI Agents SDK's ``Session`` (agents.memory.session) on a store.

::

    from parlant_store.adapters.openai_agents import Session

    await Runner.run(agent, "hello", session=Session("session-1"))

``AdvancedSession`` has branches, turns and usage, like the SDK's AdvancedSQLiteSession.
"""

from parlant_store.adapters.openai_agents.advanced import AdvancedSession as AdvancedSession
from parlant_store.adapters.openai_agents.session import Session as Session
