"""What the statements of SQLite and PostgreSQL have in common."""
