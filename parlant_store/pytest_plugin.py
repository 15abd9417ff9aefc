"""The fixture of the package for pytest."""

from collections.abc import Iterator

import pytest


@pytest.fixture
def parlant_stores() -> Iterator[None]:
    """Run adapters on the connection of the test (parlant_store.test.on_test_connection)."""
    from parlant_store.test import on_test_connection

    with on_test_connection():
        yield
