"""examples/parlant_server.py, with its stores put in by configure_container.

python -m tests.adapters.parlant.configured_server [--database-url URL]
"""

from examples import parlant_server
from parlant_store.adapters import parlant

parlant.server_stores = lambda: {"configure_container": parlant.configure_container()}
# The example starts its server from its own file.
parlant_server.__file__ = __file__

if __name__ == "__main__":
    parlant_server.main()
