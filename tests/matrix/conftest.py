"""The matrix runs in processes of its own: pytest's needs no database."""

from importlib.util import find_spec

import pytest

# In the environment of selectools there is no SDK for the agents of its processes.
collect_ignore = [] if find_spec("agents") else ["test_load.py"]


@pytest.fixture(scope="session", autouse=True)
def _threads_end_before_the_database() -> None:
    pass
