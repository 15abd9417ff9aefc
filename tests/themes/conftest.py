"""A project with a theme, in a process of its own, which project.py starts."""

from pathlib import Path

import pytest
from django.conf import settings

from tests.browser.conftest import browser as browser
from tests.browser.conftest import server as server
from tests.browser.conftest import visit as visit

collect_ignore = []
if not hasattr(settings, "THEME"):
    collect_ignore = [str(path) for path in Path(__file__).parent.glob("test_*.py")]


@pytest.fixture
def theme() -> str:
    """The package of the theme; "" for Django's own."""
    return str(settings.THEME)
