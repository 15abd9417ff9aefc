"""Reads that prolong sessions on PostgreSQL: one round trip, whatever the transaction may do."""

from contextlib import closing
from datetime import timedelta

import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from parlant_store.backends.contract.operations import GetItems
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm import OrmBackend
from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.sql.supabase.policies import policies_sql
from tests.backends.locks import connect
from tests.backends.orm.postgresql.test_costs import round_trips
from tests.backends.orm.test_refresh import clock as clock
from tests.backends.orm.test_refresh import left
from tests.backends.orm.test_refresh import store as store
from tests.backends.orm.test_sessions import make_store as make_store
from tests.backends.rows_read import analyze, rows_read
from tests.contract.refresh import READS, TTL
from tests.contract.turn_values import turn
from tests.contract.values import numbered
from tests.servers.postgresql import PostgreSQL
from tests.servers.standby import hot_standby
from tests.servers.supabase import roles_sql, supabase

SYNCHRONOUS = [name for name in READS if not name.startswith("a")]


@pytest.mark.parametrize("read", SYNCHRONOUS)
def test_a_read_is_one_round_trip_whether_it_prolongs_or_not(store, clock, read):
    for _ in range(7):  # Statements are prepared once for a connection.
        READS[read](store)
    for seconds in (TTL - 1, 1, TTL - 2):
        clock.pass_(seconds)
        assert round_trips(lambda: READS[read](store)) == 1
    assert left(clock) == TTL


@pytest.mark.parametrize("read", SYNCHRONOUS)
def test_a_read_is_one_statement(store, clock, read):
    with CaptureQueriesContext(connection) as queries:
        READS[read](store)
    assert len(queries) == 1
    assert left(clock) == TTL


@pytest.mark.parametrize("read", ["get_items(1)", "load_snapshot"])
def test_by_default_the_statement_is_a_read(make_store, read):
    store = make_store(ttl_seconds=TTL)
    with CaptureQueriesContext(connection) as queries:
        READS[read](store, ttl_seconds=TTL)
    assert "refresh" not in queries[0]["sql"]


def test_a_group_reads_no_more_than_its_items(store, clock):
    for number in range(20):
        store.add_items(f"s{number}", numbered(*range(200)))
    analyze()
    clock.pass_(TTL - 1)
    reads = [
        GetItems(SessionName("", f"s{number}"), 5, timedelta(seconds=TTL)) for number in (3, 4, 3)
    ]
    found = []
    read = rows_read(lambda: found.extend(store._get_group([], reads)))
    assert found == [numbered(*range(195, 200))] * 3
    scanned, fetched = read["parlant_store_session_item"]
    assert (scanned, fetched <= 15) == (0, True)
    times = {name: store.get_session(name).expires_at for name in ("s3", "s4", "s5")}
    after = clock() + timedelta(seconds=TTL)
    assert [time == after for time in times.values()] == [True, True, False]


def test_a_session_that_another_transaction_has_written(store, clock):
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert left(clock) == 1
        with connect() as other:
            other.execute("UPDATE parlant_store_session SET item_count = 9")
        for _ in range(2):
            assert store.get_items("s") == turn("hello")
        assert left(clock) == 1
    assert store.get_items("s")
    assert left(clock) == TTL


def test_a_role_that_may_only_read(store, clock):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE ROLE parlant_store_reader")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO parlant_store_reader")
        cursor.execute("SET LOCAL ROLE parlant_store_reader")
        for read in SYNCHRONOUS:
            assert READS[read](store)
        assert left(clock) == 1
        transaction.set_rollback(True)
    assert store.get_items("s")
    assert left(clock) == TTL


def test_a_hot_standby(transactional_db, clock):
    """Directly and over REST."""
    options = {"clock": clock, "ttl_seconds": TTL, "ttl_refresh": "read"}

    def fill(alias: str, server: PostgreSQL) -> None:
        OrmBackend("orm", using=alias, **options).add_items("s", turn("hello"))
        with psycopg.connect(server.get_uri(), autocommit=True) as made:
            made.execute(roles_sql())
            made.execute(policies_sql(schema="public", policy="service"))

    with (
        hot_standby(fill) as (alias, server),
        supabase(server.get_uri(), has_roles=True) as stack,
        closing(OrmBackend("orm", using=alias, **options)) as orm,
        closing(SupabaseBackend("rest", url=stack.url, key=stack.service_key, **options)) as rest,
    ):
        clock.pass_(TTL - 1)
        for store in (orm, rest):
            for read in READS:
                assert READS[read](store), read
            assert store.get_session("s").expires_at - clock() == timedelta(seconds=1)
            clock.pass_(1)
            assert store.get_items("s") == []
            clock.pass_(-1)
