"""Calls for callers that must not block: on a store's own threads, or the caller's connection."""
