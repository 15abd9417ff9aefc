"""Ports of servers that the tests start."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from socket import SO_REUSEADDR, SOL_SOCKET, socket


@contextmanager
def port_of_a_server() -> Iterator[int]:
    """A free port on the loopback, for a server that may start and stop within the block.

    A socket that does not listen keeps it: Linux gives it to nobody who asks for any free port,
    and to a server that names it and sets SO_REUSEADDR, as all do. Other systems would refuse it.
    """
    with socket() as keeper:
        keeper.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        port = int(keeper.getsockname()[1])
        if sys.platform != "linux":
            keeper.close()
        yield port
