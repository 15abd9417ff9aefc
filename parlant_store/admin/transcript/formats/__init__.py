"""Entries of items, events and messages, by framework."""
