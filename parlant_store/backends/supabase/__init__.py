"""The store in a Supabase project, or behind any PostgREST, through its REST API."""

from parlant_store.backends.supabase.backend import SupabaseBackend

__all__ = ["SupabaseBackend"]
