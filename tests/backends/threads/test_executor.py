"""A store's own threads."""

import gc
import threading
import time
from concurrent.futures import CancelledError
from contextvars import ContextVar
from functools import partial
from weakref import ref

import pytest

from parlant_store.backends.threads.calls import Call, Group
from parlant_store.backends.threads.executor import Executor


class Store:
    """What a call needs of a store."""

    def interrupt(self, resource, *, force):
        raise AssertionError("nothing of these calls can be interrupted")

    def explain_timeout(self, seconds):
        return f"not within {seconds} s"


class Threads(Executor):
    """An executor that takes functions."""

    def __init__(self, count, release=int, **options):
        super().__init__("test", count, release=release, **options)

    def submit(self, function, wake=None, together=None, timeout=None):
        (call,) = self.submit_all([function], wake, together, timeout)
        return call

    def submit_all(self, functions, wake=None, together=None, timeout=None):
        calls = [Call(Store(), function, wake=wake, timeout=timeout) for function in functions]
        if together is not None:
            for call in calls:
                call.group = Group(together, lambda calls: together([c.function for c in calls]))
        super().submit(*calls)
        return calls


TIMEOUT_SECONDS = 120


@pytest.fixture
def released():
    return []


@pytest.fixture
def threads(released):
    threads = Threads(3, lambda: released.append(threading.current_thread().name))
    yield threads
    threads.close()


def test_who_is_woken_finds_the_thread_free(threads):
    woken = threading.Event()
    names = set()
    for _ in range(50):
        future = threads.submit(threading.current_thread, woken.set)
        assert woken.wait(TIMEOUT_SECONDS)
        woken.clear()
        names.add(future.result().name)
    assert names == {"test-0"}


def test_calls_at_once_run_on_as_many_threads_as_there_may_be(threads):
    meeting = threading.Barrier(3)

    def meet() -> str:
        meeting.wait(TIMEOUT_SECONDS)
        return threading.current_thread().name

    futures = [threads.submit(meet) for _ in range(6)]
    assert {future.result() for future in futures} == {"test-0", "test-1", "test-2"}


def test_what_a_call_raises_comes_back(threads):
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result()
    with pytest.raises(SystemExit):
        threads.submit(exit).result()
    assert threads.submit(int).result() == 0


def test_closing_finishes_what_was_submitted_and_releases_each_thread(threads, released):
    meeting = threading.Barrier(3)
    futures = [threads.submit(lambda: meeting.wait(TIMEOUT_SECONDS)) for _ in range(3)]
    futures += [threads.submit(lambda: time.sleep(0.01)) for _ in range(17)]
    threads.close()
    assert all(future.done() for future in futures)
    assert sorted(released) == ["test-0", "test-1", "test-2"]
    assert threads.submit(int).result() == 0
    threads.close()
    assert len(released) == 4
    threads.close()


def test_calls_from_many_threads_while_it_closes_again_and_again(threads):
    results = []

    def work() -> None:
        results.extend(threads.submit(int).result(TIMEOUT_SECONDS) for _ in range(200))

    callers = [threading.Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for _ in range(20):
        threads.close()
        time.sleep(0.002)
    for caller in callers:
        caller.join()
    assert len(results) == 800


def test_a_call_may_be_cancelled_before_it_begins():
    threads = Threads(1)
    go = threading.Event()
    first = threads.submit(lambda: go.wait(TIMEOUT_SECONDS))
    second = threads.submit(int)
    assert second.cancel()
    go.set()
    assert first.result()
    with pytest.raises(CancelledError):
        second.result()
    threads.close()


def test_one_wake_serves_several_results_of_a_single_thread():
    threads = Threads(1)
    woken = []
    go = threading.Event()
    first = threads.submit(lambda: go.wait(TIMEOUT_SECONDS))
    futures = [threads.submit(int, lambda: woken.append(1)) for _ in range(3)]
    same = [threads.submit(int, woken.clear) for _ in range(5)]
    go.set()
    for future in (first, *futures, *same):
        future.result()
    threads.close()
    assert len(woken) <= 3


def number(value: int) -> int:
    """Fails by itself when told to, unlike its double in ``all_at_once``."""
    return 1 // value


def all_at_once(groups):
    def together(calls):
        groups.append(len(calls))
        return [call.args[0] for call in calls]

    return together


@pytest.fixture
def held():
    """One thread, busy until ``go`` is set."""
    threads = Threads(1)
    threads.go = threading.Event()
    threads.submit(lambda: threads.go.wait(TIMEOUT_SECONDS))
    yield threads
    threads.go.set()
    threads.close()


def test_calls_that_wait_are_made_together_and_each_gets_its_result(held):
    groups = []
    together = all_at_once(groups)
    futures = [held.submit(partial(number, value), None, together) for value in range(80)]
    others = [held.submit(lambda: "alone") for _ in range(2)]
    assert futures[7].cancel()
    held.go.set()
    assert [f.result() for f in futures if not f.cancelled()] == [*range(7), *range(8, 80)]
    assert [f.result() for f in others] == ["alone", "alone"]
    assert groups == [63, 16]


def test_calls_submitted_at_once_run_as_groups_on_free_threads(threads):
    groups = []
    together = all_at_once(groups)
    futures = threads.submit_all([partial(number, value) for value in range(80)], None, together)
    assert [future.result(TIMEOUT_SECONDS) for future in futures] == [*range(80)]
    assert sorted(groups) == [16, 64]


def test_finished_groups_keep_no_results():
    threads = Threads(1)
    gc.disable()
    try:
        futures = threads.submit_all([int, int], None, lambda calls: [set(), set()])
        results = [ref(future.result(TIMEOUT_SECONDS)) for future in futures]
        del futures
        threads.submit(int).result(TIMEOUT_SECONDS)
        assert [result() for result in results] == [None, None]
    finally:
        gc.enable()
        threads.close()


def test_what_cannot_be_made_together_is_made_one_by_one(held):
    futures = [held.submit(partial(number, value), None, lambda calls: None) for value in (1, 0, 1)]
    held.go.set()
    assert futures[0].result() == futures[2].result() == 1
    with pytest.raises(ZeroDivisionError):
        futures[1].result()


def test_what_calls_made_together_raise_each_of_them_raises(held):
    def together(calls):
        raise SystemExit

    futures = [held.submit(partial(number, 1), None, together) for _ in range(2)]
    held.go.set()
    for future in futures:
        with pytest.raises(SystemExit):
            future.result()
    assert held.submit(int).result() == 0


def test_a_call_that_waits_for_nobody_is_made_by_itself(held):
    held.go.set()
    groups = []
    assert held.submit(partial(number, 1), None, all_at_once(groups)).result() == 1
    assert groups == []


def test_calls_see_the_context_variables_of_their_callers(threads):
    user: ContextVar[str] = ContextVar("user")
    found = []
    for name in ("ada", "bob", "cleo"):
        user.set(name)
        found.append(threads.submit(user.get))
    assert [each.result(TIMEOUT_SECONDS) for each in found] == ["ada", "bob", "cleo"]
