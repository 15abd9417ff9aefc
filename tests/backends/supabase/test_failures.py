"""A network and servers that fail: nothing is lost, nothing is written twice."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from parlant_store.exceptions import AccessDenied, OutcomeUnknown, StoreUnavailable
from tests.contract.threads import in_threads
from tests.contract.values import numbered
from tests.servers.supabase import Stack, statement_timeout, wait_for
from tests.servers.supabase_gateway import Gateway

OPERATIONS = 250
WRITERS = 5


@pytest.fixture
def gateway(project: Stack) -> Iterator[object]:
    yield project.gateway
    project.gateway.heal()
    project.gateway.clear()


@pytest.fixture
def store(make_store):
    return make_store(timeout=60)


def everything(store) -> None:
    """OPERATIONS of all kinds by several at once, and a look at what they left."""
    of_each = OPERATIONS // WRITERS
    popped: list[list[int]] = [[] for _ in range(WRITERS)]
    added: list[list[int]] = [[] for _ in range(WRITERS)]
    store.insert_one("counters", {"id": "shared"})

    def write(writer: int) -> None:
        session = f"s{writer}"
        revision = store.save_snapshot("saved", [], state={}, namespace=session)
        for turn in range(of_each // 5):
            numbers = [10 * turn, 10 * turn + 1, 10 * turn + 2]
            store.add_items(session, numbered(*numbers))
            added[writer] += numbers
            popped[writer].append(store.pop_item(session)["n"])
            store.insert_numbered(
                "events",
                {"id": f"{session}-{turn}", "session_id": "one", "offset": 0},
                number="offset",
                within="session_id",
            )
            store.update_one("counters", {}, {f"{session}-{turn}": True})
            revision = store.save_snapshot(
                "saved",
                numbered(turn),
                state={"turn": turn},
                namespace=session,
                since=revision,
                keep=revision.item_count,
            )
            assert revision is not None

    in_threads(write, WRITERS)

    turns = range(of_each // 5)
    for writer in range(WRITERS):
        assert popped[writer] == [10 * turn + 2 for turn in turns]
        left = [n for n in added[writer] if n % 10 != 2]
        assert store.get_items(f"s{writer}") == numbered(*left)
        saved = store.load_snapshot("saved", namespace=f"s{writer}")
        assert saved.items == numbered(*turns)
        assert saved.state == {"turn": turns[-1]}
    events = store.find("events").documents
    assert sorted(event["offset"] for event in events) == list(range(WRITERS * len(turns)))
    assert len(store.find_one("counters")) == 1 + WRITERS * len(turns)


@contextmanager
def again_and_again(call: Callable[[], None], gateway: Gateway) -> Iterator[None]:
    """Calls it on another thread until the block ends, each time after some answers more."""
    over = threading.Event()

    def repeat() -> None:
        answered = gateway.answers
        while not over.wait(0.01):
            if gateway.answers >= answered + OPERATIONS // 10:
                call()
                answered = gateway.answers

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_answers_that_get_lost(store, gateway):
    gateway.drop_answers(0.2)
    everything(store)
    sent = [path for _, path in gateway.requests]
    assert len(sent) > 1.15 * OPERATIONS


def test_requests_that_never_arrive(store, gateway):
    gateway.refuse(0.2)
    everything(store)


def test_a_server_that_is_stopped_and_started(store, project, gateway):
    restarts = 0

    def restart() -> None:
        nonlocal restarts
        project.stop_postgrest()
        time.sleep(0.2)
        project.start_postgrest()
        restarts += 1

    with again_and_again(restart, gateway):
        everything(store)
    assert restarts > 0


def test_a_server_too_slow_to_be_waited_for(make_store, gateway):
    store = make_store(timeout=15)  # and a third of it for each request
    store.add_items("s", numbered(1))
    gateway.clear()

    def heal() -> None:
        wait_for(lambda: bool(gateway.requests))
        gateway.heal()

    with gateway.held(), ThreadPoolExecutor() as pool:
        healing = pool.submit(heal)
        store.add_items("s", numbered(2))
        healing.result()
    assert len([path for _, path in gateway.requests if path.endswith("once")]) > 1
    # The first one arrives now, too late.
    assert wait_for(lambda: gateway.answers == len(gateway.requests))
    assert store.get_items("s") == numbered(1, 2)


def test_waiting_has_an_end(store, make_store, gateway):
    hasty = make_store(timeout=3)
    gateway.refuse(1)
    for call in (lambda: hasty.get_items("s"), lambda: hasty.add_items("s", numbered(1))):
        gateway.clear()
        with pytest.raises(StoreUnavailable):
            call()
        assert len(gateway.requests) > 1
    gateway.heal()
    assert store.get_items("s") == []


def test_a_write_that_may_have_been_done_is_an_unknown_outcome(store, make_store, gateway):
    hasty = make_store(timeout=3)
    store.add_items("s", numbered(1, 2))
    gateway.drop_answers(1)
    with pytest.raises(OutcomeUnknown):
        hasty.pop_item("s", request_id="an id")
    with pytest.raises(StoreUnavailable) as caught:
        hasty.get_items("s")
    assert caught.type is StoreUnavailable
    gateway.heal()
    assert store.pop_item("s", request_id="an id") == {"n": 2}
    assert store.get_items("s") == numbered(1)


def test_a_write_that_was_never_sent_was_not_done(store, make_store, project):
    nobody = make_store(url="http://127.0.0.1:9", timeout=0.5)
    with pytest.raises(StoreUnavailable) as caught:
        nobody.add_items("s", numbered(1))
    assert caught.type is StoreUnavailable
    hasty = make_store(timeout=4)
    project.stop_postgrest()
    try:
        with pytest.raises(StoreUnavailable) as caught:
            hasty.add_items("s", numbered(1))
    finally:
        project.start_postgrest()
    assert caught.type is StoreUnavailable
    assert store.get_items("s") == []


def test_a_repeat_that_is_refused_leaves_the_outcome_unknown(make_store, project, gateway):
    tokens = [project.service_key, "no token"]
    store = make_store(timeout=60, access_token=lambda: tokens.pop(0) if tokens else "no token")
    gateway.drop_answers(0.5, seed=1)
    with pytest.raises(OutcomeUnknown, match="refused"):
        store.add_items("s", numbered(1))


def test_a_server_that_is_down_is_named(store, make_store, project):
    hasty = make_store(timeout=2)
    project.stop_postgrest()
    try:
        with pytest.raises(StoreUnavailable, match="HTTP"):
            hasty.exists("s")
    finally:
        project.start_postgrest()
    assert not store.exists("s")


def test_nobody_listens(make_store):
    store = make_store(url="http://127.0.0.1:9", timeout=2)
    with pytest.raises(StoreUnavailable, match=r"HTTP.*refused"):
        store.exists("s")


def test_what_is_refused_is_not_repeated(make_store, project, gateway):
    token = project.user_token("ada", expires_in=-3600)
    for wrong in ({"key": "wrong"}, {"key": project.anon_key}, {"access_token": token}):
        store = make_store(**wrong)
        gateway.clear()
        with pytest.raises(AccessDenied):
            store.add_items("s", numbered(1))
        assert len(gateway.requests) == 1


def test_requests_are_forgotten_after_a_while(make_store, project):
    from django.db import connection

    from parlant_store.models import Request

    store = make_store()
    for number in range(3):
        store.add_items("s", numbered(number))
    assert Request.objects.count() == 3
    with connection.cursor() as cursor:
        cursor.execute("UPDATE parlant_store_request SET created_at = now() - interval '2 hours'")
    store.add_items("s", numbered(3))
    assert Request.objects.count() == 1


@pytest.fixture
def impatient(project: Stack, make_store) -> Iterator[object]:
    """A store whose statements may take 3 seconds, as 8 s on Supabase."""
    with statement_timeout(project, "3s"):
        yield make_store()


def test_a_lock_that_is_not_free_in_time(impatient, project, gateway):
    impatient.add_items("s", numbered(1))
    with psycopg.connect(project.dsn) as other:
        other.execute("select from parlant_store_session for update")
        gateway.clear()
        with pytest.raises(StoreUnavailable, match="57014") as caught:
            impatient.add_items("s", numbered(2))
        assert caught.type is StoreUnavailable
        assert len(gateway.requests) == 1
    impatient.add_items("s", numbered(3))
    assert impatient.get_items("s") == numbered(1, 3)
