"""Pages in themes that replace the templates of Django's admin: tests/themes/test_pages.py."""

import pytest

from tests.themes.project import run_tests


@pytest.mark.any_database
@pytest.mark.parametrize("theme", ["", "unfold", "jazzmin"], ids=["django", "unfold", "jazzmin"])
def test_pages(theme):
    run_tests(theme, "test_pages.py")
