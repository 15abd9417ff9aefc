"""Expiry by rules in a Django database: the contract, and what only tables can show."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from parlant_store.models import Document, Session, SessionItem
from parlant_store.types import Retention
from tests.backends.orm.test_sessions import make_store as make_store
from tests.backends.rows_read import analyze, work_of
from tests.contract.expired_rows import days, parlant_event, parlant_session
from tests.contract.retention import RetentionContract
from tests.contract.values import numbered


@pytest.fixture
def bulk(transactional_db: None, clock) -> Callable[..., None]:
    """Makes many at once: sessions s0000 ... and documents d0000 ... of the collection c."""

    def make(*, sessions: int, documents: int, **fields) -> None:
        now = clock()
        Session.objects.bulk_create(
            Session(session_id=f"s{n:04}", created_at=now, updated_at=now, **fields)
            for n in range(sessions)
        )
        Document.objects.bulk_create(
            Document(
                collection="c",
                document_id=f"d{n:04}",
                version="1",
                creation_utc=now.isoformat(),
                updated_at=now,
                data={"id": f"d{n:04}", "version": "1", "creation_utc": now.isoformat()},
                **fields,
            )
            for n in range(documents)
        )

    return make


class TestOrmRetention(RetentionContract):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    def test_items_go_with_their_session(self, store, clock):
        store.add_items("s", numbered(1, 2))
        store.add_items("t", numbered(3))
        clock.pass_(1)
        store.add_items("t", numbered(4))
        list(store.expire_batches(rule=Retention(idle=days(1 / 86_400))))
        assert set(SessionItem.objects.values_list("data", flat=True)) == {'{"n":3}', '{"n":4}'}

    def test_the_time_zone_of_a_project_without_one(self, make_store, settings):
        settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo"
        store = make_store()
        now = datetime.now(UTC)
        for name, age in (("old", 7_300), ("new", 3_700)):
            created = (now - timedelta(seconds=age)).isoformat()
            store.insert_one("c", {"id": name, "creation_utc": created})
        store.add_items("s", numbered(1))
        rule = Retention(older_than=timedelta(hours=2))
        assert [one.id for one in store.list_expired(rule=rule)] == ["old"]
        idle = store.expire_batches(rule=Retention(idle=timedelta(hours=1)))
        assert sum(batch.sessions + batch.documents for batch in idle) == 0
        assert sum(batch.documents for batch in store.expire_batches(rule=rule)) == 1

    @pytest.mark.parametrize("goes", [False, True])
    @pytest.mark.parametrize("kind", ["sessions", "documents", "one namespace", "one collection"])
    def test_a_pass_reads_each_row_about_once(self, store, clock, bulk, kind, goes):
        narrowed = {"one namespace": {"namespace": ""}, "one collection": {"collection": "c"}}
        rule = Retention(idle=days(1), **narrowed.get(kind, {}))
        work = []
        for size in (500, 1_000):
            is_sessions = kind in ("sessions", "one namespace")
            bulk(**{"sessions": 0, "documents": 0, kind_of(is_sessions): size})
            clock.pass_(86_400 if goes else 0)
            work.append(work_of(lambda: sweep(store, rule)))
            Session.objects.all().delete()
            Document.objects.all().delete()
        assert work[1] < 2.5 * work[0]
        if connection.vendor == "postgresql":
            # Each is found, and one that goes is locked and deleted; of other tables, nothing.
            assert work[1] <= (4.5 if goes else 1.1) * 1_000

    @pytest.mark.parametrize("narrowed", [{"namespace": "small"}, {"collection": "small"}])
    def test_a_rule_of_a_few_reads_no_others(self, store, clock, bulk, narrowed):
        store.add_items("s", numbered(1), namespace="small")
        store.insert_one("small", {"id": "d"})
        rule = Retention(idle=days(1), **narrowed)
        before = work_of(lambda: sweep(store, rule))
        bulk(sessions=2_000, documents=2_000)
        analyze()
        sweep(store, rule)
        assert work_of(lambda: sweep(store, rule)) <= before + 20

    def test_a_pass_looks_at_the_parts_of_sessions_once(self, store, clock, bulk):
        for number in range(100):
            parlant_session(store, clock, f"s{number}", events=20)
        bulk(sessions=0, documents=2_000)
        analyze()
        clock.pass_(86_400)
        for number in range(100):
            parlant_event(store, clock, f"s{number}", 20)
        if connection.vendor == "postgresql":
            # 4,200 documents, for each event its session, and for each session its events.
            rule = Retention(idle=days(2))
            assert work_of(lambda: sweep(store, rule)) <= 1.1 * 4_200
            rule = Retention(idle=days(1), collection="p_sessions")
            assert work_of(lambda: sweep(store, rule)) <= 1.2 * (100 + 100 * 21)


def kind_of(is_sessions: bool) -> str:
    return "sessions" if is_sessions else "documents"


def sweep(store, rule: Retention) -> None:
    for _ in store.expire_batches(rule=rule, batch_size=100):
        pass
