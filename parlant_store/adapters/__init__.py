"""Thin classes that give a store the exact shape one framework asks for.

``openai_agents.Session`` is what ``Runner.run(session=...)`` of the OpenAI Agents SDK takes.
"""
