"""The names of the stores that a Parlant server persists."""

STEMS = ("sessions", "customers", "context_variables")
"""The names of their files; with "_", those of their prefixes (adapters.parlant.server)."""
