"""A hot standby: a PostgreSQL that answers reads, and refuses all writes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connection, connections
from psycopg.conninfo import conninfo_to_dict

from tests.servers.postgresql import FOR_TESTS, PostgreSQL, postgresql


@contextmanager
def hot_standby(fill: Callable[[str, PostgreSQL], None]) -> Iterator[tuple[str, PostgreSQL]]:
    """The alias of the database, and its server, which becomes a standby after ``fill``."""
    alias = "standby"
    with postgresql(*FOR_TESTS) as server:
        place = conninfo_to_dict(server.get_uri())
        entry = {"NAME": place["dbname"], "HOST": place["host"], "USER": place["user"], "PORT": ""}
        connections.databases[alias] = connection.settings_dict | entry
        try:
            call_command("migrate", "parlant_store", database=alias, verbosity=0)
            fill(alias, server)
            connections[alias].close()
            server.stop()
            (server.pgdata / "standby.signal").touch()
            server.start()
            yield alias, server
        finally:
            connections[alias].close()
            del connections[alias], connections.databases[alias]
