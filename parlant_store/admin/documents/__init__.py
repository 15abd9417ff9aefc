"""Documents in the admin."""
