"""What people see in themes that replace Django's styles: tests/themes/test_looks.py.

The other tests of this folder look at Django's own.
"""

import pytest

from tests.themes.project import run_tests


@pytest.mark.parametrize("theme", ["unfold", "jazzmin"])
def test_looks(theme):
    run_tests(theme, "test_looks.py")
