"""Statements that a project watches, by an engine of its own (base) or by execute_wrapper."""

STATEMENTS: list[str] = []
"""Those that were seen."""
