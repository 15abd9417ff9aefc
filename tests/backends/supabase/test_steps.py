"""What takes long over REST, where no statement may: Supabase ends them after 8 s, and here a
second is the limit.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from parlant_store.backends.contract.expiry import FIRST_STEP, Pace
from parlant_store.backends.orm import OrmBackend
from parlant_store.backends.supabase.backend import STEP_SECONDS
from parlant_store.exceptions import StoreUnavailable
from parlant_store.personal_data import PersonalData
from parlant_store.signals import session_deleted, session_expired
from parlant_store.sql.functions import MAX_DELETED
from parlant_store.types import Retention, SessionRecord
from tests.contract.checkpoints import checkpoint, write
from tests.contract.clock import Clock
from tests.contract.stores import MakeStore
from tests.contract.values import numbered
from tests.servers.supabase import Stack, statement_timeout

DAY = 86_400
ROWS = 30


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def limited(project: Stack) -> Iterator[Stack]:
    with statement_timeout(project, "1s"):
        yield project


@pytest.fixture
def store(limited: Stack, make_store: MakeStore, clock: Clock) -> Any:
    return make_store(clock=clock)


@pytest.fixture
def unlimited(store: Any, clock: Clock) -> OrmBackend:
    """A store on the same tables whose statements may take as long as they like."""
    return OrmBackend("orm", using="default", clock=clock)


@pytest.fixture
def database(limited: Stack, store: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(limited.dsn, autocommit=True) as session:
        yield session
        session.execute("drop function if exists slow cascade")


def slow(
    database: psycopg.Connection[Any], table: str, seconds: float, event: str = "delete"
) -> None:
    database.execute(
        "create or replace function slow() returns trigger language plpgsql as"
        f" $$ begin perform pg_sleep({seconds}); return coalesce(new, old); end $$"
    )
    database.execute(
        f"create or replace trigger slow before {event} on {table}"
        " for each row execute function slow()"
    )


def fill(store: Any, database: psycopg.Connection[Any], count: int) -> None:
    """Sessions and documents, of which neither goes in one statement in time."""
    for number in range(count):
        store.add_items(f"s{number}", numbered(number))
        store.insert_one("c", {"id": f"d{number}"})
    for table in ("parlant_store_session", "parlant_store_document"):
        slow(database, table, 0.04)


@pytest.mark.parametrize("rule", [None, Retention(idle=timedelta(days=1))], ids=["expiry", "rule"])
def test_what_takes_too_long_at_once_goes_in_steps(
    store: Any,
    unlimited: OrmBackend,
    database: psycopg.Connection[Any],
    clock: Clock,
    rule: Retention | None,
) -> None:
    fill(unlimited, database, ROWS)
    if rule is None:
        for number in range(ROWS):
            unlimited.set_expiry(f"s{number}", clock())
            unlimited.set_document_expiry("c", f"d{number}", clock())
    clock.pass_(2 * DAY)
    told: list[str] = []

    def hear(*, session_id: str, **kwargs: Any) -> None:
        told.append(session_id)

    session_expired.connect(hear)
    try:
        batches = list(store.expire_batches(rule=rule))
    finally:
        session_expired.disconnect(hear)
    assert sum(batch.sessions for batch in batches) == ROWS
    assert sum(batch.documents for batch in batches) == ROWS
    assert sorted(told) == sorted(f"s{number}" for number in range(ROWS))
    assert max(batch.sessions for batch in batches) < ROWS
    assert store.list_sessions().sessions == ()
    assert store.list_collections() == []


def test_sessions_that_take_too_long_together_are_written_in_steps(
    store: Any, database: psycopg.Connection[Any]
) -> None:
    slow(database, "parlant_store_session", 0.05, "insert")
    records = [SessionRecord(session_id=f"s{n}", items=numbered(n)) for n in range(ROWS)]
    assert store.write_sessions(records) == [True] * ROWS
    found = store.read_sessions([("", record.session_id) for record in records])
    assert sorted(record.items[0]["n"] for record in found) == list(range(ROWS))


def test_one_that_takes_too_long_alone_is_an_error(
    store: Any, database: psycopg.Connection[Any], clock: Clock
) -> None:
    store.set_metadata("s", {})
    store.set_metadata("t", {})
    store.set_expiry("t", clock())
    slow(database, "parlant_store_session", 5)
    clock.pass_(2)
    rule = Retention(idle=timedelta(seconds=1), namespace="")
    for call in (store.expire, lambda: list(store.expire_batches(rule=rule))):
        with pytest.raises(StoreUnavailable, match="57014"):
            call()
    database.execute("drop function slow cascade")
    assert store.expire().sessions == 1
    assert sum(batch.sessions for batch in store.expire_batches(rule=rule)) == 1


@pytest.mark.parametrize("is_expired", [False, True])
def test_a_thread_that_takes_too_long_at_once_goes_in_steps(
    store: Any,
    unlimited: OrmBackend,
    database: psycopg.Connection[Any],
    clock: Clock,
    is_expired: bool,
) -> None:
    unlimited.put_checkpoint("t", checkpoint(1), ttl_seconds=1)
    unlimited.put_writes("t", "0001", [write("a", idx) for idx in range(ROWS)])
    unlimited.put_checkpoint("u", checkpoint(1))
    slow(database, "parlant_store_checkpoint_write", 0.04)
    if is_expired:
        clock.pass_(2)
        assert store.expire().threads == 1
    else:
        assert store.delete_thread("t")
        assert not store.delete_thread("t")
    count = "select count(*) from parlant_store_"
    (rows,) = database.execute(f"{count}checkpoint_write").fetchone() or ()
    (threads,) = database.execute(f"{count}thread").fetchone() or ()
    assert (rows, threads) == (0, 1)


RULE = Retention(idle=timedelta(seconds=1), namespace="n")
REMOVALS: dict[str, Callable[[Any], None]] = {
    "delete_session": lambda store: store.delete_session("large", namespace="n"),
    "expire": lambda store: store.expire(),
    "retention": lambda store: [*store.expire_batches(rule=RULE)],
    "erase": lambda store: [*PersonalData(store, "ann").erase()],
}
OVERDUE = 50
"""Items of a session that take twice as long as a statement may."""


@pytest.fixture
def large(unlimited: OrmBackend, database: psycopg.Connection[Any]) -> None:
    """A session whose items cannot go in one statement in time, and a small one."""
    for name, count in (("large", OVERDUE), ("small", 1)):
        unlimited.add_items(name, numbered(*range(count)), namespace="n", user_id="ann")
    slow(database, "parlant_store_session_item", 0.04)


def left(database: psycopg.Connection[Any]) -> tuple[int, ...]:
    """How many sessions and items there are, seen or not."""
    counts = "select (select count(*) from parlant_store_session), count(*)"
    row = database.execute(f"{counts} from parlant_store_session_item").fetchone()
    return tuple(row or ())


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("how", REMOVALS)
def test_one_session_that_takes_too_long_goes_in_steps(
    store: Any, database: psycopg.Connection[Any], clock: Clock, how: str
) -> None:
    if how == "expire":
        for name in ("large", "small"):
            store.set_expiry(name, clock(), namespace="n")
    if how != "erase":
        clock.pass_(2)
    counts: list[int] = []

    def hear(*, message_count: int, session_id: str, **kwargs: Any) -> None:
        assert session_id in ("large", "small")
        counts.append(message_count)

    for signal in (session_expired, session_deleted):
        signal.connect(hear)
    try:
        REMOVALS[how](store)
    finally:
        for signal in (session_expired, session_deleted):
            signal.disconnect(hear)
    if how == "delete_session":
        assert (counts, left(database)) == ([OVERDUE], (1, 1))
    else:
        assert (sorted(counts), left(database)) == ([1, OVERDUE], (0, 0))


@pytest.mark.usefixtures("large")
def test_what_a_client_leaves_is_seen_by_nobody_and_goes_with_expire(
    store: Any, database: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store, "delete_hidden", lambda: None)
        assert store.delete_session("large", namespace="n")
        assert not store.delete_session("large", namespace="n")
    assert left(database) == (2, OVERDUE + 1)
    assert not store.exists("large", namespace="n")
    assert [one.session_id for one in store.list_sessions(namespace="n").sessions] == ["small"]
    assert list(store.list_expired()) == []
    store.add_items("large", numbered(7), namespace="n")
    assert store.get_items("large", namespace="n") == numbered(7)
    assert store.expire().sessions == 0
    assert left(database) == (2, 2)
    assert store.get_items("large", namespace="n") == numbered(7)


@pytest.mark.usefixtures("large")
def test_a_client_that_cannot_go_on_has_deleted_the_session(
    store: Any, database: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    slow(database, "parlant_store_session_item", 5)
    assert store.delete_session("large", namespace="n")
    assert "are left for expire" in caplog.text
    assert not store.exists("large", namespace="n")
    assert left(database) == (2, OVERDUE + 1)
    database.execute("drop function slow cascade")
    assert store.expire().sessions == 0
    assert left(database) == (1, 1)


@pytest.mark.usefixtures("large")
def test_a_session_that_expired_does_not_hold_up_a_new_one(
    store: Any, database: psycopg.Connection[Any], clock: Clock
) -> None:
    store.set_expiry("large", clock(), namespace="n")
    clock.pass_(1)
    database.execute(
        "update parlant_store_session set item_count = %s where item_count = %s",
        [MAX_DELETED + 1, OVERDUE],
    )
    store.add_items("large", numbered(1), namespace="n")
    assert store.get_items("large", namespace="n") == numbered(1)
    assert left(database) == (3, OVERDUE + 2)
    database.execute("drop function slow cascade")
    store.expire()
    assert left(database) == (2, 2)


@pytest.mark.usefixtures("large")
def test_a_session_that_another_table_may_protect_is_not_hidden(
    store: Any, database: psycopg.Connection[Any]
) -> None:
    database.execute("create table bill (session bigint references parlant_store_session)")
    try:
        with pytest.raises(StoreUnavailable, match="57014"):
            store.delete_session("large", namespace="n")
        assert len(store.get_items("large", namespace="n")) == OVERDUE
    finally:
        database.execute("drop table bill")


def test_a_small_session_takes_one_request(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add_items("s", numbered(1))
    calls: list[str] = []
    write = store.connection.write

    def count(function: str, *args: Any, **kwargs: Any) -> Any:
        calls.append(function)
        return write(function, *args, **kwargs)

    monkeypatch.setattr(store.connection, "write", count)
    assert store.delete_session("s")
    assert calls == ["delete_session"]


def test_an_index_that_takes_too_long_is_left_to_the_sql_editor(
    store: Any, database: psycopg.Connection[Any], own_indexes: None
) -> None:
    fields = [("colour", "asc"), ("size", "desc")]
    with psycopg.connect(database.info.dsn, password=database.info.password) as other:
        other.execute("lock table parlant_store_document in share row exclusive mode")
        with pytest.raises(StoreUnavailable, match="SQL editor: ") as caught:
            store.ensure_index("it's", fields, unique=True)
    database.execute(str(caught.value).partition("SQL editor: ")[2])
    assert not store.ensure_index("it's", fields, unique=True)


def test_steps_stay_well_below_the_limit() -> None:
    pace = Pace(1_000, STEP_SECONDS)
    assert pace.limit == FIRST_STEP
    for rows in (200, 400, 800, 1_000, 1_000):
        pace.adapt(STEP_SECONDS / 5)
        assert pace.limit == rows
    pace.adapt(STEP_SECONDS / 2)
    assert pace.limit == 1_000
    pace.adapt(STEP_SECONDS + 1)
    assert pace.limit == 500
    while pace.divide(4):
        pass
    assert pace.limit == 1
    assert Pace(10, STEP_SECONDS).limit == 10
    assert Pace(1_000, None).limit == 1_000
