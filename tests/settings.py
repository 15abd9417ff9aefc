"""The demo project on a throw-away database: an SQLite file, or what DATABASE_URL names.

With POOL=1 Django keeps a pool of connections to PostgreSQL.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from parlant_store.standalone import database
from project.settings import *  # noqa: F403
from project.settings import DATABASES, INSTALLED_APPS

# A file, as in production: threads and processes share it.
folder = tempfile.TemporaryDirectory(prefix="parlant-store-", ignore_cleanup_errors=True)


def file(name: str) -> dict[str, Any]:
    path = str(Path(folder.name, name))
    return {"NAME": path, "TEST": {"NAME": path}}


if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"] |= file("default.sqlite3")
elif os.environ.get("POOL") == "1":
    # Fewer than the tests have threads at times, which then wait for each other.
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 0, "max_size": 16}
DATABASES["other"] = database("sqlite://") | file("other.sqlite3")

# Parlant makes this folder when it is imported.
os.environ["PARLANT_HOME"] = str(Path(folder.name, "parlant"))

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests"]
