"""Stores that are elsewhere, through their contract."""
