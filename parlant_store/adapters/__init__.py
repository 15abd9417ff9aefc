"""Thin classes that give a store the exact shape one framework asks for.

``openai_agents.Session`` is what ``Runner.run(session=...)`` of the OpenAI Agents SDK takes,
``parlant.server_stores`` gives what ``Server(...)`` of Parlant does, and
``selectools.SessionStore`` what ``AgentConfig(session_store=...)`` of selectools does.
"""
