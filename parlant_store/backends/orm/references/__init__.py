"""A project's own foreign keys to the tables of this app, and what they want done on deletion."""
