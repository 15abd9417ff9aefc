"""A project with a theme, in a process of its own: tests/admin/test_themes.py starts it."""

from pathlib import Path

import pytest
from django.conf import settings

from tests.browser.conftest import browser as browser
from tests.browser.conftest import server as server
from tests.browser.conftest import visit as visit

# tests/browser looks at Django's own theme.
collect_ignore = [] if getattr(settings, "THEME", "") else ["test_looks.py"]
if not hasattr(settings, "THEME"):
    collect_ignore = [str(path) for path in Path(__file__).parent.glob("test_*.py")]


@pytest.fixture
def theme() -> str:
    """The package of the theme; "" for Django's own."""
    return str(settings.THEME)
