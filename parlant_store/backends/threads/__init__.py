"""Calls for callers that must not block, on a store's threads or on the caller's connection."""
