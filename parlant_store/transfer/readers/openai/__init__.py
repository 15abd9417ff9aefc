"""Readers of what the OpenAI Agents SDK has stored."""
