"""The futures of calls do what those of the standard library do."""

import asyncio
import threading
from concurrent import futures

import pytest

from parlant_store.backends.threads.futures import Future
from tests.backends.locks import TIMEOUT_SECONDS


def in_thread(call) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_it_is_as_light_as_it_knows_how_to_be():
    assert vars(Future()).keys() == vars(futures.Future()).keys()
    assert Future()._condition.made is None


def test_threads_wait_for_a_result():
    future, found = Future(), []
    threads = [in_thread(lambda: found.append(future.result(TIMEOUT_SECONDS))) for _ in range(3)]
    assert future.set_running_or_notify_cancel()
    future.set_result(1)
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1]
    assert future.done()


def test_a_result_that_does_not_come_is_not_waited_for_longer():
    with pytest.raises(TimeoutError):
        Future().result(0.01)


def test_an_exception_is_raised_and_a_callback_called():
    future, told = Future(), []
    future.add_done_callback(told.append)
    future.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        future.result()
    future.add_done_callback(told.append)
    assert told == [future, future]


def test_it_is_cancelled_before_it_runs_and_not_later():
    future, running = Future(), Future()
    running.set_running_or_notify_cancel()
    assert (future.cancel(), running.cancel()) == (True, False)
    with pytest.raises(futures.CancelledError):
        future.result()


async def test_the_standard_library_waits_for_it():
    several = [Future() for _ in range(3)]
    thread = in_thread(lambda: [future.set_result(future) for future in several])
    assert await asyncio.wrap_future(several[0]) is several[0]
    assert set(futures.as_completed(several, TIMEOUT_SECONDS)) == set(several)
    assert futures.wait(several, TIMEOUT_SECONDS).not_done == set()
    thread.join()
