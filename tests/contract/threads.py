"""Calls that are made at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def in_threads(call: Callable[[int], Any], count: int) -> None:
    """Run ``call`` with each number, all at once, on threads that let go of the database."""
    start = threading.Barrier(count)

    def work(number: int) -> None:
        from django.db import connections

        start.wait()
        try:
            call(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(work, number) for number in range(count)]:
            done.result()
