"""The demo project on a throw-away database: an SQLite file, or what DATABASE_URL names."""

import tempfile
from pathlib import Path

from project.settings import *  # noqa: F403
from project.settings import DATABASES, INSTALLED_APPS

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, as in production: threads and processes share it.
    folder = tempfile.TemporaryDirectory(prefix="parlant-store-", ignore_cleanup_errors=True)
    DATABASES["default"]["NAME"] = str(Path(folder.name, "tests.sqlite3"))
    DATABASES["default"]["TEST"] = {"NAME": DATABASES["default"]["NAME"]}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests"]
