"""Readers of what Parlant has stored."""
