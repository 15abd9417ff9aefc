"""Sessions and documents of AI agents in the database of a Django project.

::

    from parlant_store import store, stores

    store.add_items("session-1", [{"role": "user", "content": "hello"}])
    store.get_items("session-1", limit=20)
    stores["archive"]  # another alias of PARLANT_STORES

The methods of a store are in parlant_store.backends.base, its errors in parlant_store.exceptions,
and the adapters for agent frameworks in parlant_store.adapters. Outside a Django project, call
``setup`` first.
"""

from parlant_store.handler import store, stores
from parlant_store.standalone import setup

__all__ = ["__version__", "setup", "store", "stores"]

__version__ = "0.1.0"
