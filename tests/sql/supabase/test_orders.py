"""The scripts in any order: what there is afterwards is what the last one says, however it was
reached. Partitions, adopted tables, publications and jobs stay, once they are there.

Where the catalog is the same, a script does the same: that each script leads from each state to
the one that it says is enough for every order.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from io import StringIO
from itertools import pairwise, product
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from tests.servers.supabase import roles_sql
from tests.sql.supabase.adoption.old_tables import SELECTOOLS_SQL, tables_sql
from tests.sql.supabase.catalogs import differences, everything
from tests.sql.supabase.databases import Database, connected, emitted, inside, new_database

POLICIES: dict[str, dict[str, Any]] = {
    "service": {"policy": "service"},
    "owner": {"policy": "owner"},
    "claim": {"policy": "owner", "owner_claim": "app_metadata.org"},
    "sessions": {"policy": "owner", "sessions_collection": "other_sessions"},
    "collections": {"policy": "owner", "user_collections": "notes", "anonymous": "deny"},
    "open": {"policy": "open"},
}
STAYS = {"collections": "notes,parlant_sessions_events", "realtime": True}
LASTING: dict[str, dict[str, Any]] = {
    "partitions": {"collections": "notes,parlant_sessions_sessions"},
    "realtime": {"realtime": True},
    "adopted": {"adopt": "shop_things=things"},
}
"""What stays, where there are tables to adopt, one for a collection that has a partition too."""

ALL = tuple(LASTING)
REQUESTS = """
    select coalesce(array_agg(setting), '{}') from pg_db_role_setting, unnest(setconfig) setting
    where setrole = 'authenticator'::regrole
        and setdatabase = (select oid from pg_database where datname = current_database())
"""
"""What PostgREST calls before the requests of users."""


@cache
def script(policy: str, *lasting: str, **options: Any) -> str:
    options = {name: value for each in lasting for name, value in LASTING[each].items()} | options
    return emitted(**POLICIES[policy], **options)


@cache
def rls(policy: str, **options: Any) -> str:
    out = StringIO()
    call_command("supabase_rls", stdout=out, stderr=StringIO(), **POLICIES[policy], **options)
    return out.getvalue()


def walk() -> list[str]:
    """Policies in an order in which each comes after each, itself too."""
    # An Eulerian circuit of the complete graph with loops, by Hierholzer's way.
    left = {name: list(POLICIES) for name in POLICIES}
    path, stack = [], ["service"]
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            path.append(stack.pop())
    return path


RING = [name for name in POLICIES for _ in range(2)] + ["service"]
"""Each policy after itself and after one other."""


def found(database: Database) -> dict[str, Any]:
    (requests,) = database.execute(REQUESTS).fetchone()
    partitions = everything(database, "parlant_store_collections")
    partitions = {f"partitions: {kind}": rows for kind, rows in partitions.items()}
    return everything(database) | partitions | {"requests": list(map(str, requests))}


@pytest.fixture(scope="module")
def published(project: str) -> Iterator[str]:
    with new_database(project) as name:
        with connected(name) as database:
            database.execute("create publication supabase_realtime")
        yield name


@pytest.fixture(scope="module")
def made(published: str) -> Iterator[Callable[..., Database]]:
    """Makes a database by scripts."""
    with ExitStack() as ends:

        def make(*scripts: str) -> Database:
            database = ends.enter_context(connected(ends.enter_context(new_database(published))))
            for each in scripts:
                database.execute(each)
            return database

        yield make


@pytest.fixture(scope="module")
def scratch(made: Callable[..., Database]) -> Database:
    """For scripts that are undone."""
    return made()


@pytest.fixture(scope="module")
def old(made: Callable[..., Database]) -> Database:
    """With tables to adopt, for scripts that are undone."""
    table = "create table shop_things (id text primary key, data jsonb)"
    rows = "insert into {} (id, data) select n, '{{}}' from generate_series(1, 3) n"
    filled = [rows.format(name) for name in ("shop_things", "parlant_sessions_")]
    return made(tables_sql(), SELECTOOLS_SQL, table, *filled)


Wanted = Callable[..., dict[str, Any]]


def finder(database: Database) -> Wanted:
    """What there is after one script."""

    @cache
    def find(policy: str, *lasting: str, **options: Any) -> dict[str, Any]:
        with database.transaction(force_rollback=True):
            database.execute(inside(script(policy, *lasting, **options)))
            return found(database)

    return find


@pytest.fixture(scope="module")
def wanted(scratch: Database) -> Wanted:
    return finder(scratch)


@pytest.fixture(scope="module")
def wanted_of_old(old: Database) -> Wanted:
    return finder(old)


def test_the_walk_has_every_pair():
    path = walk()
    assert set(pairwise(path)) == set(product(POLICIES, POLICIES))


@pytest.mark.parametrize(
    ("make", "stays", "walk"),
    [
        (script, STAYS, walk()),
        (rls, {}, walk()),
        # What these two run is a part of what those run.
        (script, {}, RING),
        (rls, STAYS, RING),
    ],
    ids=["sql-partitions", "rls-table", "sql-table", "rls-partitions"],
)
def test_each_policy_after_each(made, wanted, make, stays, walk):
    first, *others = walk
    database = made(script(first, **stays))
    for name in others:
        # Without the options whose results stay.
        database.execute(make(name))
        assert differences(found(database), wanted(name, **stays)) == [], name


NEIGHBOURS = [*pairwise([*POLICIES, "service"])]
"""Each policy once before and once after another; test_each_policy_after_each has all pairs."""


@pytest.mark.parametrize(("before", "next_to_it"), NEIGHBOURS)
def test_collections_and_realtime_after_each_policy(scratch, wanted, before, next_to_it):
    with scratch.transaction(force_rollback=True):
        scratch.execute(inside(script(before)))
        for after in (before, next_to_it):
            with scratch.transaction(force_rollback=True):
                # From the second on, nothing is to be done.
                for _ in range(2 if after == before else 1):
                    scratch.execute(inside(script(after, **STAYS)))
                    assert differences(found(scratch), wanted(after, **STAYS)) == [], after


def test_collections_one_by_one_in_any_order(scratch, wanted):
    names = STAYS["collections"].split(",")
    options: list[dict[str, Any]] = [{}, {"realtime": True}, *({"collections": n} for n in names)]
    for order in (options, options[::-1], [options[2], options[0], options[3], options[1]]):
        with scratch.transaction(force_rollback=True):
            for each in order:
                for _ in range(2):
                    scratch.execute(inside(script("owner", **each)))
            assert differences(found(scratch), wanted("owner", **STAYS)) == []


# Where there are tables to adopt


@pytest.mark.parametrize(
    "there", [(), *((name,) for name in ALL), ALL], ids=lambda names: "+".join(names) or "nothing"
)
def test_each_option_after_all_others(old, wanted_of_old, there):
    """Each option after none, each other and all: also that which is there already."""
    with old.transaction(force_rollback=True):
        old.execute(inside(script("owner", *there)))
        for more in ((), *((name,) for name in ALL)):
            now = tuple(name for name in ALL if name in (*there, *more))
            with old.transaction(force_rollback=True):
                old.execute(inside(script("owner", *more)))
                assert differences(found(old), wanted_of_old("owner", *now)) == [], more


@pytest.mark.parametrize(("before", "after"), NEIGHBOURS)
def test_adoption_and_policies(old, wanted_of_old, before, after):
    """Adopted after one policy and with the other, and to and fro after that."""
    with old.transaction(force_rollback=True):
        old.execute(inside(script(before)))
        for name, each in (
            (after, script(after, *ALL)),
            (before, script(before)),
            (after, rls(after)),
        ):
            old.execute(inside(each))
            assert differences(found(old), wanted_of_old(name, *ALL)) == [], name


@pytest.mark.cron
def test_a_job_before_and_after_each_option():
    """On the one database whose jobs pg_cron runs; all of it is undone."""
    with connected(connection.settings_dict["NAME"]) as server:
        (name,) = server.execute("select current_setting('cron.database_name')").fetchone()
    jobs = "select jobname, schedule, command, active from cron.job where jobname ~ '^parlant'"
    table = "create table shop_things (id text primary key, data jsonb)"
    options = [script("owner", each) for each in ALL] + [script(each) for each in POLICIES]
    with connected(name) as database, database.transaction(force_rollback=True):
        for each in (roles_sql(), "create publication supabase_realtime", table):
            database.execute(each)
        for option in options:
            with database.transaction(force_rollback=True):
                database.execute(inside(option))
                wanted = found(database)
            with database.transaction(force_rollback=True):
                for each, schedule in (
                    (script("service", cron="1 2 * * *"), "1 2 * * *"),
                    (option, "1 2 * * *"),
                    (script("service", cron="*/5 * * * *"), "*/5 * * * *"),
                    (option, "*/5 * * * *"),
                ):
                    database.execute(inside(each))
                    ours = database.execute(jobs).fetchall()
                    assert [job[:2] for job in ours] == [("parlant_store_expire", schedule)]
                    if each == option:
                        assert differences(found(database), wanted) == []


# Beside what migrate makes


@pytest.mark.parametrize("name", POLICIES)
def test_migrate_before_and_between(made, wanted, migrate, name):
    database = made()
    migrate(database)
    for each in (rls("open"), script(name, **STAYS)):
        database.execute(each)
        migrate(database)
    assert differences(found(database), wanted(name, **STAYS)) == []


def test_djangos_tables_are_locked_in_any_order(made, migrate):
    scripts = [inside(rls("owner", lock_django=True)), inside(script("owner", **STAYS))]
    results = []
    database = made()
    migrate(database)
    for order in (scripts, scripts[::-1], [*scripts, *scripts]):
        with database.transaction(force_rollback=True):
            for each in order:
                database.execute(each)
            results.append(found(database))
    assert any("django_migrations" in row for row in results[0]["security: policies"])
    for result in results[1:]:
        assert differences(result, results[0]) == []


@pytest.mark.parametrize("other", ["own.check", ""])
def test_what_postgrest_calls_first_is_the_projects_own_if_it_has_one(made, other):
    database = made()
    name = database.info.dbname
    told: list[str] = []
    database.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))
    database.execute(
        f"alter role authenticator in database {name} set pgrst.db_pre_request to '{other}'"
    )
    for policy in ("owner", "service"):
        database.execute(script(policy))
        (setting,) = database.execute(REQUESTS).fetchone()
        ours = "parlant_store_requests.check_length"
        expected = other or {"owner": ours, "service": None}[policy]
        assert setting == ([] if expected is None else [f"pgrst.db_pre_request={expected}"])
    assert any("own.check first" in each for each in told) == bool(other)
