"""Classes that implement the storage interfaces of agent frameworks on a store.

Pass ``openai_agents.Session`` to ``Runner.run(session=...)`` of the OpenAI Agents SDK,
``parlant.server_stores`` to Parlant's ``Server(...)``, ``langgraph.Store`` to LangGraph's
``compile(store=...)``, and ``selectools.SessionStore`` to selectools'
``AgentConfig(session_store=...)``.
"""
