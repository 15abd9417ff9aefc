"""What a process has before it is forked: no settings, threads or connections.

Frameworks take longer to import than most processes run; those not installed are left out.
"""

import gc
from contextlib import suppress
from importlib import import_module

MODULES = (
    "agents",
    "parlant.core.sessions",
    # What parlant.sdk imports; itself it looks for its home folder.
    "parlant.adapters.loggers.websocket",
    "parlant.adapters.vector_db.transient",
    "parlant.api.app",
    "parlant.client",
    "parlant.core.engines.alpha.guideline_matching.generic.guideline_low_criticality_batch",
    "selectools",
    "langgraph.graph",
    "langgraph.prebuilt",
    "markdown_it",
    "nh3",
    "environ",
    "psycopg_pool",
    "django.contrib.admin.templatetags.admin_list",
    "django.core.management.commands.migrate",
    "django.db.backends.postgresql.base",
    "django.db.backends.sqlite3.base",
    "django.test",
    "parlant_store.backends.threads.async_calls",
    "parlant_store.backends.orm",
    "parlant_store.standalone",
    "psutil",
)


def import_all() -> None:
    # Garbage is collected of what a process makes itself, not of all this over and over.
    gc.disable()
    for module in MODULES:
        with suppress(ImportError):
            import_module(module)
    gc.collect()
    gc.freeze()
    gc.enable()
