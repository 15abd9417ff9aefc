"""The tests' project, with tables of its own that refer to those of the stores."""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS

# Beside the databases of the run that starts this one, on the same server.
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    DATABASES["default"]["TEST"] = {
        "NAME": f"test_references_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    }

INSTALLED_APPS = [*INSTALLED_APPS, "tests.references"]
