"""Readers of what selectools has stored."""
