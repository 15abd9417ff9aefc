"""Sessions in the admin."""
