"""The store in a directory of JSON Lines files: one readable file for each session."""

from parlant_store.backends.jsonfile.backend import JsonFileBackend

__all__ = ["JsonFileBackend"]
