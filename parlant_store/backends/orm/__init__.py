"""The store in a database of this Django project: SQLite or PostgreSQL."""

from parlant_store.backends.orm.backend import OrmBackend

__all__ = ["OrmBackend"]
