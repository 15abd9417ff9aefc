"""Databases as projects of Supabase have them, and the script that makes them ready."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from io import StringIO
from itertools import count
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, connections
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.empty_tables import django_dsn
from tests.servers.supabase import roles_sql

ODD = 'Ten\'ant "x" 100% $$ {schema} -- \\'
"""A name of a schema."""

NUMBERS = count()

Database = psycopg.Connection[Any]


def connected(name: str, **given: Any) -> Database:
    return psycopg.connect(make_conninfo(django_dsn(), dbname=name, **given), autocommit=True)


@contextmanager
def new_database(template: str, owner: str | None = None) -> Iterator[str]:
    """The name of a database that is a copy of ``template``; it is gone afterwards."""
    name = f"parlant_store_copy_{os.getpid()}_{next(NUMBERS)}"
    copy = sql.SQL("create database {} template {}").format(*map(sql.Identifier, (name, template)))
    if owner is not None:
        copy += sql.SQL(" owner {}").format(sql.Identifier(owner))
    run(copy)
    try:
        yield name
    finally:
        run(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def run(statement: sql.Composed) -> None:
    with psycopg.connect(django_dsn(), autocommit=True) as server:
        server.execute(statement)


@pytest.fixture(scope="session")
def project(django_db_setup: None) -> Iterator[str]:
    """A database as every project of Supabase begins."""
    with new_database("template1") as name:
        with connected(name) as database:
            database.execute(roles_sql())
        yield name


@pytest.fixture
def database(project: str) -> Iterator[Database]:
    with new_database(project) as name, connected(name) as database:
        yield database


@contextmanager
def aliased(name: str, **settings: Any) -> Iterator[str]:
    """The alias of the database in Django's settings, for as long."""
    connections.databases[name] = connection.settings_dict | {"NAME": name} | settings
    try:
        yield name
    finally:
        connections[name].close()
        del connections[name], connections.databases[name]


@pytest.fixture
def migrate(django_db_blocker: Any) -> Callable[..., None]:
    """Runs Django's migrations of the app on a database."""

    def run(database: Database, **options: Any) -> None:
        with aliased(database.info.dbname) as alias, django_db_blocker.unblock():
            call_command("migrate", "parlant_store", database=alias, verbosity=0, **options)

    return run


def emitted(*arguments: str, **options: Any) -> str:
    """What the command prints; it must complain of nothing."""
    out, err = StringIO(), StringIO()
    call_command("supabase_sql", *arguments, stdout=out, stderr=err, **options)
    assert err.getvalue() == "" or "open" in (*arguments, options.get("policy"))
    return out.getvalue()


def inside(script: str) -> str:
    """The script for a transaction that is there already."""
    text, count = re.subn(r"^(begin|commit);$", "", script, flags=re.MULTILINE)
    assert count == 2
    return text


@cache
def sql_for(*arguments: str, **options: Any) -> str:
    """What the command prints, printed once for all tests that run it."""
    return emitted(*arguments, **options)
