"""Adapters in the tests of a project.

Django's TestCase, and the fixture ``db`` of pytest-django, run each test in a transaction that is
rolled back. With ``on_test_connection``, adapters use the connection of the test, so that they see
its data and their own is rolled back::

    class AgentTests(TestCase):
        def test_answer(self):
            with on_test_connection():
                async_to_sync(run_agent)("hello")

In pytest the fixture ``parlant_stores`` does the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from parlant_store.backends.threads import caller
from parlant_store.handler import stores

__all__ = ["on_test_connection"]


@contextmanager
def on_test_connection() -> Iterator[None]:
    """Run adapters on the connection of their caller, as Django's async ORM does.

    It is as if each store had the option ``threads: 0``. Threads that stores have started end
    first, so that they hold no locks.
    """
    stores.close_all()
    try:
        with caller.forced():
            yield
    finally:
        caller.executor.close()
