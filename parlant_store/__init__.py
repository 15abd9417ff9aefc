"""What AI agents must remember, in the database you already run.

Start here::

    from parlant_store import store, stores

    store.add_items("session-1", [{"role": "user", "content": "hello"}])
    store.get_items("session-1", limit=20)
    stores["archive"]  # another alias of PARLANT_STORES

The methods of a store are in parlant_store.backends.base, its errors in
parlant_store.exceptions, and the shapes that agent frameworks ask for in
parlant_store.adapters. Outside a Django project, call ``setup`` first.
"""

from parlant_store.handler import store, stores
from parlant_store.standalone import setup

__all__ = ["setup", "store", "stores"]
