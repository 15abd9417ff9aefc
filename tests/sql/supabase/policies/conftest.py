"""Databases as projects of Supabase have them, made once for all tests of the policies."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection

from tests.servers.supabase import ROLES, roles_sql
from tests.sql.supabase.databases import aliased, connected, new_database
from tests.sql.supabase.policies.projects import (
    EVENTS,
    PROJECT,
    SESSIONS,
    TAGS,
    USER_COLLECTIONS,
    A,
    B,
    Project,
    begin_request,
)


@pytest.fixture(scope="session")
def template(django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """A project made before 2026, whose tables are Django's and are granted to everybody.

    As on Supabase, their owner is no superuser.
    """
    with connected(connection.settings_dict["NAME"]) as server:
        server.execute(f"create role {PROJECT} login bypassrls password '{PROJECT}'")
        try:
            with new_database("template1", owner=PROJECT) as name:
                with connected(name) as made:
                    made.execute(roles_sql())
                    made.execute(f"grant usage on schema auth to {PROJECT}")
                    for kind in ("tables", "sequences", "functions"):
                        made.execute(
                            f"alter default privileges for role {PROJECT} in schema public"
                            f" grant all on {kind} to {ROLES}"
                        )
                with aliased(name, USER=PROJECT, PASSWORD=PROJECT), django_db_blocker.unblock():
                    call_command("migrate", database=name, verbosity=0)
                yield name
        finally:
            server.execute(f"drop role {PROJECT}")


@contextmanager
def new_project(template: str) -> Iterator[Project]:
    with new_database(template, owner=PROJECT) as name, connected(name) as server:
        yield Project(server)


@pytest.fixture(scope="session")
def plain_database(template: str) -> Iterator[Project]:
    with new_project(template) as made:
        yield made


@pytest.fixture(scope="session")
def owned_database(template: str) -> Iterator[Project]:
    """The policy "owner", with what A, B and the service have."""
    with new_project(template) as made:
        made.use("owner", user_collections=USER_COLLECTIONS, readable_collections=[TAGS])
        for user, letter in ((A, "a"), (B, "b")):
            made.add(user, f"of-{letter}", "one", "two")
            made.insert(user, SESSIONS, {"id": f"talk-{letter}", "customer_id": user})
            made.insert(user, EVENTS, {"id": f"event-{letter}", "session_id": f"talk-{letter}"})
            made.insert(user, "notes", {"id": f"note-{letter}", "customer_id": user})
            begin_request(made, user, uuid4())
        made.add("service_role", "of-nobody", "one")
        made.insert("service_role", "parlant_agents_metadata", {"id": "m", "version": "1"})
        made.insert("service_role", "parlant_agents_agents", {"id": "agent"})
        yield made


@pytest.fixture
def project(plain_database: Project) -> Iterator[Project]:
    """Without any policy; what a test does to it is undone."""
    with plain_database.server.transaction(force_rollback=True):
        yield plain_database


@pytest.fixture
def owned(owned_database: Project) -> Iterator[Project]:
    """What a test does to it is undone."""
    with owned_database.server.transaction(force_rollback=True):
        yield owned_database
